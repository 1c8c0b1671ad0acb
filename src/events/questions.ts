/**
 * Questions of readers, one after the other: whoever may read anything may ask as often as they like, and each question
 * costs a look through the log. What Weir's own roles ask (evidence) does not come through here.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { WeirError } from "../error.js";
import { QUESTIONS_WAITING_MAX } from "../limits.js";
import { HttpProblem } from "./http.js";
import { callerOnSocket, isLocalOwner } from "./sender.js";

/** The machine's owner, for whom all its users ask, waits for no more than the one question that is under way. */
export class Questions {
	readonly #owners = new Turns(QUESTIONS_WAITING_MAX);
	readonly #others = new Turns(1);

	/**
	 * Does the work of answering in its turn, and not at all where its client has gone by then.
	 * @throws HttpProblem 429 for another one of a subject before the former is answered, WeirError `unavailable` where too
	 * many wait
	 */
	take(request: IncomingMessage, response: ServerResponse, work: () => Promise<void>): Promise<void> {
		const subject = callerOnSocket(request);
		const turns = isLocalOwner(subject) ? this.#owners : this.#others;
		return turns.take(subject ?? NOBODY, response, work);
	}
}

/** No subject is empty. */
const NOBODY = "";

class Turns {
	/** Questions of each subject whose answer has not ended. */
	readonly #asking = new Map<string, number>();
	readonly #waiting = new Set<() => void>();
	#underWay = false;

	constructor(private readonly perSubject: number) {}

	async take(subject: string, response: ServerResponse, work: () => Promise<void>): Promise<void> {
		this.#demandRoom(subject);
		this.#count(subject, 1);
		try {
			if (!(await this.#turn(response))) return;
			try {
				await work();
			} finally {
				this.#underWay = false;
				this.#next();
			}
		} finally {
			const leave = () => this.#count(subject, -1);
			if (response.destroyed) leave();
			else response.once("close", leave);
		}
	}

	#demandRoom(subject: string): void {
		if ((this.#asking.get(subject) ?? 0) >= this.perSubject) {
			const hint = "ask one after the other";
			throw new HttpProblem(429, "a question of yours about requests is not answered yet", hint);
		}
		if (this.#waiting.size >= QUESTIONS_WAITING_MAX) {
			throw new WeirError("unavailable", "too many questions about requests are waiting", "try again");
		}
	}

	#count(subject: string, by: number): void {
		const now = (this.#asking.get(subject) ?? 0) + by;
		if (now === 0) this.#asking.delete(subject);
		else this.#asking.set(subject, now);
	}

	/** @returns whether there is anybody to answer */
	#turn(response: ServerResponse): Promise<boolean> {
		return new Promise((resolve) => {
			const begin = (): void => {
				response.off("close", gone);
				this.#underWay = true;
				resolve(true);
			};
			const gone = (): void => {
				this.#waiting.delete(begin);
				resolve(false);
			};
			if (response.destroyed) {
				gone();
				return;
			}
			response.once("close", gone);
			this.#waiting.add(begin);
			this.#next();
		});
	}

	#next(): void {
		const [begin] = this.#waiting;
		if (this.#underWay || begin === undefined) return;
		this.#waiting.delete(begin);
		begin();
	}
}
