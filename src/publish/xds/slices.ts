/** Long computations in short slices, so that control answers its API while it encodes a publication. */

/** Longest time at once. */
const SLICE_MS = 10;

/** A computation that yields at least once in about a millisecond. */
export type Steps<Made> = Generator<undefined, Made, undefined>;

/** Runs all steps at once. */
export function finish<Made>(steps: Steps<Made>): Made {
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
	}
}

/** Runs all steps, with the event loop's other work in between. @throws what a step throws */
export async function inSlices<Made>(steps: Steps<Made>): Promise<Made> {
	let untilMs = performance.now() + SLICE_MS;
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
		if (performance.now() < untilMs) continue;
		await new Promise((resolve) => setImmediate(resolve));
		untilMs = performance.now() + SLICE_MS;
	}
}
