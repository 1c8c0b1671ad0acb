/**
 * Filters that make fewer request headers of claims wait for the routes of their Gateway, which may use these headers until then.
 * Not for long, since a filter may also revoke a key.
 */
import { XDS_LEAVING_MS } from "../../limits/index.js";
import type { View } from "./snapshot.js";

export class HeldFilters {
	/** Since when the filters of each source wait, together: they are about the same issuers. */
	#sinceMs: ReadonlyMap<string, number> = new Map();

	/**
	 * @param filters that the client should have @param accepted what it has @param coming sources of routes on their way to it
	 * @returns those that may be sent now
	 */
	free(filters: View, accepted: View, coming: () => ReadonlySet<string>, nowMs: number): View {
		const fewer = [...filters.values()].filter(({ name, claimHeaders }) =>
			accepted.get(name)?.claimHeaders.some((header) => !claimHeaders.includes(header)),
		);
		const follow = fewer.length === 0 ? new Set<string>() : coming();
		const held = fewer.map(({ source }) => source).filter((source) => follow.has(source));
		this.#sinceMs = new Map(held.map((source) => [source, this.#sinceMs.get(source) ?? nowMs]));
		return new Map([...filters].filter(([, { source }]) => nowMs >= (this.#endMs(source) ?? nowMs)));
	}

	/** Until when each waits. */
	get endsMs(): readonly number[] {
		return [...this.#sinceMs.values()].map((since) => since + XDS_LEAVING_MS);
	}

	#endMs(source: string): number | undefined {
		const since = this.#sinceMs.get(source);
		return since === undefined ? undefined : since + XDS_LEAVING_MS;
	}
}
