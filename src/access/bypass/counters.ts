/** Envoy's counters, and gauges, by full name, as its admin shows them (`/stats`). One that never moved may be missing. */
export type Counters = ReadonlyMap<string, number>;

/** How far a counter has moved between two readings. One that fell was reset with its Envoy: it counts from 0. */
export function movedBy(name: string, before: Counters, after: Counters): number {
	const [from, to] = [before.get(name) ?? 0, after.get(name) ?? 0];
	return to >= from ? to - from : to;
}
