/**
 * When ingest was reached last by the keeper of the Envoy of this directory, which outlives that keeper: the next one tells
 * what was lost since. It is the time of an empty file, which is kept where a disk is full, too.
 */
import { closeSync, openSync, rmSync, statSync, utimesSync } from "node:fs";

export class LastReached {
	constructor(private readonly file: string) {}

	/** Epoch milliseconds; null = its keeper has told all, or there was none. */
	get ms(): number | null {
		return statSync(this.file, { throwIfNoEntry: false })?.mtimeMs ?? null;
	}

	/** Where it cannot be kept, the time before stands, and more is told than is lost. */
	keep(ms: number): void {
		try {
			closeSync(openSync(this.file, "a", 0o600));
			utimesSync(this.file, ms / 1_000, ms / 1_000);
		} catch {
			// The disk is full, or the directory has gone.
		}
	}

	/** All is told. */
	clear(): void {
		rmSync(this.file, { force: true });
	}
}
