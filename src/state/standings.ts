/**
 * How Experiments stand costs ingest a look, as the rollout loop's own do. So readers are answered one after the other, and as
 * long as a look took passes before the next one: the loop never waits for more than one of theirs.
 */
import { STANDINGS_PER_SUBJECT_MAX, STANDINGS_WAITING_MAX } from "../limits.js";
import { Turns } from "../turns.js";
import { TryAgain } from "./api/bodies.js";
import type { Call } from "./api/http.js";

/** The machine's owner waits for nobody else. */
export class Standings {
	readonly #owners = turns(STANDINGS_WAITING_MAX);
	readonly #others = turns(STANDINGS_PER_SUBJECT_MAX);

	/** @throws TryAgain `resource-exhausted` beyond what the subject may ask at once, `unavailable` where too many wait */
	take<Result>(
		{ caller, signal }: Pick<Call, "caller" | "signal">,
		look: () => Promise<Result>,
	): Promise<Result | null> {
		return (caller.how === "socket" ? this.#owners : this.#others).take(caller.subject, signal, look);
	}
}

const turns = (perSubject: number): Turns =>
	new Turns({
		perSubject,
		waiting: STANDINGS_WAITING_MAX,
		rests: true,
		refusal: (beyond) =>
			beyond === "perSubject"
				? new TryAgain("resource-exhausted", "questions of yours how Experiments stand are not answered yet", ASK_HINT)
				: new TryAgain("unavailable", "too many questions how Experiments stand are waiting", "try again"),
	});

const ASK_HINT = "ask one after the other";
