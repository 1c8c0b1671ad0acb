/** What a keeper answers on one stream: a closed set of questions (service.ts), and no more at once than control asks. */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { type EnvoyReach, type ProbeAnswer, UnreadPage } from "../../access/bypass/reach.js";
import type { Attended, Question as QuestionMessage } from "../../gen/weir/probe/v1/attendance_pb.js";
import { ATTENDANCE_QUESTIONS_MAX, PROBE_TIMEOUT_MS } from "../../limits.js";
import { type Question, readQuestion, type Said, writeSaid } from "./service.js";

export type AttendedCall = ClientDuplexStream<Attended, QuestionMessage>;

export class Answering {
	#underWay = 0;
	#over = false;
	/** Pages that wait until control has read what it was told. */
	readonly #waiting: (() => void)[] = [];

	constructor(
		private readonly call: Pick<AttendedCall, "write" | "on">,
		private readonly reach: Pick<EnvoyReach, "admin" | "through">,
	) {
		call.on("drain", () => this.#go());
	}

	take(message: QuestionMessage): void {
		const { number, asked } = message;
		const question = this.#underWay < ATTENDANCE_QUESTIONS_MAX ? readQuestion(message) : null;
		if (question === null) {
			if (asked.case === "probe") this.#say({ kind: "answer", question: number, answer: null });
			else this.#say({ kind: "page-end", question: number, status: 0, unread: "refused" });
			return;
		}
		this.#underWay++;
		void this.#answer(number, question).then((said) => {
			this.#underWay--;
			this.#say(said);
		});
	}

	/** The stream is over. */
	end(): void {
		this.#over = true;
		this.#go();
	}

	async #answer(number: number, question: Question): Promise<Said> {
		if (!("page" in question)) return { kind: "answer", question: number, answer: await this.#probe(question) };
		try {
			const status = await this.reach.admin.page(question.page, (part) => {
				// Nobody hears it.
				if (this.#over) throw new UnreadPage("broken", "control is gone");
				if (this.#say({ kind: "part", question: number, part })) return undefined;
				return new Promise((resolve) => this.#waiting.push(resolve));
			});
			return { kind: "page-end", question: number, status, unread: null };
		} catch (error) {
			const unread = error instanceof UnreadPage ? error.kind : "broken";
			return { kind: "page-end", question: number, status: 0, unread };
		}
	}

	/** Also of a listener that answers drop by drop there is an answer in time. */
	async #probe({ way, host, guard }: Extract<Question, { way: unknown }>): Promise<ProbeAnswer | null> {
		let late: NodeJS.Timeout | undefined;
		const tooLate = new Promise<ProbeAnswer>((resolve) => {
			late = setTimeout(() => resolve({ status: null, body: "", why: "no answer in time" }), PROBE_TIMEOUT_MS);
		});
		const answer = await Promise.race([this.reach.through(way)(host, guard), tooLate]);
		clearTimeout(late);
		return answer;
	}

	/** @returns whether there is room for more */
	#say(said: Said): boolean {
		return this.#over || this.call.write(writeSaid(said));
	}

	#go(): void {
		for (const go of this.#waiting.splice(0)) go();
	}
}
