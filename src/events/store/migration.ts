/** From the tables of an earlier Weir to the present ones, in the transaction in which the store is opened. */
import type { DuckDBConnection } from "@duckdb/node-api";
import { OUTCOME_VALUE_MAX } from "../../limits.js";
import { VARIABLES_MAX } from "../evidence/aggregateSql.js";

/**
 * From version 2: units and conflicts get their ordinals, and what was observed and closed becomes a series per
 * experiment and metric whose definition is not known yet.
 */
const BEFORE_3 = ["units", "conflicts", "observations", "closings"]
	.map((table) => `ALTER TABLE ${table} RENAME TO ${table}_2;`)
	.join("\n");

const AFTER_3 = `
INSERT INTO units (experiment, unit, arm, plan, first_ms, received_ms, core, ordinal)
	SELECT *, TRUE, nextval('unit_ordinals') FROM units_2;
INSERT INTO conflicts SELECT *, FALSE, nextval('conflict_ordinals') FROM conflicts_2;
INSERT INTO series SELECT nextval('series_numbers'), experiment, metric, NULL FROM closings_2;
INSERT INTO observations SELECT s.number, u.ordinal, o.value FROM observations_2 o
	JOIN series s USING (experiment, metric) JOIN units u USING (experiment, unit) WHERE o.value IS NOT NULL;
INSERT INTO listed SELECT s.number, u.ordinal FROM observations_2 o
	JOIN series s USING (experiment, metric) JOIN units u USING (experiment, unit);
INSERT INTO eras SELECT c.experiment, c.metric, 0, s.number, c.source, NULL, 0, -1, c.as_of_ms, -1, NULL
	FROM closings_2 c JOIN series s USING (experiment, metric);
DROP TABLE units_2;
DROP TABLE conflicts_2;
DROP TABLE observations_2;
DROP TABLE closings_2;
`;

/** From version 4: records of the decision log get the proxy that called; those of before it named the proxy as the caller. */
const AFTER_5 = "ALTER TABLE decisions ADD COLUMN IF NOT EXISTS via VARCHAR";

/** From version 5, where no bandit was at work: every unit is of the core. */
const AFTER_6 = `
ALTER TABLE units ADD COLUMN IF NOT EXISTS core BOOLEAN DEFAULT TRUE;
ALTER TABLE eras ADD COLUMN IF NOT EXISTS core_from_ms BIGINT;
`;

/** From version 6: what shadow policies would change is counted by the rules that judged; of those before nobody knows. */
const AFTER_7 = "ALTER TABLE shadows ADD COLUMN IF NOT EXISTS rules VARCHAR";

/** From version 7: requests tell the arm that their unit had where it does not expose. */
const AFTER_8 = "ALTER TABLE entries ADD COLUMN IF NOT EXISTS assigned VARCHAR";

/** From version 8: aggregates get the extremes of what they are of, at the next look (refresh.ts). */
const AFTER_9 = Array.from({ length: VARIABLES_MAX }, (_, i) =>
	["lo", "hi"].map((end) => `ALTER TABLE aggregates ADD COLUMN IF NOT EXISTS ${end}${i} DOUBLE;`),
)
	.flat()
	.join("\n");

/** From version 9, where observations of one variable had the columns of four. */
const BEFORE_10 = "ALTER TABLE IF EXISTS observations RENAME TO co_observations";

/**
 * From version 10, which took values too large to be squared: no look could take them in, or the next could not. A unit
 * is left with its other outcomes where it was not observed yet, else without any. What was aggregated of them lacks its
 * extremes, so that the next look computes it anew (refresh.ts).
 */
const AFTER_11 = `
UPDATE aggregates SET lo0 = NULL WHERE series IN
	(SELECT series FROM all_observations WHERE greatest(abs(x0), abs(x1), abs(x2), abs(x3)) > ${OUTCOME_VALUE_MAX});
DELETE FROM observations WHERE abs(x0) > ${OUTCOME_VALUE_MAX};
DELETE FROM co_observations WHERE greatest(abs(x0), abs(x1), abs(x2), abs(x3)) > ${OUTCOME_VALUE_MAX};
`;
const TOO_LARGE = `DELETE FROM outcomes WHERE abs(value) > ${OUTCOME_VALUE_MAX}`;

/** From version 11, which took rules of Weir's own for shadow policies: no policy has a name with a bracket. */
const AFTER_12 = `
ALTER TABLE shadows ADD COLUMN IF NOT EXISTS reason VARCHAR;
UPDATE shadows SET policy = NULL, reason = CASE WHEN policy LIKE '(invalid token%' THEN 'invalid-token'
	WHEN policy LIKE '(not canonical%' THEN 'not-canonical' END WHERE policy LIKE '(%';
`;

/** From version 13: records of an Experiment's end name the decision. */
const AFTER_14 = "ALTER TABLE decisions ADD COLUMN IF NOT EXISTS decision BIGINT";

/**
 * @param make makes the present tables, where they are not there. Stores of versions 1, 3 and 12 lack tables only.
 * @returns outcomes taken away
 */
export async function migrate(
	connection: DuckDBConnection,
	version: number,
	make: () => Promise<void>,
): Promise<number> {
	if (version < 3) await connection.run(BEFORE_3);
	else if (version < 10) await connection.run(BEFORE_10);
	await make();
	if (version < 3) await connection.run(AFTER_3);
	if (version < 5) await connection.run(AFTER_5);
	if (version < 6) await connection.run(AFTER_6);
	if (version < 7) await connection.run(AFTER_7);
	if (version < 8) await connection.run(AFTER_8);
	if (version < 9) await connection.run(AFTER_9);
	if (version < 12) await connection.run(AFTER_12);
	if (version < 14) await connection.run(AFTER_14);
	if (version >= 11) return 0;
	await connection.run(AFTER_11);
	return (await connection.run(TOO_LARGE)).rowsChanged;
}
