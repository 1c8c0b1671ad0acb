/**
 * Questions of readers, one after the other: whoever may read anything may ask as often as they like, and each question
 * costs a look through the log.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { WeirError } from "../../error.js";
import { QUESTIONS_WAITING_MAX } from "../../limits.js";
import { Turns, whileOpen } from "../../turns.js";
import { HttpProblem } from "../http.js";
import { callerOnSocket, isLocalOwner } from "../outcomes/sender.js";

/** The machine's owner, for whom all its users ask, waits for no more than the one question that is under way. */
export class Questions {
	readonly #owners = turns(QUESTIONS_WAITING_MAX);
	readonly #others = turns(1);

	/**
	 * Does the work of answering in its turn, and not at all where its client has gone by then.
	 * @throws HttpProblem 429 for another one of a subject before the former is answered, WeirError `unavailable` where too
	 * many wait
	 */
	async take(request: IncomingMessage, response: ServerResponse, work: () => Promise<void>): Promise<void> {
		const subject = callerOnSocket(request);
		const turns = isLocalOwner(subject) ? this.#owners : this.#others;
		await turns.take(subject ?? NOBODY, whileOpen(response), work);
	}
}

/** No subject is empty. */
const NOBODY = "";

const turns = (perSubject: number): Turns =>
	new Turns({
		perSubject,
		waiting: QUESTIONS_WAITING_MAX,
		refusal: (beyond) =>
			beyond === "perSubject"
				? new HttpProblem(429, "a question of yours about requests is not answered yet", "ask one after the other")
				: new WeirError("unavailable", "too many questions about requests are waiting", "try again"),
	});
