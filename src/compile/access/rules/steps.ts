/**
 * Work that can be done little by little: it yields again and again, after a millisecond at most for all but the largest single
 * policy, so that who has it done can answer others in between.
 */
export type Steps<Made> = Generator<undefined, Made, undefined>;

/** Does all that is left of it at once. */
export function finish<Made>(steps: Steps<Made>): Made {
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
	}
}
