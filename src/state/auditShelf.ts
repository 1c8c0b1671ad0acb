/**
 * The audit records that are kept, and who goes when there are too many: the oldest of whoever holds the most, so that
 * nobody's acts are pushed out while somebody else has more of them. What goes between others leaves a gap, with the hashes
 * on both sides of it; the newest record holds the hash of all gaps, so that the chain still binds what lies before them.
 */
import { createHash } from "node:crypto";
import { OPERATOR_AUDIT_GAPS_MAX } from "../limits.js";
import { auditHash } from "./auditHash.js";
import type { AuditRecord, NewAuditRecord } from "./auditLog.js";
import type { StateDatabase } from "./database.js";

/** Records that went between others. */
export interface AuditGap {
	/** Sequences of the first and the last of them. */
	readonly from: number;
	readonly to: number;
	/** Hash of the record before the first of them. */
	readonly before: string;
	/** Hash of the last of them, which the record after it holds. */
	readonly after: string;
}

/** SHA-256 of all gaps in order, hexadecimal; null = there are none. */
export function gapsHash(gaps: readonly AuditGap[]): string | null {
	if (gaps.length === 0) return null;
	const lines = gaps.map(({ from, to, before, after }) => `${from} ${to} ${before} ${after}\n`);
	return createHash("sha256").update(lines.join("")).digest("hex");
}

/** Everything here runs inside a transaction of the caller. */
export class AuditShelf {
	constructor(
		private readonly database: StateDatabase,
		private readonly keep: number,
		private readonly gapsMax = OPERATOR_AUDIT_GAPS_MAX,
	) {}

	get gaps(): readonly AuditGap[] {
		return [...this.database.auditGaps.getRange()].map(({ value }) => value);
	}

	/** Those that went as the oldest of all. */
	get dropped(): number {
		return this.database.counters.get("auditDropped") ?? 0;
	}

	/** All that went. */
	get gone(): number {
		return this.dropped + this.gaps.reduce((sum, { from, to }) => sum + to - from + 1, 0);
	}

	/** Makes room for one more. */
	makeRoom(): void {
		this.#countOnce();
		while (this.#held() >= this.keep) {
			const [most] = this.database.auditSizes.getRange({ reverse: true, limit: 1 });
			if (most === undefined) return;
			const [, holder] = most.key;
			const [oldest] = this.database.auditHeld.getRange({ start: [holder, 0], limit: 1 });
			if (oldest === undefined) return;
			this.#drop(oldest.key[1]);
			this.#joinGaps();
		}
	}

	put(record: AuditRecord): void {
		this.database.audit.putSync(record.sequence, record);
		this.#count(record, 1);
	}

	#held(): number {
		return this.database.counters.get("auditHeld") ?? 0;
	}

	/** Records of an earlier Weir were not counted by holder. */
	#countOnce(): void {
		if (this.database.counters.get("auditHeld") !== undefined) return;
		this.database.counters.putSync("auditHeld", 0);
		for (const { value } of [...this.database.audit.getRange()]) this.#count(value, 1);
	}

	#count(record: AuditRecord, more: 1 | -1): void {
		const { auditHeld, auditSizes, auditShares, counters } = this.database;
		const holder = holderOf(record);
		if (more === 1) auditHeld.putSync([holder, record.sequence], true);
		else auditHeld.removeSync([holder, record.sequence]);
		const was = auditShares.get(holder) ?? 0;
		if (was > 0) auditSizes.removeSync([was, holder]);
		if (was + more > 0) {
			auditShares.putSync(holder, was + more);
			auditSizes.putSync([was + more, holder], true);
		} else auditShares.removeSync(holder);
		counters.putSync("auditHeld", this.#held() + more);
	}

	#drop(sequence: number): void {
		const { audit, auditGaps, counters } = this.database;
		const record = audit.get(sequence);
		if (record === undefined) return;
		audit.removeSync(sequence);
		this.#count(record, -1);
		if (sequence === this.dropped + 1) {
			const behind = auditGaps.get(sequence + 1);
			if (behind !== undefined) auditGaps.removeSync(behind.from);
			counters.putSync("auditDropped", behind?.to ?? sequence);
			return;
		}
		let gap: AuditGap = { from: sequence, to: sequence, before: record.previous, after: auditHash(record) };
		const [below] = auditGaps.getRange({ start: sequence, reverse: true, limit: 1 });
		if (below?.value.to === sequence - 1) gap = { ...gap, from: below.value.from, before: below.value.before };
		const above = auditGaps.get(sequence + 1);
		if (above !== undefined) {
			gap = { ...gap, to: above.to, after: above.after };
			auditGaps.removeSync(above.from);
		}
		auditGaps.putSync(gap.from, gap);
	}

	/** Too many gaps become fewer: what lies between the oldest two goes. */
	#joinGaps(): void {
		const [first, second, ...more] = this.gaps;
		if (first === undefined || second === undefined || more.length + 2 <= this.gapsMax) return;
		for (let sequence = first.to + 1; sequence < second.from; sequence++) this.#drop(sequence);
	}
}

/** Refused attempts of a subject are apart from its acts. A key of bounded length. */
function holderOf({ subject, result }: NewAuditRecord): string {
	const whose = `${result === "refused" ? "refused" : "acts"} ${subject ?? ""}`;
	return createHash("sha256").update(whose).digest("hex").slice(0, 32);
}
