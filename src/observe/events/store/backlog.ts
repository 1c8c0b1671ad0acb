/** What access-log entries have said and no commit has taken yet. */
import type { Exposure, Forced, RequestKey, RequestRow } from "./requestRow.js";

interface Pending {
	readonly rows: readonly RequestRow[];
	readonly exposures: readonly Exposure[];
	readonly forced: readonly Forced[];
	/** Requests that were refused: rows of their starts go. */
	readonly refused: readonly RequestKey[];
}

export class Backlog {
	rows: RequestRow[] = [];
	exposures: Exposure[] = [];
	forced: Forced[] = [];
	refused: RequestKey[] = [];

	/** Takes out the oldest rows, so many at the most, and all of the rest. */
	take(rowsMax: number): Pending {
		const taken = { ...this, rows: this.rows.splice(0, rowsMax) };
		[this.exposures, this.forced, this.refused] = [[], [], []];
		return taken;
	}

	/** They could not be committed. */
	giveBack({ rows, exposures, forced, refused }: Pending): void {
		this.rows = rows.concat(this.rows);
		this.exposures = exposures.concat(this.exposures);
		this.forced = forced.concat(this.forced);
		this.refused = refused.concat(this.refused);
	}
}
