/**
 * What operators did and tried: appended in the transaction of the act itself, so that neither is there without the
 * other. Each record holds the SHA-256 of the one before: who changes, removes or inserts one breaks the chain from
 * there on. Who can write the whole file can make a new chain, so people note the head elsewhere (`weir audit
 * operators --verify` prints it) and check later that it is still in the chain.
 */
import {
	OPERATOR_AUDIT_OBJECTS_MAX,
	OPERATOR_AUDIT_PAGE_MAX,
	OPERATOR_AUDIT_RECORDS_MAX,
	OPERATOR_AUDIT_REFUSALS_PER_MINUTE,
	OPERATOR_AUDIT_SUBJECTS_MAX,
} from "../limits.js";
import { AUDIT_GENESIS, auditHash } from "./auditHash.js";
import { type AuditGap, AuditShelf, gapsHash } from "./auditShelf.js";
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
	/** 1, 2, 3 …; what is not kept any more leaves a gap. */
	readonly sequence: number;
	/** SHA-256 of the record before (its canonical JSON), hexadecimal; zeros for the first. */
	readonly previous: string;
	/** Of all objects, also those that are not listed. */
	readonly objectCount: number;
	/** Refused attempts since the record before that were counted and not recorded. */
	readonly unrecordedRefusals: number;
	/** Hash of all gaps (auditShelf.ts) as they stood when it was written; null = there were none. */
	readonly gaps: string | null;
}

export interface AuditPage {
	readonly records: readonly AuditRecord[];
	/** Ask again with `after` = this; null = there are no more yet. */
	readonly next: number | null;
	/** The newest record and its hash; sequence 0 while there is none. */
	readonly head: AuditHead;
	/** Records before the oldest one, which were dropped. */
	readonly dropped: number;
	/** Records between others that were dropped, since others had fewer; on the last page only. */
	readonly gaps: readonly AuditGap[];
}

export interface AuditHead {
	readonly sequence: number;
	readonly hash: string;
}

export class AuditLog {
	readonly #database: StateDatabase;
	readonly #shelf: AuditShelf;
	/** Records of the present minute that are limited, by kind and subject. */
	readonly #limited = new Map<string, number>();
	#minute = 0;
	#unrecorded = 0;

	constructor(database: StateDatabase, keep = OPERATOR_AUDIT_RECORDS_MAX, gapsMax?: number) {
		this.#database = database;
		this.#shelf = new AuditShelf(database, keep, gapsMax);
	}

	/** All records that were dropped. */
	get gone(): number {
		return this.#shelf.gone;
	}

	/** Runs inside the caller's transaction; without one it is a durable transaction of its own. */
	append(made: NewAuditRecord): void {
		if (made.result === "refused" && this.#isTooMany(made, OPERATOR_AUDIT_REFUSALS_PER_MINUTE)) {
			this.#unrecorded += 1;
			return;
		}
		this.#database.transaction(() => {
			const last = this.#last();
			const previous = last === null ? AUDIT_GENESIS : auditHash(last);
			this.#shelf.makeRoom();
			this.#shelf.put({
				...made,
				objects: made.objects.slice(0, OPERATOR_AUDIT_OBJECTS_MAX),
				objectCount: made.objects.length,
				sequence: (last?.sequence ?? 0) + 1,
				previous,
				unrecordedRefusals: this.#unrecorded,
				gaps: gapsHash(this.#shelf.gaps),
			});
		});
		this.#unrecorded = 0;
	}

	/** What a subject does again and again and that changes nothing: one record stands for all of a minute. */
	appendOnce(made: NewAuditRecord): void {
		if (!this.#isTooMany(made, 1)) this.append(made);
	}

	/** Records after the given sequence, oldest first. */
	page(after: number, limit: number): AuditPage {
		const size = Math.min(limit, OPERATOR_AUDIT_PAGE_MAX);
		const found = [...this.#database.audit.getRange({ start: after + 1, limit: size + 1 })].map(({ value }) => value);
		const records = found.slice(0, size);
		const last = this.#last();
		const more = found.length > size;
		return {
			records,
			next: more ? (records.at(-1)?.sequence ?? null) : null,
			head: last === null ? { sequence: 0, hash: AUDIT_GENESIS } : { sequence: last.sequence, hash: auditHash(last) },
			dropped: this.#shelf.dropped,
			gaps: more ? [] : this.#shelf.gaps,
		};
	}

	#last(): AuditRecord | null {
		for (const { value } of this.#database.audit.getRange({ reverse: true, limit: 1 })) return value;
		return null;
	}

	/** Lost with the process: the bound is on disk writes, and a restart is rare. */
	#isTooMany({ subject, verb, result, atMs }: NewAuditRecord, perMinute: number): boolean {
		const minute = Math.floor(atMs / 60_000);
		if (minute !== this.#minute) {
			this.#minute = minute;
			this.#limited.clear();
		}
		const kind = result === "refused" ? "refused" : `done ${verb}`;
		const own = `${kind} ${subject}`;
		const known = subject !== null && (this.#limited.has(own) || this.#limited.size < OPERATOR_AUDIT_SUBJECTS_MAX);
		const key = known ? own : kind;
		const count = (this.#limited.get(key) ?? 0) + 1;
		this.#limited.set(key, count);
		return count > perMinute;
	}
}
