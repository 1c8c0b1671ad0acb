/** How long something has lasted, by two clocks: the wall's may be set back, the monotonic one stands still in a suspend. */

export interface Clock {
	wallMs(): number;
	monotonicMs(): number;
}

/** What both showed at one time. */
export interface Moment {
	readonly wallMs: number;
	readonly monotonicMs: number;
}

export const SYSTEM_CLOCK: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

export const momentOf = (clock: Clock): Moment => ({ wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs() });

/** Milliseconds between two moments, never less than either clock says. */
export const passedMs = (since: Moment, now: Moment): number =>
	Math.max(0, now.wallMs - since.wallMs, now.monotonicMs - since.monotonicMs);
