/** The writes of the state file: what its disk does not take leaves nothing, is told in words, and stands as an alarm. */

import { WeirError } from "../../../error.js";
import { DISK_FULL, failedOnFullDisk, isFull } from "../../../trust/local/diskFault.js";

export class Writes {
	/** Of the last one, where it was refused. */
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
			// lmdb's own errors are those of the disk: they have a number for a code, and have left nothing behind.
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

	/** Why nothing can be written; null = it can, as far as is known. Where the last write failed, it is tried now. */
	fault(): string | null {
		// A trial says nothing of it, nor a start anew that succeeds: what is small finds room in the file itself.
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
