/**
 * What operators did and tried: appended in the transaction of the act itself, so that neither is there without the
 * other. Acts and refused attempts are two chains, so that who may do nothing pushes out no act. Each record holds the
 * SHA-256 of the one before: who changes, removes or inserts one breaks the chain from there on. Who can write the
 * whole file can make a new chain, so people note the heads elsewhere (`weir audit operators --verify` prints them) and
 * check later that they are still in the chains.
 */
import {
	OPERATOR_AUDIT_OBJECTS_MAX,
	OPERATOR_AUDIT_PAGE_MAX,
	OPERATOR_AUDIT_RECORDS_MAX,
	OPERATOR_AUDIT_REFUSALS_PER_MINUTE,
	OPERATOR_AUDIT_REFUSED_MAX,
	OPERATOR_AUDIT_SUBJECTS_MAX,
} from "../../limits/index.js";
import type { StateDatabase } from "../state/store/database.js";
import type { AuditHead, AuditRecord, NewAuditRecord } from "./auditRecord.js";
import { AuditStore } from "./auditStore.js";

/** operations: what was done or waits for approval; refused: attempts. */
export const AUDIT_CHAINS = ["operations", "refused"] as const;
export type AuditChainName = (typeof AUDIT_CHAINS)[number];

export interface AuditPage {
	readonly records: readonly AuditRecord[];
	/** Ask again with `after` = this; null = there are no more yet. */
	readonly next: number | null;
	/** The newest record and its hash; sequence 0 while there is none. */
	readonly head: AuditHead;
	/** Records before the oldest one, which were dropped. */
	readonly dropped: number;
	/** How many are kept before one is dropped. */
	readonly keep: number;
}

export class AuditLog {
	readonly #database: StateDatabase;
	readonly #shelves: Readonly<Record<AuditChainName, AuditStore>>;
	/** Records of the present minute that are limited, by kind and subject. */
	readonly #limited = new Map<string, number>();
	#minute = 0;
	#unrecorded = 0;

	/** @param keep records of each chain, where a test wants fewer */
	constructor(database: StateDatabase, keep?: number) {
		this.#database = database;
		this.#shelves = {
			operations: new AuditStore(database, "audit", keep ?? OPERATOR_AUDIT_RECORDS_MAX),
			refused: new AuditStore(database, "auditRefused", keep ?? OPERATOR_AUDIT_REFUSED_MAX),
		};
	}

	/** Runs inside the caller's transaction; without one it is a durable transaction of its own. */
	append(made: NewAuditRecord): void {
		const isRefused = made.result === "refused";
		if (isRefused && this.#isTooMany("refused", made, OPERATOR_AUDIT_REFUSALS_PER_MINUTE)) {
			this.#unrecorded += 1;
			return;
		}
		this.#append(isRefused ? "refused" : "operations", made, [made.objects.slice(0, OPERATOR_AUDIT_OBJECTS_MAX)]);
		if (isRefused) this.#unrecorded = 0;
	}

	/**
	 * What changed something, recorded whole in as many records as it takes: behind 50 harmless objects one could be hidden.
	 */
	appendWhole(made: NewAuditRecord): void {
		this.#append("operations", made, inPieces(made.objects));
	}

	/** @param pieces of its objects, one for each record */
	#append(chain: AuditChainName, made: NewAuditRecord, pieces: readonly (readonly string[])[]): void {
		const unrecordedRefusals = chain === "refused" ? this.#unrecorded : 0;
		this.#database.transaction(() => {
			for (const objects of pieces)
				this.#shelves[chain].append({ ...made, objects, objectCount: made.objects.length, unrecordedRefusals });
		});
	}

	/** What a subject does or tries again and again and that changes nothing: one record stands for all of a minute. */
	appendOnce(made: NewAuditRecord): void {
		if (!this.#isTooMany(`${made.result} ${made.verb} once`, made, 1)) this.append(made);
		else if (made.result === "refused") this.#unrecorded += 1;
	}

	/** How many records of a chain were dropped. */
	dropped(chain: AuditChainName): number {
		return this.#shelves[chain].dropped;
	}

	/** Records after the given sequence, oldest first. */
	page(after: number, limit: number, chain: AuditChainName = "operations"): AuditPage {
		const shelf = this.#shelves[chain];
		const size = Math.min(limit, OPERATOR_AUDIT_PAGE_MAX);
		const found = shelf.after(after, size + 1);
		const records = found.slice(0, size);
		const next = found.length > size ? (records.at(-1)?.sequence ?? null) : null;
		return { records, next, head: shelf.head, dropped: shelf.dropped, keep: shelf.keep };
	}

	/** Lost with the process: the bound is on disk writes, and a restart is rare. */
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
