/**
 * The time in which ingest reads and judges what senders post: nothing else is done meanwhile, and a body of 4 MiB can take half
 * a second. Each sender has its own; the owner of the machine is not bound.
 */
import { Digest } from "../../digest.js";
import { OUTCOMES_READING_MS_AT_ONCE_MAX, OUTCOMES_READING_MS_PER_HOUR_MAX, SENDERS_TOLD_MS } from "../../limits.js";
import { stopwatch } from "../../stopwatch.js";
import { SubjectBudget } from "../../subjectBudget.js";
import { HttpProblem } from "../http.js";
import type { Log } from "../meter.js";
import type { Sender } from "./sender.js";

export class ReadingTime {
	readonly #waiting: Digest<string>;

	constructor(
		log: Log,
		private readonly budget = new SubjectBudget(OUTCOMES_READING_MS_AT_ONCE_MAX, OUTCOMES_READING_MS_PER_HOUR_MAX),
	) {
		this.#waiting = new Digest(
			(sender, times) =>
				log.warn("a sender's outcomes are not taken for now: reading them has taken too much time", {
					sender,
					times: String(times),
				}),
			SENDERS_TOLD_MS,
		);
	}

	/** @throws HttpProblem 429 where the sender has none left */
	demand(sender: Sender): void {
		if (sender.kind !== "spiffe") return;
		const waitMs = this.budget.waitMs(sender.id, 0);
		if (waitMs === 0) return;
		this.#waiting.add(sender.id);
		const seconds = Math.ceil(waitMs / 1_000);
		throw new HttpProblem(
			429,
			`reading the outcomes of ${sender.id} has taken ${Math.ceil(this.budget.taken(sender.id) / 1_000)} s of ingest's time`,
			`send it again in ${seconds} s`,
			seconds,
		);
	}

	/** In the sender's time. */
	reading<Result>(sender: Sender, read: () => Result): Result {
		if (sender.kind !== "spiffe") return read();
		const spentMs = stopwatch();
		try {
			return read();
		} finally {
			this.budget.owe(sender.id, spentMs());
		}
	}

	/** Tells what is not told yet. */
	close(): void {
		this.#waiting.close();
	}
}
