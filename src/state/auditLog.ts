/**
 * What operators did and tried: appended in the transaction of the act itself, so that neither is there without the
 * other. Each record holds the SHA-256 of the one before: who changes, removes or inserts one breaks the chain from
 * there on. Who can write the whole file can make a new chain, so people note the head elsewhere (`weir audit
 * operators --verify` prints it) and check later that it is still in the chain.
 */
import { createHash } from "node:crypto";
import {
	OPERATOR_AUDIT_OBJECTS_MAX,
	OPERATOR_AUDIT_PAGE_MAX,
	OPERATOR_AUDIT_RECORDS_MAX,
	OPERATOR_AUDIT_REFUSALS_PER_MINUTE,
	OPERATOR_AUDIT_SUBJECTS_MAX,
} from "../limits.js";
import { canonicalJson } from "../rollout/canonicalJson.js";
import type { Caller } from "./caller.js";
import type { StateDatabase } from "./database.js";

export interface NewAuditRecord {
	readonly atMs: number;
	/** Of the API call; also its response header x-request-id. */
	readonly call: string;
	/** null = nobody that was known. */
	readonly subject: string | null;
	readonly how: Caller["how"] | null;
	/** apply, delete, pause, resume, promote, abort, approve, reject, read; connect: an xDS stream; take: what is published, by an Envoy or a sidecar. */
	readonly verb: string;
	readonly namespaces: readonly string[];
	/** `Service team/x`, `Experiment trial`, or a path; at most OPERATOR_AUDIT_OBJECTS_MAX are kept. */
	readonly objects: readonly string[];
	readonly revisionBefore: number;
	readonly revisionAfter: number;
	/** pending: asked for, and waiting for approval. */
	readonly result: "done" | "refused" | "pending";
	/** Why it was refused, or in the operator's words; empty = nothing to say. */
	readonly why: string;
	/** Id of the approval request that it made, moved or carried out. */
	readonly request: string | null;
	/** Who asked for what was carried out, and who approved it. */
	readonly askedBy: string | null;
	readonly approvedBy: readonly string[];
}

export interface AuditRecord extends NewAuditRecord {
	/** 1, 2, 3 … without a gap. */
	readonly sequence: number;
	/** SHA-256 of the record before (its canonical JSON), hexadecimal; zeros for the first. */
	readonly previous: string;
	/** Of all objects, also those that are not listed. */
	readonly objectCount: number;
	/** Refused attempts since the record before that were counted and not recorded. */
	readonly unrecordedRefusals: number;
}

export interface AuditPage {
	readonly records: readonly AuditRecord[];
	/** Ask again with `after` = this; null = there are no more yet. */
	readonly next: number | null;
	/** The newest record and its hash; sequence 0 while there is none. */
	readonly head: AuditHead;
	/** Older records that were dropped. */
	readonly dropped: number;
}

export interface AuditHead {
	readonly sequence: number;
	readonly hash: string;
}

/** What the chain begins with. */
export const AUDIT_GENESIS = "0".repeat(64);

/** SHA-256 of a record, hexadecimal. */
export function auditHash(record: AuditRecord): string {
	return createHash("sha256").update(canonicalJson(record)).digest("hex");
}

export class AuditLog {
	readonly #database: StateDatabase;
	readonly #keep: number;
	/** Refusals of the present minute, by subject. */
	readonly #refusals = new Map<string, number>();
	#minute = 0;
	#unrecorded = 0;

	constructor(database: StateDatabase, keep = OPERATOR_AUDIT_RECORDS_MAX) {
		this.#database = database;
		this.#keep = keep;
	}

	/** Runs inside the caller's transaction; without one it is a durable transaction of its own. */
	append(made: NewAuditRecord): void {
		if (made.result === "refused" && this.#isTooMany(made)) {
			this.#unrecorded += 1;
			return;
		}
		const { audit, counters } = this.#database;
		const last = this.#last();
		const record: AuditRecord = {
			...made,
			objects: made.objects.slice(0, OPERATOR_AUDIT_OBJECTS_MAX),
			objectCount: made.objects.length,
			sequence: (last?.sequence ?? 0) + 1,
			previous: last === null ? AUDIT_GENESIS : auditHash(last),
			unrecordedRefusals: this.#unrecorded,
		};
		this.#database.transaction(() => {
			audit.putSync(record.sequence, record);
			const dropped = counters.get("auditDropped") ?? 0;
			const surplus = record.sequence - dropped - this.#keep;
			for (let at = dropped + 1; at <= dropped + surplus; at++) audit.removeSync(at);
			if (surplus > 0) counters.putSync("auditDropped", dropped + surplus);
		});
		this.#unrecorded = 0;
	}

	/** Records after the given sequence, oldest first. */
	page(after: number, limit: number): AuditPage {
		const size = Math.min(limit, OPERATOR_AUDIT_PAGE_MAX);
		const found = [...this.#database.audit.getRange({ start: after + 1, limit: size + 1 })].map(({ value }) => value);
		const records = found.slice(0, size);
		const last = this.#last();
		return {
			records,
			next: found.length > size ? (records.at(-1)?.sequence ?? null) : null,
			head: last === null ? { sequence: 0, hash: AUDIT_GENESIS } : { sequence: last.sequence, hash: auditHash(last) },
			dropped: this.#database.counters.get("auditDropped") ?? 0,
		};
	}

	#last(): AuditRecord | null {
		for (const { value } of this.#database.audit.getRange({ reverse: true, limit: 1 })) return value;
		return null;
	}

	/** Lost with the process: the bound is on disk writes, and a restart is rare. */
	#isTooMany({ subject, atMs }: NewAuditRecord): boolean {
		const minute = Math.floor(atMs / 60_000);
		if (minute !== this.#minute) {
			this.#minute = minute;
			this.#refusals.clear();
		}
		const known =
			subject !== null && (this.#refusals.has(subject) || this.#refusals.size < OPERATOR_AUDIT_SUBJECTS_MAX);
		const key = known ? subject : "";
		const count = (this.#refusals.get(key) ?? 0) + 1;
		this.#refusals.set(key, count);
		return count > OPERATOR_AUDIT_REFUSALS_PER_MINUTE;
	}
}
