/** Checks the chain of audit records, wherever they were read from. */
import { AUDIT_GENESIS, auditHash } from "./auditHash.js";
import type { AuditHead, AuditPage, AuditRecord } from "./auditLog.js";
import { type AuditGap, gapsHash } from "./auditShelf.js";

type Link = Pick<AuditRecord, "sequence" | "previous"> & { readonly hash: string; readonly gaps: string | null };

/** Takes record by record, in order; end() tells what is wrong. */
export class AuditChain {
	readonly #links: Link[] = [];

	/** @param noted a head that somebody wrote down earlier and that must be in the chain, if it was not dropped since */
	constructor(readonly noted: AuditHead | null = null) {}

	add(record: AuditRecord): void {
		const { sequence, previous, gaps = null } = record;
		this.#links.push({ sequence, previous, gaps, hash: auditHash(record) });
	}

	/**
	 * What is wrong; null = the chain holds.
	 * @param last the page that was read last: its gaps are those that its head is bound to
	 */
	end({ head, dropped, gaps }: Pick<AuditPage, "head" | "dropped" | "gaps">): string | null {
		const gone = (sequence: number): boolean => sequence <= dropped || isInGap(sequence, gaps);
		const gapFrom = new Map(gaps.map((gap) => [gap.from, gap]));
		// What went while the pages were read is not looked at.
		const links = this.#links.filter(({ sequence }) => !gone(sequence));
		for (const [at, link] of links.entries()) {
			const before = links[at - 1];
			const fault = this.#faultBefore(before, link, dropped, gapFrom.get((before?.sequence ?? 0) + 1));
			if (fault !== null) return fault;
		}
		const last = links.at(-1) ?? { sequence: 0, hash: AUDIT_GENESIS, gaps: null };
		if (last.sequence !== head.sequence || last.hash !== head.hash) {
			return `the newest record is ${head.sequence}, the chain ends at ${last.sequence}`;
		}
		if (last.gaps !== gapsHash(gaps)) return "the gaps are not those that the newest record was written with";
		const { noted } = this;
		if (noted !== null && !gone(noted.sequence) && links.every(({ sequence }) => sequence !== noted.sequence)) {
			return `record ${noted.sequence}, which was noted, is not there`;
		}
		return null;
	}

	#faultBefore(before: Link | undefined, link: Link, dropped: number, gap: AuditGap | undefined): string | null {
		const { sequence, previous, hash } = link;
		if (before === undefined) {
			if (sequence !== dropped + 1) return `after ${dropped} dropped records comes ${sequence}`;
			if (sequence === 1 && previous !== AUDIT_GENESIS) return "record 1 was written after another one";
		} else if (sequence === before.sequence + 1) {
			if (previous !== before.hash) {
				return `record ${before.sequence} is not the one that record ${sequence} was written after`;
			}
		} else {
			if (gap?.to !== sequence - 1) return `after record ${before.sequence} comes ${sequence}`;
			if (gap.before !== before.hash) return `record ${before.sequence} is not the one before the gap behind it`;
			if (gap.after !== previous) return `record ${sequence} was written after another one than the gap before it says`;
		}
		if (this.noted?.sequence === sequence && this.noted.hash !== hash) {
			return `record ${sequence} is not the one that was noted`;
		}
		return null;
	}
}

/** @param gaps in order */
function isInGap(sequence: number, gaps: readonly AuditGap[]): boolean {
	let [low, high] = [0, gaps.length];
	while (low < high) {
		const middle = (low + high) >> 1;
		if ((gaps[middle] as AuditGap).to < sequence) low = middle + 1;
		else high = middle;
	}
	return (gaps[low]?.from ?? Number.POSITIVE_INFINITY) <= sequence;
}
