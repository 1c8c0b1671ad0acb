/**
 * POST /v1/outcomes: parses a body, validates each row, and answers after the commit.
 * 200 with the accepted and refused rows; 422 if every row was refused; 400, 403, 405, 409, 413, 415, 503 otherwise.
 * A sender without permission for one of the metrics gets 403 and no row is accepted; without permission for any metric
 * it gets 403 before its body is read.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { WeirError } from "../../../../error.js";
import { readBody } from "../../../../trust/clients/unreadBody.js";
import { HttpProblem } from "../../http.js";
import { COUNTERS, type Log, type Meter } from "../../meter.js";
import type { EventStore } from "../../store/store.js";
import type { RefusedOutcomes } from "../refusals.js";
import type { MetricCatalogue, MetricDeclaration } from "./metricDeclaration.js";
import { bodyMode, type Candidate, readRows } from "./outcomeBody.js";
import { OutcomeCommit, type StoredAnswer, type Submission } from "./outcomeCommit.js";
import { isRefusal, type OutcomeRow, type Refusal, readOutcome } from "./outcomeRow.js";
import { maySend, type Sender } from "./sender.js";

/** POST body of outcomes: 10,000 rows of about 400 bytes. */
export const OUTCOMES_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** Longest Idempotency-Key: longer than UUIDs and content hashes. */
const IDEMPOTENCY_KEY_CHARS_MAX = 256;

export interface OutcomesOptions {
	readonly store: EventStore;
	readonly catalogue: MetricCatalogue;
	readonly clock: () => number;
	readonly meter: Meter;
	readonly log: Log;
	/** Called for every unauthorised request. */
	readonly refused: (refusal: RefusedOutcomes) => void;
}

interface Judged {
	readonly rows: readonly OutcomeRow[];
	readonly refused: readonly ({ readonly index: number } & Refusal)[];
}

const ACCEPTED_TYPES =
	"application/json, application/x-ndjson, application/cloudevents+json, application/cloudevents-batch+json";

export class Outcomes {
	readonly #commit: OutcomeCommit;

	constructor(private readonly options: OutcomesOptions) {
		this.#commit = new OutcomeCommit(options);
	}

	/** Throws HttpProblem or WeirError for any answer other than 200 or 422. */
	async post(request: IncomingMessage, sender: Sender): Promise<StoredAnswer> {
		const unread = { sender, rows: null, metric: null };
		if (sender.kind === "anonymous") throw this.#forbid({ ...unread, reason: "no-identity" });
		if (!(await this.#maySendAny(sender))) throw this.#forbid({ ...unread, reason: "sender-not-granted" });
		const mode = bodyMode(request.headers);
		if (mode === null) {
			throw new HttpProblem(
				415,
				"the content type is not one that outcomes are read in",
				`use ${ACCEPTED_TYPES}, UTF-8, not compressed`,
			);
		}
		const key = idempotencyKey(request);
		const bytes = await readBody(request, OUTCOMES_BODY_BYTES_MAX);
		const candidates = readRows(mode, utf8(bytes), request.headers);
		const judged = await this.#judge(candidates, sender);
		const { rows, refused } = judged;
		const barred = refused.filter((row) => row.code === "sender-not-granted");
		if (barred.length > 0) {
			const metric = await this.#firstDeclared(barred.map(({ index }) => candidates[index]));
			throw this.#forbid({ sender, reason: "sender-not-granted", rows: candidates.length, metric });
		}
		const answer = await this.#commit.submit({
			rows,
			status: rows.length === 0 && refused.length > 0 ? 422 : 200,
			answer: JSON.stringify({ accepted: rows.length, refused }),
			idempotency: this.#idempotency(sender, key ?? (rows.length === 0 ? null : eventsKey(candidates)), () =>
				key === null ? eventsHash(candidates) : bodyHash(mode, request, bytes),
			),
		});
		this.#count(judged, answer.replayed);
		return answer;
	}

	#idempotency(sender: Sender, key: string | null, body: () => string): Submission["idempotency"] {
		return key === null ? null : { key: this.options.store.pseudonyms.text(keyOf(sender, key)), body: body() };
	}

	/** Resolves when every running request is answered. */
	close(): Promise<void> {
		return this.#commit.close();
	}

	/** Whether any Metric accepts outcomes from the sender. */
	async #maySendAny(sender: Sender): Promise<boolean> {
		if (sender.kind === "owner") return true;
		const { catalogue } = this.options;
		const takesSome = (metrics: ReadonlyMap<string, MetricDeclaration>): boolean =>
			[...metrics.values()].some((metric) => maySend(sender, metric));
		// The grant may be younger than the cached catalogue.
		return takesSome(await catalogue.current()) || takesSome(await catalogue.refresh());
	}

	/** An undeclared name is the sender's own text, and is not recorded. */
	async #firstDeclared(candidates: readonly (Candidate | undefined)[]): Promise<string | null> {
		const declared = await this.options.catalogue.current();
		for (const candidate of candidates) {
			const row = candidate !== undefined && "row" in candidate ? candidate.row : null;
			const name = typeof row === "object" && row !== null && "metric" in row ? row.metric : null;
			if (typeof name === "string" && declared.has(name)) return name;
		}
		return null;
	}

	#forbid(refusal: RefusedOutcomes): WeirError {
		this.options.refused(refusal);
		return new WeirError(
			"permission-denied",
			refusal.reason === "no-identity"
				? "outcomes are taken of known senders only"
				: "the sender may not post these outcomes",
			"show an SVID whose SPIFFE id spec.senders of every Metric in the request names",
		);
	}

	async #judge(candidates: readonly Candidate[], sender: Sender): Promise<Judged> {
		const { catalogue, store, clock } = this.options;
		const receivedMs = clock();
		const judge = (metrics: ReadonlyMap<string, MetricDeclaration>): Judged => {
			const rows: OutcomeRow[] = [];
			const refused: ({ readonly index: number } & Refusal)[] = [];
			for (const [index, candidate] of candidates.entries()) {
				const context = { metrics, pseudonyms: store.pseudonyms, receivedMs, sender };
				const result =
					"refused" in candidate ? candidate.refused : readOutcome(candidate.row, candidate.fallbackTime, context);
				if (isRefusal(result)) refused.push({ index, ...result });
				else rows.push(result);
			}
			return { rows, refused };
		};
		const judged = judge(await catalogue.current());
		// A Metric or grant younger than one second may be missing from the catalogue.
		if (!judged.refused.some(({ code }) => code === "unknown-metric" || code === "sender-not-granted")) return judged;
		return judge(await catalogue.refresh());
	}

	#count({ rows, refused }: Judged, replayed: boolean): void {
		const count = (result: string, by: number): void => {
			if (by > 0) this.options.meter.count(COUNTERS.outcomes.name, COUNTERS.outcomes.help, { result }, by);
		};
		count(replayed ? "replayed" : "accepted", rows.length);
		for (const row of refused) count(row.code, 1);
	}
}

function idempotencyKey(request: IncomingMessage): string | null {
	const key = request.headers["idempotency-key"];
	if (key === undefined) return null;
	if (typeof key !== "string" || key === "" || key.length > IDEMPOTENCY_KEY_CHARS_MAX) {
		throw new WeirError(
			"invalid-argument",
			"the Idempotency-Key is empty or too long",
			`send one of 1 to ${IDEMPOTENCY_KEY_CHARS_MAX} characters, a UUID for example`,
		);
	}
	return key;
}

/** Keys are scoped to the sender: another sender can neither use one up nor read its answer. */
const keyOf = (sender: Sender, key: string): string => (sender.kind === "spiffe" ? `${sender.id} ${key}` : key);

/**
 * Key of CloudEvents without an Idempotency-Key: their sources and ids, which are unique (CloudEvents 1.0,
 * section 3.1.1). It identifies a batch only as a whole. No header can equal it, because it has line ends.
 * null: not CloudEvents.
 */
function eventsKey(candidates: readonly Candidate[]): string | null {
	const events = candidates.map((candidate) => ("event" in candidate ? (candidate.event ?? null) : null));
	return events.some((event) => event !== null) ? `\nCloudEvents\n${JSON.stringify(events)}` : null;
}

/** Hash of the events' content, the same in every content mode. */
const eventsHash = (candidates: readonly Candidate[]): string =>
	createHash("sha256").update(JSON.stringify(candidates)).digest("hex");

/** Hash of the bytes and of the headers that change their meaning. */
function bodyHash(mode: string, request: IncomingMessage, bytes: Buffer): string {
	const hash = createHash("sha256").update(`${mode}\n`);
	if (mode === "binary-event") {
		for (const name of ["id", "source", "type", "time"]) hash.update(`${String(request.headers[`ce-${name}`])}\n`);
	}
	return hash.update(bytes).digest("hex");
}

const decoder = new TextDecoder("utf-8", { fatal: true });

function utf8(bytes: Buffer): string {
	try {
		return decoder.decode(bytes);
	} catch (thrown) {
		throw new WeirError("invalid-argument", "the body is not UTF-8", "encode it as UTF-8", { cause: thrown });
	}
}
