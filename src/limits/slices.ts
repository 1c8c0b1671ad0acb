/** Long computations in slices of limited time, so that other work waits for one slice at most. */

/**
 * A computation as a generator that yields after about a millisecond at most (except in a very large policy), so that its
 * caller can let other work run between steps.
 */
export type Steps<Made> = Generator<undefined, Made, undefined>;

/** Duration of a slice. */
const SLICE_MS = 4;

/** Runs all remaining steps at once. */
export function finish<Made>(steps: Steps<Made>): Made {
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
	}
}

/**
 * Runs the steps in slices between turns of the event loop.
 * @param endMs on the clock of performance.now(): stops then, even if unfinished
 * @returns undefined if unfinished
 * @throws what a step throws
 */
export async function inSlices<Made>(steps: Steps<Made>, endMs: number): Promise<Made | undefined> {
	for (;;) {
		const untilMs = Math.min(endMs, performance.now() + SLICE_MS);
		do {
			const { done, value } = steps.next();
			if (done) return value;
		} while (performance.now() < untilMs);
		if (performance.now() >= endMs) return undefined;
		await new Promise((resolve) => setImmediate(resolve));
	}
}
