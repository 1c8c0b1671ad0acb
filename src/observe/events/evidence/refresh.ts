/**
 * Incremental aggregates: a look reads only new data (units, closed observations, conflicts) and merges it by Chan's
 * update. If a unit is found in two arms, the parts that contained it are recomputed, because subtraction would lose
 * digits. One transaction does everything: after a crash the next look repeats it.
 */
import type { EvidenceQuery } from "../../../infer/statistics/evidence.js";
import { SEGMENT_VALUES_MAX } from "../../../limits/index.js";
import { text } from "../store/sql.js";
import type { Row, Transaction } from "../store/store.js";
import { dayOf, MOMENT_COLUMNS, mergedMoments, momentsOfRows, VARIABLES_MAX } from "./aggregateSql.js";
import { addCapital, askForCapital, keptCapital } from "./capital.js";
import { type Closing, closeDue, unconflicted } from "./closing.js";
import { advance, closedSeries, define, definitionOf, erasOf, maturityOf, whole } from "./eras.js";
import { variablesOf } from "./parts.js";

/** Place of a segment's values beyond the first SEGMENT_VALUES_MAX, and of units without a value. */
export const REST = SEGMENT_VALUES_MAX;

/** The part whose places are days of first exposure; other parts are named after segments. */
export const PERIODS = "";

const DAY = dayOf("u.first_ms");
const KEYS = ["series", "arm", "part", "place", "covered"] as const;
const COLUMNS = ["closed", ...MOMENT_COLUMNS];

/** Series by metric name, and that of maturity in all of them. */
export interface Refreshed {
	readonly series: ReadonlyMap<string, number>;
	readonly maturity: number;
	/** The newest ordinals seen. */
	readonly unit: number;
	readonly conflict: number;
}

export async function refresh(transaction: Transaction, query: EvidenceQuery, nowMs: number): Promise<Refreshed> {
	const { experiment, service, metrics, segments, exposedAfterMs } = query;
	// Observations still open at closeUntilMs cannot be attributed to one arm.
	const untilMs = Math.min(nowMs, query.closeUntilMs ?? nowMs);
	const asked = [...metrics, null].flatMap((of) => {
		const definition = of === null ? maturityOf(metrics, exposedAfterMs) : definitionOf(of, exposedAfterMs);
		return definition === null ? [] : [{ of, definition }];
	});
	const defined = await define(
		transaction,
		experiment,
		asked.map(({ definition }) => definition),
		query.coreFromMs ?? null,
	);
	const closings = defined.map((one, index): Closing => ({ ...one, of: asked[index]?.of ?? null }));
	const last = await lastLook(transaction, experiment);
	const [newest] = await transaction.rows(
		`SELECT (SELECT coalesce(max(ordinal), -1) FROM units) AS unit, (SELECT coalesce(max(ordinal), -1) FROM conflicts) AS conflict`,
	);
	const look: Look = { unit: Number(newest?.unit), conflict: Number(newest?.conflict), segments };
	const unsummed = await askForCapital(transaction, experiment, closings);
	await addCapital(
		transaction,
		experiment,
		unsummed,
		observedIn(`SELECT u.ordinal, u.arm, ${DAY} AS place FROM units u
		WHERE u.experiment = ${text(experiment)} AND ${unconflicted("u")}`),
	);
	await takeConflicts(transaction, experiment, last, look);
	if (look.unit > last.unit) await addExposures(transaction, experiment, last);
	await transaction.run(`CREATE OR REPLACE TEMP TABLE fresh AS ${emptyAggregates()}`);
	await closeDue(transaction, { experiment, service, nowMs: untilMs }, closings, (group) =>
		addClosed(transaction, { experiment, segments }, group),
	);
	await mergeFresh(transaction, experiment);
	await advance(transaction, experiment, closings, untilMs, look.unit);
	await transaction.run("DELETE FROM refreshes WHERE experiment = $experiment", { experiment });
	await transaction.run(`INSERT INTO refreshes VALUES ($experiment, ${look.unit}, ${look.conflict}, $segments)`, {
		experiment,
		segments: JSON.stringify(segments),
	});
	const series = new Map(closings.map((closing) => [closing.metric, closing.series]));
	const maturity = closings.find(({ of }) => of === null)?.series ?? -1;
	return { series, maturity, unit: look.unit, conflict: look.conflict };
}

/** Progress of a look: the newest unit and conflict it has seen, and the segments with stored parts. */
interface Look {
	readonly unit: number;
	readonly conflict: number;
	readonly segments: readonly string[];
}

async function lastLook(transaction: Transaction, experiment: string): Promise<Look> {
	const [last] = await transaction.rows(
		"SELECT unit_ordinal, conflict_ordinal, segments FROM refreshes WHERE experiment = $experiment",
		{ experiment },
	);
	if (last === undefined) return { unit: -1, conflict: -1, segments: [] };
	return {
		unit: Number(last.unit_ordinal),
		conflict: Number(last.conflict_ordinal),
		segments: JSON.parse(String(last.segments)) as string[],
	};
}

const emptyAggregates = (): string => `SELECT * EXCLUDE (experiment) FROM aggregates LIMIT 0`;

/**
 * The parts that units `u` of the relation belong to: ordinal, arm, part, place. A unit with a missing or rare segment
 * value is in the segment's rest.
 */
function partsOf(units: string, segments: readonly string[]): string {
	const days = `SELECT u.ordinal, u.arm, '${PERIODS}' AS part, ${DAY} AS place FROM ${units} u`;
	const each = segments.map(
		(
			segment,
		) => `SELECT u.ordinal, u.arm, ${text(segment)} AS part, coalesce(s.rank::BIGINT, ${REST}) AS place FROM ${units} u
			LEFT JOIN (FROM unit_segments WHERE segment = ${text(segment)}) s ON s.ordinal = u.ordinal`,
	);
	return [days, ...each].join(" UNION ALL ");
}

/** Adds a batch that was closed together to `fresh`. */
async function addClosed(
	transaction: Transaction,
	{ experiment, segments }: Pick<EvidenceQuery, "experiment" | "segments">,
	group: readonly Closing[],
): Promise<void> {
	await makeParts(transaction, partsOf("due", segments));
	const numbers = `SELECT unnest([${group.map(({ series }) => series).join(", ")}]) AS series`;
	await addCounts(
		transaction,
		`SELECT n.series, p.bucket, p.units FROM (SELECT bucket, count(*) AS units FROM parts GROUP BY bucket) p, (${numbers}) n`,
	);
	// The join keeps only the new observations, whose ordinals are adjacent. Series of one variable are summed separately,
	// to avoid computing products of four.
	const variables = (of: Closing["of"]): number => (of === null ? 0 : variablesOf(of));
	for (const some of [group.filter(({ of }) => variables(of) === 1), group.filter(({ of }) => variables(of) > 1)]) {
		const k = Math.max(0, ...some.map(({ of }) => variables(of)));
		if (k > 0) await addMoments(transaction, k, `(FROM (${observationsOf(k, some)}) o JOIN parts p USING (ordinal))`);
	}
	const kept = (await keptCapital(transaction, experiment)).filter((one) =>
		group.some(({ series }) => series === one.series),
	);
	await addCapital(
		transaction,
		experiment,
		kept,
		observedIn(`SELECT u.ordinal, u.arm, ${DAY} AS place FROM all_due u`),
	);
}

/**
 * Observations of the series, in two reads: the engine uses counts from before the transaction for its plan, and reads a
 * table with many rows of this transaction on one thread.
 */
function observationsOf(k: number, group: readonly Closing[]): string {
	const numbers = group.map(({ series }) => series);
	const half = Math.ceil(numbers.length / 2);
	const table = k === 1 ? "observations" : "all_observations";
	return [numbers.slice(0, half), numbers.slice(half)]
		.filter((some) => some.length > 0)
		.map((some) => `FROM ${table} WHERE series IN (${some.join(", ")})`)
		.join(" UNION ALL ");
}

/** Observations of units by arm and day. @param units ordinal, arm, place */
const observedIn = (units: string): string =>
	`(SELECT o.series, o.x0, u.arm, '${PERIODS}' AS part, u.place FROM all_observations o JOIN (${units}) u USING (ordinal))`;

/**
 * `parts` (ordinal, bucket) and `buckets` (bucket, arm, part, place), so that millions of rows are grouped by one number.
 * @param rows ordinal, arm, part, place
 */
async function makeParts(transaction: Transaction, rows: string): Promise<void> {
	// Reading the units twice is cheaper than storing their places as text.
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE buckets AS SELECT row_number() OVER ()::INTEGER AS bucket, * FROM (
			SELECT DISTINCT arm, part, place FROM (${rows}))`,
	);
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE parts AS SELECT p.ordinal, b.bucket FROM (${rows}) p JOIN buckets b USING (arm, part, place)`,
	);
}

/** @param counted series, bucket and a number of closed units */
function addCounts(transaction: Transaction, counted: string): Promise<void> {
	const none = MOMENT_COLUMNS.slice(1).map(() => "NULL");
	return transaction.run(
		`INSERT INTO fresh SELECT series, arm, part, place, FALSE, units, 0, ${none.join(", ")}
		FROM (${counted}) JOIN buckets USING (bucket)`,
	);
}

/** @param rows observations with their bucket */
function addMoments(transaction: Transaction, k: number, rows: string): Promise<void> {
	// One variable has no covariate, and needs no key for it.
	const keys = ["series", "bucket", ...(k === 1 ? [] : ["covered"])];
	const keyed = k === 1 ? rows : `(SELECT *, x1 IS NOT NULL AS covered FROM ${rows})`;
	const named = KEYS.map((key) => (key === "covered" && k === 1 ? "FALSE" : key)).join(", ");
	return transaction.run(
		`INSERT INTO fresh SELECT ${named}, 0, ${MOMENT_COLUMNS.join(", ")}
		FROM (${momentsOfRows(k, keys, keyed)}) JOIN buckets USING (bucket)`,
	);
}

/** Merges `fresh` into stored rows with the same keys. */
async function mergeFresh(transaction: Transaction, experiment: string): Promise<void> {
	const [any] = await transaction.rows("SELECT 1 FROM fresh LIMIT 1");
	if (any === undefined) return;
	const names = [...KEYS, ...COLUMNS].join(", ");
	const same = `EXISTS (SELECT 1 FROM fresh f WHERE ${KEYS.map((key) => `f.${key} = aggregates.${key}`).join(" AND ")})`;
	await transaction.run(`INSERT INTO fresh SELECT ${names} FROM aggregates WHERE ${same}`);
	await transaction.run(`DELETE FROM aggregates WHERE ${same}`);
	await transaction.run(
		`INSERT INTO aggregates SELECT ${text(experiment)}, ${names} FROM (${mergedMoments(VARIABLES_MAX, KEYS, "fresh")})`,
	);
}

/** Recomputes parts touched by a new conflict, and parts of newly requested segments. */
async function takeConflicts(
	transaction: Transaction,
	experiment: string,
	last: Look,
	{ conflict, segments }: Look,
): Promise<void> {
	for (const segment of last.segments) {
		if (segments.includes(segment)) continue;
		await transaction.run("DELETE FROM aggregates WHERE experiment = $experiment AND part = $segment", {
			experiment,
			segment,
		});
	}
	const conditions = segments.filter((segment) => !last.segments.includes(segment)).map((one) => `part = ${text(one)}`);
	if (conflict > last.conflict && last.unit >= 0) {
		// Units newer than the last look are in no aggregate yet.
		await transaction.run(
			`CREATE OR REPLACE TEMP TABLE left_out AS SELECT u.* FROM units u JOIN conflicts k USING (experiment, unit)
			WHERE u.experiment = $experiment AND k.ordinal > ${whole(last.conflict)} AND u.ordinal <= ${whole(last.unit)}`,
			{ experiment },
		);
		await transaction.run(
			`CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT arm, part, place FROM (${partsOf("left_out", segments)})`,
		);
		const [touched] = await transaction.rows("SELECT 1 FROM touched LIMIT 1");
		if (touched !== undefined) {
			await recomputeExposures(transaction, experiment, last);
			conditions.push("(arm, part, place) IN (SELECT (arm, part, place) FROM touched)");
		}
	}
	if (conditions.length > 0) await recompute(transaction, experiment, segments, `(${conditions.join(" OR ")})`);
}

/** All aggregates of the experiment that match the condition on arm, part and place, from stored observations. */
async function recompute(
	transaction: Transaction,
	experiment: string,
	segments: readonly string[],
	condition: string,
): Promise<void> {
	for (const table of ["aggregates", "capitals"])
		await transaction.run(`DELETE FROM ${table} WHERE experiment = $experiment AND ${condition}`, { experiment });
	await transaction.run(`CREATE OR REPLACE TEMP TABLE fresh AS ${emptyAggregates()}`);
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE own AS FROM units u WHERE u.experiment = $experiment AND ${unconflicted("u")}`,
		{ experiment },
	);
	await makeParts(transaction, `FROM (${partsOf("own", segments)}) WHERE ${condition}`);
	for (const eras of (await erasOf(transaction, experiment)).values()) {
		await addCounts(
			transaction,
			`SELECT c.series, p.bucket, count(*) AS units FROM parts p
			JOIN (SELECT u.ordinal, ${closedSeries(eras)} AS series FROM own u) c USING (ordinal)
			WHERE c.series IS NOT NULL GROUP BY ALL`,
		);
	}
	const own = `o.series IN (SELECT number FROM series WHERE experiment = ${text(experiment)})`;
	await addMoments(transaction, VARIABLES_MAX, `(FROM all_observations o JOIN parts p USING (ordinal) WHERE ${own})`);
	await mergeFresh(transaction, experiment);
	const days = `SELECT p.ordinal, b.arm, b.place FROM parts p JOIN buckets b USING (bucket) WHERE b.part = '${PERIODS}'`;
	await addCapital(transaction, experiment, await keptCapital(transaction, experiment), observedIn(days));
}

const EXPOSED = `SELECT u.experiment, u.plan, u.arm, ${DAY} AS day, count(*) AS units, min(u.first_ms) AS first_ms,
	min(u.received_ms) AS received_ms FROM units u WHERE u.experiment = $experiment AND ${unconflicted("u")}`;

/** Rows of `exposures` of an experiment; a time range is counted from the units, because days are not split. */
export function exposuresOf(
	transaction: Transaction,
	{ experiment, exposedAfterMs, closeUntilMs }: EvidenceQuery,
): Promise<readonly Row[]> {
	const when = [
		...(exposedAfterMs === undefined ? [] : [` AND u.first_ms > ${whole(exposedAfterMs)}`]),
		...(closeUntilMs === undefined ? [] : [` AND u.first_ms < ${whole(closeUntilMs)}`]),
	].join("");
	const rows = when === "" ? "FROM exposures WHERE experiment = $experiment" : `FROM (${EXPOSED}${when} GROUP BY ALL)`;
	return transaction.rows(`${rows} ORDER BY ALL`, { experiment });
}

/** Adds new units to the counts by plan, arm and day. */
async function addExposures(transaction: Transaction, experiment: string, last: Look): Promise<void> {
	await transaction.run(
		`CREATE OR REPLACE TEMP TABLE exposed AS ${EXPOSED} AND u.ordinal > ${whole(last.unit)} GROUP BY ALL`,
		{ experiment },
	);
	const same = `EXISTS (SELECT 1 FROM exposed e WHERE e.experiment = exposures.experiment AND e.plan = exposures.plan
		AND e.arm = exposures.arm AND e.day = exposures.day)`;
	await transaction.run(`INSERT INTO exposed FROM exposures WHERE ${same}`);
	await transaction.run(`DELETE FROM exposures WHERE ${same}`);
	await transaction.run(
		`INSERT INTO exposures SELECT experiment, plan, arm, day, sum(units), min(first_ms), min(received_ms) FROM exposed GROUP BY ALL`,
	);
}

/** Recounts the days in `touched`, for units known to the last look. */
async function recomputeExposures(transaction: Transaction, experiment: string, last: Look): Promise<void> {
	const touched = `(arm, day) IN (SELECT (arm, place) FROM touched WHERE part = '${PERIODS}')`;
	await transaction.run(`DELETE FROM exposures WHERE experiment = $experiment AND ${touched}`, { experiment });
	await transaction.run(
		`INSERT INTO exposures FROM (${EXPOSED} AND u.ordinal <= ${whole(last.unit)} GROUP BY ALL) WHERE ${touched}`,
		{ experiment },
	);
}
