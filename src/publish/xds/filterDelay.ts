/**
 * Delays filters that set fewer claim headers until the routes of their Gateway have followed, since old routes may
 * still match on these headers. The delay is limited, because a filter may also revoke a key.
 */
import { XDS_LEAVING_MS } from "../../limits/index.js";
import type { View } from "./snapshot.js";

export class FilterDelay {
	/** Start of the delay per source. Filters of one source wait together because they share their issuers. */
	#sinceMs: ReadonlyMap<string, number> = new Map();

	/**
	 * @param filters published filters
	 * @param accepted filters that the client holds
	 * @param coming sources of routes that are not yet acknowledged
	 * @returns filters that may be sent now
	 */
	ready(filters: View, accepted: View, coming: () => ReadonlySet<string>, nowMs: number): View {
		const fewer = [...filters.values()].filter(({ name, claimHeaders }) =>
			accepted.get(name)?.claimHeaders.some((header) => !claimHeaders.includes(header)),
		);
		const follow = fewer.length === 0 ? new Set<string>() : coming();
		const held = fewer.map(({ source }) => source).filter((source) => follow.has(source));
		this.#sinceMs = new Map(held.map((source) => [source, this.#sinceMs.get(source) ?? nowMs]));
		return new Map([...filters].filter(([, { source }]) => nowMs >= (this.#endMs(source) ?? nowMs)));
	}

	/** End of each delay. */
	get endsMs(): readonly number[] {
		return [...this.#sinceMs.values()].map((since) => since + XDS_LEAVING_MS);
	}

	#endMs(source: string): number | undefined {
		const since = this.#sinceMs.get(source);
		return since === undefined ? undefined : since + XDS_LEAVING_MS;
	}
}
