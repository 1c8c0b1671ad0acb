/** One keeper that attends: what control has asked it, and what it has not answered yet. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { type AdminPage, mostOf, type ProbeAnswer, type TakePart, unreadThere } from "../../access/bypass/reach.js";
import type { Attended, Question as QuestionMessage } from "../../gen/weir/probe/v1/attendance_pb.js";
import { ATTENDANCE_ANSWER_MS, ATTENDANCE_QUESTIONS_MAX, PROBE_TIMEOUT_MS } from "../../limits.js";
import { type Question, type Said, writeQuestion } from "./service.js";

export type AttendCall = ServerDuplexStream<Attended, QuestionMessage>;

/** Under way. */
interface Asked {
	take(said: Said): void;
	/** The keeper is gone. */
	lose(): void;
}

export class Attendance {
	readonly #asked = new Map<number, Asked>();
	readonly #waiting: (() => void)[] = [];
	#number = 0;
	#over = false;

	/** @param hangs told when it has not answered in time: it does so by itself where its Envoy does not */
	constructor(
		private readonly call: Pick<AttendCall, "write">,
		private readonly hangs: () => void,
	) {}

	/** As EnvoyAdmin.page. */
	page(page: AdminPage, take: TakePart): Promise<number> {
		const most = mostOf(page);
		let bytes = 0;
		return new Promise((resolve, reject) => {
			this.#ask({ page }, most.ms + ATTENDANCE_ANSWER_MS, {
				take: (said) => {
					if (said.kind === "page-end") {
						if (said.unread === null) resolve(said.status);
						else reject(unreadThere(said.unread, most));
						return true;
					}
					if (said.kind !== "part") throw new TypeError("no page is answered so");
					bytes += said.part.length;
					// It bounds them itself.
					if (bytes > most.bytes) throw new TypeError("a page of too many bytes");
					try {
						void take(said.part);
					} catch (error) {
						// Of what still comes of it nothing is taken any more, but it is counted.
						take = () => {};
						reject(error);
					}
					return false;
				},
				lose: () => reject(unreadThere("unattended", most)),
			});
		});
	}

	/** null = it could not be sent, or nobody knows. Never rejects. */
	probe(question: Extract<Question, { way: unknown }>): Promise<ProbeAnswer | null> {
		return new Promise((resolve) => {
			this.#ask(question, PROBE_TIMEOUT_MS + ATTENDANCE_ANSWER_MS, {
				take: (said) => {
					if (said.kind !== "answer") throw new TypeError("no probe is answered so");
					resolve(said.answer);
					return true;
				},
				lose: () => resolve(null),
			});
		});
	}

	/** @throws TypeError for what answers nothing that was asked: whoever says that is no keeper */
	take(said: Said): void {
		const asked = said.kind === "hello" ? undefined : this.#asked.get(said.question);
		if (asked === undefined) throw new TypeError("it was not asked that");
		asked.take(said);
	}

	/** The stream is over: nothing more is answered. */
	end(): void {
		this.#over = true;
		for (const asked of [...this.#asked.values()]) asked.lose();
		this.#asked.clear();
		for (const begin of this.#waiting.splice(0)) begin();
	}

	/** @param of `take` says whether that was the last of the answer */
	#ask(question: Question, ms: number, of: { take(said: Said): boolean; lose(): void }): void {
		if (this.#over) {
			of.lose();
			return;
		}
		if (this.#asked.size >= ATTENDANCE_QUESTIONS_MAX) {
			this.#waiting.push(() => this.#ask(question, ms, of));
			return;
		}
		const number = ++this.#number;
		const late = setTimeout(this.hangs, ms).unref();
		this.#asked.set(number, {
			take: (said) => {
				if (!of.take(said)) return;
				clearTimeout(late);
				this.#asked.delete(number);
				this.#waiting.shift()?.();
			},
			lose: () => {
				clearTimeout(late);
				of.lose();
			},
		});
		this.call.write(writeQuestion(number, question));
	}
}
