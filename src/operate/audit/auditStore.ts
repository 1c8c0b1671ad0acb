/** One chain of audit records in the state file: without gaps and bounded; dropped records are counted. */

import { AUDIT_GENESIS, auditHash } from "./auditHash.js";
import type { AuditHead, AuditRecord } from "./auditRecord.js";

/** The part of the state file that holds audit records. */
export interface AuditTables {
	/** By sequence. */
	readonly audit: AuditTable;
	readonly auditRefused: AuditTable;
	readonly counters: {
		get(counter: DroppedCounter): number | undefined;
		putSync(counter: DroppedCounter, value: number): unknown;
	};
	/** One durable transaction, or a part of the one that runs. */
	transaction<T>(change: () => T): T;
}

type DroppedCounter = "auditDropped" | "auditRefusedDropped";

interface AuditTable {
	putSync(sequence: number, record: AuditRecord): unknown;
	removeSync(sequence: number): unknown;
	getKeys(range: { readonly end: number }): Iterable<number>;
	getRange(range: {
		readonly start?: number;
		readonly limit: number;
		readonly reverse?: boolean;
	}): Iterable<{ readonly value: AuditRecord }>;
}

export class AuditStore {
	/** @param keep number of records to keep */
	constructor(
		private readonly tables: AuditTables,
		private readonly chain: "audit" | "auditRefused",
		readonly keep: number,
	) {}

	/** The highest dropped sequence. */
	get dropped(): number {
		return this.tables.counters.get(`${this.chain}Dropped`) ?? 0;
	}

	/** The newest record and its hash. */
	get head(): AuditHead {
		const last = this.#last();
		return last === null ? { sequence: 0, hash: AUDIT_GENESIS } : { sequence: last.sequence, hash: auditHash(last) };
	}

	/** Runs inside the caller's transaction. */
	append(made: Omit<AuditRecord, "sequence" | "previous">): void {
		const records = this.tables[this.chain];
		const { sequence: before, hash: previous } = this.head;
		const sequence = before + 1;
		records.putSync(sequence, { ...made, sequence, previous });
		const newestGone = sequence - this.keep;
		if (newestGone < 1) return;
		for (const gone of [...records.getKeys({ end: newestGone + 1 })]) records.removeSync(gone);
		this.tables.counters.putSync(`${this.chain}Dropped`, newestGone);
	}

	/** Records after the given sequence, oldest first. */
	after(sequence: number, limit: number): readonly AuditRecord[] {
		return [...this.tables[this.chain].getRange({ start: sequence + 1, limit })].map(({ value }) => value);
	}

	#last(): AuditRecord | null {
		for (const { value } of this.tables[this.chain].getRange({ reverse: true, limit: 1 })) return value;
		return null;
	}
}
