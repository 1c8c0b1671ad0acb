/** One batch of requests and exposures into the store: set operations that find first exposures and conflicts. */
import { IN_PROGRESS_MS, SEGMENT_VALUES_MAX } from "../../../../limits/index.js";
import type { Row, Transaction } from "../../store/store.js";
import { LOSSES, type Lost } from "./losses.js";
import type { Exposure, Forced, RequestKey, RequestRow } from "./requestRow.js";
import { putExposure, putRow } from "./rowAppend.js";

/** How long after a drop older entries may still arrive: a worker's buffer (32 MiB) at low speed. */
export const DROPPED_BACKLOG_MS = 10_000;

export interface Batch {
	readonly rows: readonly RequestRow[];
	readonly exposures: readonly Exposure[];
	readonly forced: readonly Forced[];
	/** Requests of this or an earlier batch whose start rows are removed. */
	readonly refused: readonly RequestKey[];
	/** Losses since the last commit. */
	readonly lost: Lost;
	readonly nowMs: number;
}

/** Results of a commit, reported once it is durable. */
export interface CommitResult {
	/** Experiment and arm of each unit exposed for the first time. */
	readonly added: readonly Row[];
	/** Experiment of each unit newly seen in two arms. */
	readonly conflicts: readonly Row[];
}

export class RequestCommit {
	/** Plans and experiments whose live points are stored. */
	readonly #explained = new Set<string>();

	/** Forgets what was written: the transaction may have been rolled back. */
	forget(): void {
		this.#explained.clear();
	}

	async write(transaction: Transaction, batch: Batch): Promise<CommitResult> {
		const { rows, exposures, forced, refused, lost, nowMs } = batch;
		const now = BigInt(nowMs);
		await transaction.append("entries", rows, putRow);
		for (const reason of LOSSES) {
			if (lost.entries[reason] === 0) continue;
			const entries = BigInt(lost.entries[reason]);
			await transaction.run("INSERT INTO losses VALUES ($now, $reason, $entries)", { now, reason, entries });
		}
		const { undeliveredSinceMs: since } = lost;
		if (since !== null) await leaveOutTime(transaction, since, nowMs + DROPPED_BACKLOG_MS);
		if (refused.length > 0) await removeStarts(transaction, refused);
		if (forced.length > 0) await leaveOut(transaction, forced, now);
		if (exposures.length === 0) return { added: [], conflicts: [] };
		await transaction.run("CREATE OR REPLACE TEMP TABLE candidates AS SELECT * EXCLUDE (ordinal) FROM units LIMIT 0");
		await transaction.appendFresh("candidates", exposures, putExposure);
		const added = await transaction.rows(
			`INSERT INTO units (experiment, unit, arm, plan, first_ms, received_ms, core, ordinal)
				SELECT *, nextval('unit_ordinals') FROM (
				SELECT experiment, unit, arg_min(arm, first_ms), arg_min(plan, first_ms), min(first_ms), min(received_ms),
					arg_min(core, first_ms)
				FROM candidates ANTI JOIN units USING (experiment, unit) GROUP BY experiment, unit)
			RETURNING experiment, arm, ordinal`,
		);
		const conflicts = await transaction.rows(
			`INSERT INTO conflicts SELECT *, FALSE, nextval('conflict_ordinals') FROM (
				SELECT DISTINCT c.experiment, c.unit, $now
				FROM candidates c JOIN units u USING (experiment, unit) ANTI JOIN conflicts k USING (experiment, unit)
				WHERE c.arm <> u.arm)
			RETURNING experiment`,
			{ now },
		);
		const [first] = added;
		if (first !== undefined) {
			const from = added.reduce((least, row) => Math.min(least, Number(row.ordinal)), Number(first.ordinal));
			await keepSegments(transaction, exposures, from);
		}
		await this.#explain(transaction, exposures);
		return { added, conflicts };
	}

	/** Stores the live points of every plan under which units were exposed. */
	async #explain(transaction: Transaction, exposures: readonly Exposure[]): Promise<void> {
		for (const { plan, experiment, livePoints } of exposures) {
			const key = `${plan}|${experiment}`;
			if (this.#explained.has(key)) continue;
			for (const [arm, points] of Object.entries(livePoints)) {
				await transaction.run(
					`INSERT INTO live_points SELECT $plan, $experiment, $arm, $points::INTEGER WHERE NOT EXISTS (
						FROM live_points WHERE plan = $plan AND experiment = $experiment AND arm = $arm)`,
					{ plan, experiment, arm, points },
				);
			}
			this.#explained.add(key);
		}
	}
}

/** Leaves out the time of a loss: requests open then may have ended unnoticed, as before an opening of the store. */
async function leaveOutTime(transaction: Transaction, fromMs: number, toMs: number): Promise<void> {
	await transaction.run(
		`INSERT INTO openings SELECT unnest(range($from::BIGINT, $to::BIGINT, ${IN_PROGRESS_MS})) UNION SELECT $to ON CONFLICT DO NOTHING`,
		{ from: BigInt(fromMs), to: BigInt(toMs) },
	);
}

async function removeStarts(transaction: Transaction, refused: readonly RequestKey[]): Promise<void> {
	await transaction.run("CREATE OR REPLACE TEMP TABLE refused AS SELECT request, start_us FROM entries LIMIT 0");
	await transaction.appendFresh("refused", refused, (to, { request, startUs }) => {
		to.appendUHugeInt(request);
		to.appendBigInt(BigInt(startUs));
	});
	const starts = refused.map(({ startUs }) => startUs);
	const least = starts.reduce((one, other) => Math.min(one, other));
	const most = starts.reduce((one, other) => Math.max(one, other));
	// Filtering by time lets the engine skip all but the newest row blocks.
	await transaction.run(
		`DELETE FROM entries WHERE NOT ended AND start_us BETWEEN $least AND $most
			AND (request, start_us) IN (SELECT (request, start_us) FROM refused)`,
		{ least: BigInt(least), most: BigInt(most) },
	);
}

async function leaveOut(transaction: Transaction, forced: readonly Forced[], now: bigint): Promise<void> {
	await transaction.run("CREATE OR REPLACE TEMP TABLE forced AS SELECT experiment, unit FROM conflicts LIMIT 0");
	await transaction.appendFresh("forced", forced, (to, { experiment, unit }) => {
		to.appendVarchar(experiment);
		to.appendUHugeInt(unit);
	});
	await transaction.run(
		`INSERT INTO conflicts SELECT *, TRUE, nextval('conflict_ordinals') FROM (
			SELECT DISTINCT experiment, unit, $now FROM forced ANTI JOIN conflicts USING (experiment, unit))`,
		{ now },
	);
}

/**
 * Segment values of the first exposing requests of new units (from that ordinal on). A segment's values are ranked in
 * order of appearance and keep their ranks; values beyond the last rank are not kept.
 */
async function keepSegments(transaction: Transaction, exposures: readonly Exposure[], from: number): Promise<void> {
	const reported = exposures.flatMap(({ experiment, unit, firstMs, segments }) =>
		Object.entries(segments).map(([segment, value]) => ({ experiment, unit, firstMs, segment, value })),
	);
	if (reported.length === 0) return;
	await transaction.run(
		"CREATE OR REPLACE TEMP TABLE reported (experiment VARCHAR, unit UHUGEINT, segment VARCHAR, value VARCHAR, first_ms BIGINT)",
	);
	await transaction.appendFresh("reported", reported, (to, { experiment, unit, segment, value, firstMs }) => {
		to.appendVarchar(experiment);
		to.appendUHugeInt(unit);
		to.appendVarchar(segment);
		to.appendVarchar(value);
		to.appendBigInt(BigInt(firstMs));
	});
	// From the first exposure only: a later one of the same batch may differ.
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE first_said AS
		SELECT u.ordinal, u.first_ms, s.experiment, s.segment, any_value(s.value) AS value
		FROM reported s JOIN units u USING (experiment, unit, first_ms) WHERE u.ordinal >= ${from}
		GROUP BY u.ordinal, u.first_ms, s.experiment, s.segment`,
	);
	await transaction.run(
		`INSERT INTO segment_values SELECT experiment, segment, value, rank FROM (
			SELECT n.experiment, n.segment, n.value, coalesce(k.known, 0) - 1 +
				row_number() OVER (PARTITION BY n.experiment, n.segment ORDER BY n.first_ms, n.value) AS rank
			FROM (SELECT experiment, segment, value, min(first_ms) AS first_ms FROM first_said
				ANTI JOIN segment_values USING (experiment, segment, value) GROUP BY ALL) n
			LEFT JOIN (SELECT experiment, segment, count(*) AS known FROM segment_values GROUP BY ALL) k
				USING (experiment, segment))
		WHERE rank < ${SEGMENT_VALUES_MAX}`,
	);
	await transaction.run(
		`INSERT INTO unit_segments SELECT ordinal, segment, rank FROM first_said
			JOIN segment_values USING (experiment, segment, value)`,
	);
}
