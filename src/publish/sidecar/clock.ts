/** Elapsed time by two clocks: the wall clock can be set back, the monotonic clock stops during a suspend. */

export interface Clock {
	wallMs(): number;
	monotonicMs(): number;
}

export interface Moment {
	readonly wallMs: number;
	readonly monotonicMs: number;
}

export const SYSTEM_CLOCK: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

export const momentOf = (clock: Clock): Moment => ({ wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() });

/** Milliseconds between two moments: the longer time of the two clocks. */
export const passedMs = (since: Moment, now: Moment): number =>
	Math.max(0, now.wallMs - since.wallMs, now.monotonicMs - since.monotonicMs);
