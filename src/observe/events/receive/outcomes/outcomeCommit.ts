/**
 * Group commit of outcomes. Requests that arrive while a commit runs share the next one, so one log sync serves the
 * whole group. Each request is answered only after its commit.
 */
import type { DuckDBAppender } from "@duckdb/node-api";
import { WeirError } from "../../../../error.js";
import { COUNTERS, HISTOGRAMS } from "../../meter.js";
import type { EventStore, Transaction } from "../../store/store.js";
import { CommitFaults, type CommitFaultsOptions } from "../commitFaults.js";
import type { OutcomeRow } from "./outcomeRow.js";

/** Outcome rows that wait for their commit; beyond it clients get 503 and retry. */
const OUTCOMES_QUEUE_ROWS_MAX = 200_000;

/** Rows in one group commit of outcomes. */
const OUTCOMES_COMMIT_ROWS = 50_000;

/** The answer to a client, stored with its idempotency key and replayed. */
export interface StoredAnswer {
	readonly status: number;
	readonly body: string;
	/** From an earlier request with the same key. */
	readonly replayed: boolean;
}

export interface Submission {
	readonly rows: readonly OutcomeRow[];
	/** Pseudonym of the Idempotency-Key or of the CloudEvents' ids, and a hash of the body; null without either. */
	readonly idempotency: { readonly key: bigint; readonly body: string } | null;
	readonly status: number;
	readonly answer: string;
}

interface Waiting {
	readonly submission: Submission;
	readonly sinceMs: number;
	readonly resolve: (answer: StoredAnswer) => void;
	readonly reject: (error: WeirError) => void;
}

interface PreviousAnswer {
	readonly body: string;
	readonly status: number;
	readonly answer: string;
}

export class OutcomeCommit {
	#queue: Waiting[] = [];
	#queuedRows = 0;
	#running: Promise<void> | null = null;
	/** Running requests by key: a concurrent duplicate gets the same answer. */
	readonly #underWay = new Map<bigint, { readonly body: string; readonly answer: Promise<StoredAnswer> }>();

	readonly #faults: CommitFaults;

	constructor(private readonly options: Omit<CommitFaultsOptions, "store"> & { readonly store: EventStore }) {
		this.#faults = new CommitFaults("outcomes", options);
	}

	/**
	 * Resolves when the rows are on disk. Throws `conflict` if the key was used with another body, `unavailable` if the
	 * queue is full or the commit fails.
	 */
	async submit(submission: Submission): Promise<StoredAnswer> {
		const { idempotency } = submission;
		if (idempotency === null) return this.#enqueue(submission);
		const twin = this.#underWay.get(idempotency.key);
		if (twin !== undefined) {
			if (twin.body !== idempotency.body) throw keyConflict();
			return { ...(await twin.answer), replayed: true };
		}
		const answer = this.#enqueue(submission);
		this.#underWay.set(idempotency.key, { body: idempotency.body, answer });
		try {
			return await answer;
		} finally {
			this.#underWay.delete(idempotency.key);
		}
	}

	/** Resolves when no request waits. */
	async close(): Promise<void> {
		while (this.#running !== null) await this.#running;
		this.#faults.close();
	}

	#enqueue(submission: Submission): Promise<StoredAnswer> {
		if (this.#queuedRows > 0 && this.#queuedRows + submission.rows.length > OUTCOMES_QUEUE_ROWS_MAX) {
			return Promise.reject(
				new WeirError("unavailable", "too many outcomes wait for the store", "send them again in a moment"),
			);
		}
		this.#queuedRows += submission.rows.length;
		return new Promise((resolve, reject) => {
			this.#queue.push({ submission, sinceMs: performance.now(), resolve, reject });
			this.#running ??= this.#drain().finally(() => {
				this.#running = null;
			});
		});
	}

	async #drain(): Promise<void> {
		// Requests read from sockets in the same event-loop turn join the first group too.
		await new Promise((resolve) => setImmediate(resolve));
		while (this.#queue.length > 0) {
			const group = this.#takeGroup();
			await this.#commitGroup(group);
		}
	}

	#takeGroup(): readonly Waiting[] {
		let rows = 0;
		let count = 0;
		for (const { submission } of this.#queue) {
			if (count > 0 && rows + submission.rows.length > OUTCOMES_COMMIT_ROWS) break;
			rows += submission.rows.length;
			count++;
		}
		this.#queuedRows -= rows;
		return this.#queue.splice(0, count);
	}

	async #commitGroup(group: readonly Waiting[]): Promise<void> {
		let previousAnswers: ReadonlyMap<bigint, PreviousAnswer>;
		try {
			previousAnswers = await this.options.store.outcomes.transaction((transaction) =>
				this.#commit(transaction, group),
			);
		} catch (thrown) {
			const { code, message } = this.#faults.failed(thrown);
			const error = new WeirError(code, message, "send them again", { cause: thrown });
			for (const waiting of group) waiting.reject(error);
			return;
		}
		this.#faults.succeeded();
		this.options.meter.count(COUNTERS.commits.name, COUNTERS.commits.help, { kind: "outcomes" });
		for (const { submission, sinceMs, resolve, reject } of group) {
			const seconds = (performance.now() - sinceMs) / 1e3;
			this.options.meter.observe(HISTOGRAMS.commit.name, HISTOGRAMS.commit.help, seconds, { kind: "outcomes" });
			const previous = submission.idempotency === null ? undefined : previousAnswers.get(submission.idempotency.key);
			if (previous === undefined) resolve({ status: submission.status, body: submission.answer, replayed: false });
			else if (previous.body !== submission.idempotency?.body) reject(keyConflict());
			else resolve({ status: previous.status, body: previous.answer, replayed: true });
		}
	}

	async #commit(transaction: Transaction, group: readonly Waiting[]): Promise<ReadonlyMap<bigint, PreviousAnswer>> {
		const submissions = group.map((waiting) => waiting.submission);
		const previousAnswers = await readPreviousAnswers(transaction, submissions);
		const fresh = submissions.filter(
			({ idempotency }) => idempotency === null || !previousAnswers.has(idempotency.key),
		);
		await transaction.append(
			"outcomes",
			fresh.flatMap((submission) => submission.rows),
			putOutcome,
		);
		const atMs = BigInt(this.options.clock());
		const keyed = fresh.filter((submission) => submission.idempotency !== null);
		await transaction.append("idempotency", keyed, (to, { idempotency, status, answer }) => {
			if (idempotency === null) return;
			to.appendUHugeInt(idempotency.key);
			to.appendVarchar(idempotency.body);
			to.appendUSmallInt(status);
			to.appendVarchar(answer);
			to.appendBigInt(atMs);
		});
		return previousAnswers;
	}
}

function keyConflict(): WeirError {
	return new WeirError(
		"conflict",
		"this Idempotency-Key, or this CloudEvent's source and id, came with another body before",
		"use a new key (or id) for new outcomes, and the same body when you send one again",
	);
}

async function readPreviousAnswers(
	transaction: Transaction,
	submissions: readonly Submission[],
): Promise<ReadonlyMap<bigint, PreviousAnswer>> {
	const keys = submissions.flatMap(({ idempotency }) => (idempotency === null ? [] : [idempotency.key]));
	if (keys.length === 0) return new Map();
	// The keys are our own 128-bit integers; as literals they need one query for the whole group.
	const list = keys.map((key) => `${key}::UHUGEINT`).join(", ");
	const rows = await transaction.rows(`SELECT key, body, status, answer FROM idempotency WHERE key IN (${list})`);
	return new Map(
		rows.map((row) => [
			row.key as bigint,
			{ body: String(row.body), status: Number(row.status), answer: String(row.answer) },
		]),
	);
}

function putOutcome(to: DuckDBAppender, row: OutcomeRow): void {
	to.appendVarchar(row.metric);
	if (row.unit === null) to.appendNull();
	else to.appendUHugeInt(row.unit);
	if (row.request === null) to.appendNull();
	else to.appendUHugeInt(row.request);
	if (row.experiment === null) to.appendNull();
	else to.appendVarchar(row.experiment);
	to.appendDouble(row.value);
	to.appendBigInt(BigInt(row.eventMs));
	to.appendBigInt(BigInt(row.receivedMs));
}
