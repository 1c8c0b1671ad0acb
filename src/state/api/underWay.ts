/** Requests of the API's TCP door that are under way: one subject's many connections keep nobody else waiting. */
import type { ServerResponse } from "node:http";
import { API_FORWARDED_NAMED_MAX, API_REQUESTS_PER_SUBJECT_MAX } from "../../limits.js";
import { TryAgain } from "./bodies.js";
import type { Caller } from "./caller.js";

/**
 * What there was too much of: `subject` = requests of one, `ahead` = of one connection, before the answer to the first,
 * `forwarded` = of all, to one role.
 */
export type RequestBound = "subject" | "ahead" | "forwarded";

/** One that waited to be passed on to the role whose business it is, until its time was over. */
export class NotPassedOn extends TryAgain {
	/** Whom it waited for: not for the client, but for the audit log. */
	readonly behind: string;

	/** @param underWay how many of each subject are passed on */
	constructor(role: string, underWay: ReadonlyMap<string, number>) {
		super("unavailable", `${role} took no more in time`, "try again");
		const all = [...underWay].sort(([, one], [, other]) => other - one);
		const named = all
			.slice(0, API_FORWARDED_NAMED_MAX)
			.map(([subject, count]) => `${count} of ${subject.slice(0, 200)}`);
		const more = all.length > named.length ? ` and of ${all.length - named.length} more` : "";
		this.behind = `${role} had ${named.join(", ")}${more}`;
	}
}

export class UnderWay {
	readonly #counts = new Map<string, number>();
	readonly #subjects = new WeakMap<ServerResponse, string>();

	/** @param refused told of each request that was one too many */
	constructor(
		private readonly refused: (subject: string) => void,
		private readonly most = API_REQUESTS_PER_SUBJECT_MAX,
	) {}

	/** One more, which counts until `end`. @throws TryAgain */
	begin({ subject }: Pick<Caller, "subject">, answer: ServerResponse): void {
		if (answer.destroyed) return;
		if ((this.#counts.get(subject) ?? 0) >= this.most) {
			this.refused(subject);
			const hint = "send one after the other";
			throw new TryAgain("resource-exhausted", `${subject} has ${this.most} requests under way`, hint);
		}
		this.#add(subject, 1);
		this.#subjects.set(answer, subject);
	}

	/** An answer has ended, whether it counted or not. */
	end(answer: ServerResponse): void {
		const subject = this.#subjects.get(answer);
		if (subject !== undefined && this.#subjects.delete(answer)) this.#add(subject, -1);
	}

	#add(subject: string, by: number): void {
		const now = (this.#counts.get(subject) ?? 0) + by;
		if (now === 0) this.#counts.delete(subject);
		else this.#counts.set(subject, now);
	}
}
