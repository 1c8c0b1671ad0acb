/** Writes to the state file. A write that the disk refuses changes nothing, and raises an alarm. */

import { WeirError } from "../../../error.js";
import { DISK_FULL, failedOnFullDisk, isFull } from "../../../trust/local/diskFault.js";

export class Writes {
	/** Error of the last write; null = it succeeded. */
	#fault: string | null = null;

	/**
	 * @param directory of the file
	 * @param commit runs a change as one durable transaction
	 * @param trial a change that changes nothing, and is written
	 */
	constructor(
		private readonly directory: string,
		private readonly commit: <T>(change: () => T) => T,
		private readonly trial: () => void,
	) {}

	/** @throws WeirError `unavailable`: the disk does not take it */
	run<T>(change: () => T): T {
		try {
			const result = this.commit(change);
			this.#fault = null;
			return result;
		} catch (error) {
			// lmdb's errors have a numeric code; the transaction was rolled back.
			if (typeof (error as { readonly code?: unknown } | null)?.code !== "number") throw error;
			this.#fault = failedOnFullDisk(error, this.directory) ? DISK_FULL : (error as Error).message;
			throw new WeirError(
				"unavailable",
				`the state file cannot be written, so nothing is changed: ${this.#fault}`,
				"check that its disk has room",
				{ cause: error },
			);
		}
	}

	/** Why writes fail; null = no known fault. After a failed write, it tries one now. */
	fault(): string | null {
		// A small write proves nothing: it fits in the free pages of the file.
		if (isFull(this.directory)) return DISK_FULL;
		if (this.#fault === null) return null;
		try {
			this.run(this.trial);
		} catch (error) {
			if (!(error instanceof WeirError)) throw error;
		}
		return this.#fault;
	}
}
