/** Long computations in short slices, so that control answers its API while it encodes a publication. */
import type { Steps } from "../../compile/access/rules/steps.js";

/** Longest time at once. */
const SLICE_MS = 10;

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
