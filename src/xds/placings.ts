/** Where Services say that their endpoints are, and where each said so last of those that it has no more. Pure. */
import type { Placings } from "../compiler/plan.js";
import { XDS_LAST_WORDS_MAX } from "../limits.js";

/** A client that was not told, for it was slow or refused the Service, has the endpoint by where it was before that. */
export type LastWords = ReadonlyMap<string, LastWord>;

interface LastWord {
	readonly service: string;
	readonly host: string;
	readonly regions: readonly string[];
}

/** Regions by endpoint, of all who declare it. */
export function placesIn(placings: Placings): ReadonlyMap<string, readonly string[]> {
	const places = new Map<string, readonly string[]>();
	for (const [host, regions] of [...placings.values()].flatMap((hosts) => [...hosts])) {
		const known = places.get(host) ?? [];
		places.set(host, known.length === 0 ? regions : [...new Set([...known, ...regions])]);
	}
	return places;
}

/**
 * What others say meanwhile takes nothing away: only the Service itself does, when it declares the endpoint again. Only what was
 * published counts: xds compiles the newest state, and never hears of what came and went while it did.
 * @param last what was published before
 * @returns longest ago first
 */
export function leftSince(
	last: { readonly left: LastWords; readonly placings: Placings } | null,
	placings: Placings,
): LastWords {
	if (last === null) return new Map();
	const isDeclared = (service: string, host: string): boolean => placings.get(service)?.has(host) ?? false;
	const before = [...last.left].filter(([, { service, host }]) => !isDeclared(service, host));
	const since = [...last.placings].flatMap(([service, hosts]) =>
		[...hosts]
			.filter(([host]) => !isDeclared(service, host))
			.map(([host, regions]) => [keyOf(service, host), { service, host, regions }] as const),
	);
	return new Map([...before, ...since].slice(-XDS_LAST_WORDS_MAX));
}

/** Regions; none where the Service declares the endpoint, or did not, or too long ago. */
export const lastWord = (left: LastWords, service: string, host: string): readonly string[] =>
	left.get(keyOf(service, host))?.regions ?? [];

const keyOf = (service: string, host: string): string => `${service} ${host}`;
