/** Long work between the turns of the loop: a call waits for a slice of it, or for one step that is longer. */
import type { Steps } from "../../compile/access/rules/steps.js";

/** How long it may hold up the loop at once. */
const SLICE_MS = 4;

/**
 * Does the work in slices, and what was asked meanwhile between them.
 * @param endMs by performance.now(): when it is given up, done or not
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
