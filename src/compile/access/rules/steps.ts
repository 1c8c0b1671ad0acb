/**
 * A long computation as a generator that yields after at most a millisecond (except in a very large policy), so that its
 * caller can let other requests run between steps.
 */
export type Steps<Made> = Generator<undefined, Made, undefined>;

/** Runs all remaining steps. */
export function finish<Made>(steps: Steps<Made>): Made {
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
	}
}
