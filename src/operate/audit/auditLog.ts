/**
 * The audit log of operators. A record is appended in the transaction of its operation. Operations and refused attempts
 * are two chains, so that refused callers cannot push out operations. Each record holds the SHA-256 of the previous one,
 * so a changed, removed or inserted record breaks the chain. A process that can write the whole file can make a new
 * chain, so note the heads elsewhere (`weir audit operators --verify` prints them) and verify them later.
 */
import { OPERATOR_AUDIT_PAGE_MAX } from "../../limits/index.js";
import type { AuditHead, AuditRecord, NewAuditRecord } from "./auditRecord.js";
import { AuditStore, type AuditTables } from "./auditStore.js";

/** Object names in one audit record, which also has their total. A larger change writes several records. */
const OPERATOR_AUDIT_OBJECTS_MAX = 50;

/**
 * Audit records that are kept: 100 MB at 1 KB each (up to 14 KB with 50 long names). The oldest are dropped and counted.
 * `--verify` reports more dropped records than this explains: keep the old number beside a new one.
 */
const OPERATOR_AUDIT_RECORDS_MAX = 100_000;

/** Refused attempts that are kept, in a chain of their own, so that they evict no record of an operation. */
const OPERATOR_AUDIT_REFUSED_MAX = 50_000;

/** Refused attempts of one subject that are recorded per minute; the rest is counted. Each record is a disk write. */
const OPERATOR_AUDIT_REFUSALS_PER_MINUTE = 60;

/** Subjects with a separate count of refusals; further ones share one. */
const OPERATOR_AUDIT_SUBJECTS_MAX = 1_000;

/** operations: done or pending; refused: attempts. */
export const AUDIT_CHAINS = ["operations", "refused"] as const;
export type AuditChainName = (typeof AUDIT_CHAINS)[number];

export interface AuditPage {
	readonly records: readonly AuditRecord[];
	/** `after` for the next page; null = no more yet. */
	readonly next: number | null;
	/** The newest record and its hash; sequence 0 for an empty chain. */
	readonly head: AuditHead;
	/** Number of dropped records. */
	readonly dropped: number;
	/** Number of records to keep. */
	readonly keep: number;
}

export class AuditLog {
	readonly #tables: AuditTables;
	readonly #stores: Readonly<Record<AuditChainName, AuditStore>>;
	/** Limited records of the current minute, by kind and subject. */
	readonly #limited = new Map<string, number>();
	#minute = 0;
	#unrecorded = 0;

	/** @param keep records of each chain; only for tests */
	constructor(tables: AuditTables, keep?: number) {
		this.#tables = tables;
		this.#stores = {
			operations: new AuditStore(tables, "audit", keep ?? OPERATOR_AUDIT_RECORDS_MAX),
			refused: new AuditStore(tables, "auditRefused", keep ?? OPERATOR_AUDIT_REFUSED_MAX),
		};
	}

	/** Runs inside the caller's transaction, or in its own durable one. */
	append(made: NewAuditRecord): void {
		const isRefused = made.result === "refused";
		if (isRefused && this.#isTooMany("refused", made, OPERATOR_AUDIT_REFUSALS_PER_MINUTE)) {
			this.#unrecorded += 1;
			return;
		}
		this.#append(isRefused ? "refused" : "operations", made, [made.objects.slice(0, OPERATOR_AUDIT_OBJECTS_MAX)]);
		if (isRefused) this.#unrecorded = 0;
	}

	/** Lists all objects of a change, in several records if needed: 50 harmless objects could hide another one. */
	appendWhole(made: NewAuditRecord): void {
		this.#append("operations", made, inPieces(made.objects));
	}

	/** @param pieces the objects of each record */
	#append(chain: AuditChainName, made: NewAuditRecord, pieces: readonly (readonly string[])[]): void {
		const unrecordedRefusals = chain === "refused" ? this.#unrecorded : 0;
		this.#tables.transaction(() => {
			for (const objects of pieces)
				this.#stores[chain].append({ ...made, objects, objectCount: made.objects.length, unrecordedRefusals });
		});
	}

	/** For repeated calls that change nothing: one record a minute for each subject. */
	appendOnce(made: NewAuditRecord): void {
		if (!this.#isTooMany(`${made.result} ${made.verb} once`, made, 1)) this.append(made);
		else if (made.result === "refused") this.#unrecorded += 1;
	}

	/** Number of dropped records of a chain. */
	dropped(chain: AuditChainName): number {
		return this.#stores[chain].dropped;
	}

	/** Records after the given sequence, oldest first. */
	page(after: number, limit: number, chain: AuditChainName = "operations"): AuditPage {
		const store = this.#stores[chain];
		const size = Math.min(limit, OPERATOR_AUDIT_PAGE_MAX);
		const found = store.after(after, size + 1);
		const records = found.slice(0, size);
		const next = found.length > size ? (records.at(-1)?.sequence ?? null) : null;
		return { records, next, head: store.head, dropped: store.dropped, keep: store.keep };
	}

	/** Kept in memory: it limits disk writes, and restarts are rare. */
	#isTooMany(kind: string, { subject, atMs }: NewAuditRecord, perMinute: number): boolean {
		const minute = Math.floor(atMs / 60_000);
		if (minute !== this.#minute) {
			this.#minute = minute;
			this.#limited.clear();
		}
		const own = `${kind} ${subject}`;
		const known = subject !== null && (this.#limited.has(own) || this.#limited.size < OPERATOR_AUDIT_SUBJECTS_MAX);
		const key = known ? own : kind;
		const count = (this.#limited.get(key) ?? 0) + 1;
		this.#limited.set(key, count);
		return count > perMinute;
	}
}

function inPieces(objects: readonly string[]): readonly (readonly string[])[] {
	const count = Math.max(1, Math.ceil(objects.length / OPERATOR_AUDIT_OBJECTS_MAX));
	return Array.from({ length: count }, (_, at) =>
		objects.slice(at * OPERATOR_AUDIT_OBJECTS_MAX, (at + 1) * OPERATOR_AUDIT_OBJECTS_MAX),
	);
}
