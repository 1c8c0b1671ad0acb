/** Rows read from access-log entries that are not committed yet. */
import type { Exposure, Forced, RequestKey, RequestRow } from "./requestRow.js";

interface Pending {
	readonly rows: readonly RequestRow[];
	readonly exposures: readonly Exposure[];
	readonly forced: readonly Forced[];
	/** Refused requests whose start rows are to be removed. */
	readonly refused: readonly RequestKey[];
}

export class Backlog {
	rows: RequestRow[] = [];
	exposures: Exposure[] = [];
	forced: Forced[] = [];
	refused: RequestKey[] = [];

	/** Removes and returns the oldest rows, at most this many, and everything else. */
	take(rowsMax: number): Pending {
		const batch = { ...this, rows: this.rows.splice(0, rowsMax) };
		[this.exposures, this.forced, this.refused] = [[], [], []];
		return batch;
	}

	/** Puts back what could not be committed. */
	giveBack({ rows, exposures, forced, refused }: Pending): void {
		this.rows = rows.concat(this.rows);
		this.exposures = exposures.concat(this.exposures);
		this.forced = forced.concat(this.forced);
		this.refused = refused.concat(this.refused);
	}
}
