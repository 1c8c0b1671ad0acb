/** Splits long work into slices between turns of the event loop, so that calls wait at most for one slice. */
import type { Steps } from "../../compile/access/rules/steps.js";

/** Duration of a slice. */
const SLICE_MS = 4;

/**
 * Runs the steps in slices.
 * @param endMs on the clock of performance.now(): stops then, even if unfinished
 */
export async function inSlices(steps: Steps<unknown>, endMs: number): Promise<void> {
	for (;;) {
		const untilMs = Math.min(endMs, performance.now() + SLICE_MS);
		do {
			if (steps.next().done) return;
		} while (performance.now() < untilMs);
		if (performance.now() >= endMs) return;
		await new Promise((resolve) => setImmediate(resolve));
	}
}
