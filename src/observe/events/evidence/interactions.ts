/** Units in arms of two experiments: moments by both assignments, computed on request. */

import type { Row, Transaction } from "../store/store.js";
import { MOMENT_COLUMNS, momentsOfRows, VARIABLES_MAX } from "./aggregateSql.js";
import { unconflicted } from "./closing.js";
import { closedSeries, erasOf } from "./eras.js";

export interface Crossing {
	/** Units in both, by arm and other_arm. */
	readonly units: readonly Row[];
	/** Columns of `aggregates` by series, arm and other_arm. */
	readonly sums: readonly Row[];
}

/** @param metrics names of the metrics to read */
export async function crossing(
	transaction: Transaction,
	experiment: string,
	other: string,
	metrics: readonly string[],
): Promise<Crossing> {
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE crossed AS SELECT u.*, v.arm AS other_arm FROM units u JOIN units v USING (unit)
		WHERE u.experiment = $experiment AND v.experiment = $other AND ${unconflicted("u")} AND ${unconflicted("v")}`,
		{ experiment, other },
	);
	const units = await transaction.rows(
		"SELECT arm, other_arm, count(*) AS units FROM crossed GROUP BY ALL ORDER BY ALL",
	);
	const keys = ["series", "arm", "other_arm", "covered"];
	const rows = `(SELECT o.*, c.arm, c.other_arm, o.x1 IS NOT NULL AS covered FROM all_observations o JOIN crossed c USING (ordinal))`;
	const sums = [
		...(await transaction.rows(`SELECT *, 0 AS closed FROM (${momentsOfRows(VARIABLES_MAX, keys, rows)})`)),
	];
	const none = MOMENT_COLUMNS.map((column) => `${column === "n" ? "0" : "NULL"} AS ${column}`).join(", ");
	for (const [metric, eras] of await erasOf(transaction, experiment)) {
		if (!metrics.includes(metric)) continue;
		sums.push(
			...(await transaction.rows(
				`SELECT series, arm, other_arm, FALSE AS covered, count(*) AS closed, ${none}
				FROM (SELECT ${closedSeries(eras)} AS series, u.arm, u.other_arm FROM crossed u)
				WHERE series IS NOT NULL GROUP BY series, arm, other_arm`,
			)),
		);
	}
	await transaction.run("DROP TABLE crossed");
	return { units, sums };
}
