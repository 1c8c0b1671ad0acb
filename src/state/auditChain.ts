/** Checks the chain of audit records, wherever they were read from. */
import { AUDIT_GENESIS, type AuditHead, type AuditRecord, auditHash } from "./auditLog.js";

/** Follows the chain record by record; `fault` is the first thing wrong with it, and then stays. */
export class AuditChain {
	#last: { readonly sequence: number; readonly hash: string } | null = null;
	#fault: string | null = null;
	#noted = false;

	/** @param noted a head that somebody wrote down earlier and that must be in the chain, if it was not dropped since */
	constructor(readonly noted: AuditHead | null = null) {}

	add(record: AuditRecord): void {
		const { sequence, previous } = record;
		const before = this.#last;
		const hash = auditHash(record);
		if (this.#fault === null) {
			if (before !== null && sequence !== before.sequence + 1) {
				this.#fault = `after record ${before.sequence} comes ${sequence}`;
			} else if (before !== null && previous !== before.hash) {
				this.#fault = `record ${before.sequence} is not the one that record ${sequence} was written after`;
			} else if (before === null && sequence === 1 && previous !== AUDIT_GENESIS) {
				this.#fault = "record 1 was written after another one";
			}
			if (this.noted?.sequence === sequence) {
				this.#noted = true;
				if (this.noted.hash !== hash) this.#fault ??= `record ${sequence} is not the one that was noted`;
			}
		}
		this.#last = { sequence, hash };
	}

	/** What is wrong; null = the chain holds. @param dropped how many of the oldest records are said to be dropped */
	end(head: AuditHead, dropped: number): string | null {
		if (this.#fault !== null) return this.#fault;
		const last = this.#last ?? { sequence: 0, hash: AUDIT_GENESIS };
		if (last.sequence !== head.sequence || last.hash !== head.hash) {
			return `the newest record is ${head.sequence}, the chain ends at ${last.sequence}`;
		}
		if (this.noted !== null && !this.#noted && this.noted.sequence > dropped) {
			return `record ${this.noted.sequence}, which was noted, is not there`;
		}
		return null;
	}
}
