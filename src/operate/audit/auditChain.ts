/** Verifies a chain of audit records from any source. */
import { AUDIT_GENESIS, auditHash } from "./auditHash.js";
import type { AuditPage } from "./auditLog.js";
import type { AuditHead, AuditRecord } from "./auditRecord.js";

type Link = Pick<AuditRecord, "sequence" | "previous"> & { readonly hash: string };

/** Add the records in order; end() returns the first fault. */
export class AuditChain {
	readonly #links: Link[] = [];

	/** @param noted heads from earlier runs, which must still be in the chain */
	constructor(readonly noted: readonly AuditHead[] = []) {}

	add(record: AuditRecord): void {
		const { sequence, previous } = record;
		this.#links.push({ sequence, previous, hash: auditHash(record) });
	}

	/**
	 * The first fault; null = the chain is valid. Takes the last page.
	 */
	end({ head, dropped, keep }: Pick<AuditPage, "head" | "dropped" | "keep">): string | null {
		// Records that were dropped while the pages were read are not checked.
		const links = this.#links.filter(({ sequence }) => sequence > dropped);
		if (dropped > Math.max(0, head.sequence - keep)) {
			return `the answer has ${dropped} records as dropped, but of ${head.sequence} the newest ${keep} are kept`;
		}
		for (const [at, link] of links.entries()) {
			const fault = faultBefore(links[at - 1], link, dropped);
			if (fault !== null) return fault;
		}
		const last = links.at(-1) ?? { sequence: 0, hash: AUDIT_GENESIS };
		if (last.sequence !== head.sequence || last.hash !== head.hash) {
			return `the newest record is ${head.sequence}, the chain ends at ${last.sequence}`;
		}
		for (const { sequence, hash } of this.noted) {
			if (sequence <= dropped) continue;
			const found = links.find((link) => link.sequence === sequence);
			if (found === undefined) return `record ${sequence}, which was noted, is not there`;
			if (found.hash !== hash) return `record ${sequence} is not the one that was noted`;
		}
		return null;
	}

	/** Noted records that were dropped since: they and earlier ones cannot be verified. */
	notKept({ dropped }: Pick<AuditPage, "dropped">): readonly number[] {
		return this.noted.map(({ sequence }) => sequence).filter((sequence) => sequence > 0 && sequence <= dropped);
	}
}

function faultBefore(before: Link | undefined, { sequence, previous }: Link, dropped: number): string | null {
	if (before === undefined) {
		if (sequence !== dropped + 1) return `after ${dropped} dropped records comes ${sequence}`;
		return sequence === 1 && previous !== AUDIT_GENESIS ? "record 1 was written after another one" : null;
	}
	if (sequence !== before.sequence + 1) return `after record ${before.sequence} comes ${sequence}`;
	if (previous === before.hash) return null;
	return `record ${before.sequence} is not the one that record ${sequence} was written after`;
}
