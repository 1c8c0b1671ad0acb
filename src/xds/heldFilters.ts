/**
 * Filters that will not make some header any more wait for the routes of their Gateway, which may follow it until then: what is
 * taken away goes last. Not for long, for there may be a key in them that is to be believed no more.
 */
import { XDS_LEAVING_MS } from "../limits.js";
import type { EncodedResource } from "./resource.js";
import type { View } from "./snapshot.js";

export class HeldFilters {
	/** Of each Gateway together, by source: they are about the same issuers. */
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
		return new Map([...filters].filter(([, filter]) => !this.#waits(filter, nowMs)));
	}

	/** Until when each waits. */
	get endsMs(): readonly number[] {
		return [...this.#sinceMs.values()].map((since) => since + XDS_LEAVING_MS);
	}

	#waits({ source }: EncodedResource, nowMs: number): boolean {
		const since = this.#sinceMs.get(source);
		return since !== undefined && nowMs < since + XDS_LEAVING_MS;
	}
}
