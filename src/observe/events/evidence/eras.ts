/**
 * Which units are closed. A unit's observation of a metric falls due when its window and the settling time are over:
 *
 * due = max(first exposure + window, its arrival) + settle.
 *
 * An era of a metric names the units that were closed while it was defined in one way: all up to an ordinal that were
 * due before a moment. So what is closed is told by arithmetic over the units, exactly, however the clock went; a new
 * definition begins a new era, and a unit of an earlier one stays with that.
 */
import type { EvidenceMetric } from "../../../infer/statistics/evidence.js";
import type { Row, Transaction } from "../store/store.js";
import { text } from "./sql.js";

/** Window and settling time in milliseconds. */
export type Times = readonly [number, number];

/** When the observation of a row of `units` falls due; of several times, when the last of them does. */
export function dueMs(times: readonly Times[], units = "u"): string {
	const each = times.map(
		([window, settle]) => `greatest(${units}.first_ms + ${whole(window)}, ${units}.received_ms) + ${whole(settle)}`,
	);
	return each.length === 1 ? `(${each[0]})` : `greatest(${each.join(", ")})`;
}

export const whole = (value: number): string => `${BigInt(Math.trunc(value))}::BIGINT`;

/** What is closed under one definition. */
export interface Definition {
	/** Of an EvidenceMetric, or of a maturity. */
	readonly metric: string;
	/** Tells the values of two definitions apart; times do not. */
	readonly kind: string;
	/** null = a maturity: units are counted, nothing is observed. */
	readonly source: EvidenceMetric["source"] | null;
	readonly times: readonly Times[];
	/** How long before a unit's first exposure its rows count. */
	readonly beforeMs: number;
	/** Only units first exposed after it. */
	readonly afterMs: number;
}

export interface Era {
	readonly era: number;
	readonly series: number;
	readonly times: readonly Times[];
	readonly afterMs: number;
	readonly asOfMs: number;
	readonly ordinal: number;
	/** Of units outside the core only those belong to it that were due by then; null = all. */
	readonly coreFromMs: number | null;
}

/** A definition with its series and the eras of its metric so far; the last one is its own. */
export interface Defined extends Definition {
	readonly series: number;
	readonly eras: readonly Era[];
}

/**
 * The definition of a metric; null while a threshold or a cap of it is not frozen, for then nothing is observed.
 * @param exposedAfterMs of units first exposed later only: another series, as of any other definition
 */
export function definitionOf(metric: EvidenceMetric, exposedAfterMs?: number): Definition | null {
	const { name, source, windowMs, settleMs, missing, perUnit, denominator, covariateMs, cap, threshold } = metric;
	if (threshold === "unfrozen" || cap === "unfrozen") return null;
	return {
		metric: name,
		kind: JSON.stringify({ source, missing, perUnit, denominator, covariateMs, cap, threshold, exposedAfterMs }),
		source,
		times: [[windowMs, settleMs]],
		beforeMs: covariateMs ?? 0,
		afterMs: Math.max(
			exposedAfterMs ?? -1,
			threshold?.frozenAtMs ?? -1,
			cap === null ? -1 : cap.frozenAtMs === 0 ? -1 : cap.frozenAtMs,
		),
	};
}

/** Units whose windows of all the metrics are over. Its name is no metric's: they have no spaces. */
export function maturityOf(metrics: readonly EvidenceMetric[], exposedAfterMs?: number): Definition {
	const all = new Map(
		metrics.map(({ windowMs, settleMs }) => [`${windowMs} ${settleMs}`, [windowMs, settleMs] as const]),
	);
	const times = [...all.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
	const kind = `mature in ${JSON.stringify(times)}${exposedAfterMs === undefined ? "" : ` after ${exposedAfterMs}`}`;
	return {
		...{ metric: kind, kind, source: null, beforeMs: 0 },
		times: times.length === 0 ? [[0, 0]] : times,
		afterMs: exposedAfterMs ?? -1,
	};
}

/** The series and eras of definitions, in their order; begins those that are new. */
export async function define(
	transaction: Transaction,
	experiment: string,
	definitions: readonly Definition[],
	coreFromMs: number | null,
): Promise<readonly Defined[]> {
	const series = await seriesOf(transaction, experiment);
	for (const { metric, kind } of definitions) {
		if (series.has(nameOf(metric, kind))) continue;
		const [added] = await transaction.rows(
			"INSERT INTO series VALUES (nextval('series_numbers'), $experiment, $metric, $kind) RETURNING number",
			{ experiment, metric, kind },
		);
		series.set(nameOf(metric, kind), Number(added?.number));
	}
	if (coreFromMs !== null) {
		await transaction.run(
			`UPDATE eras SET core_from_ms = ${whole(coreFromMs)} WHERE experiment = $experiment AND core_from_ms IS NULL`,
			{ experiment },
		);
	}
	const eras = await erasOf(transaction, experiment);
	const defined: Defined[] = [];
	for (const definition of definitions) {
		const { metric, kind } = definition;
		const number = Number(series.get(nameOf(metric, kind)));
		const before = eras.get(metric) ?? [];
		const added = await begin(transaction, experiment, definition, number, before.at(-1), coreFromMs);
		defined.push({ ...definition, series: number, eras: [...before, ...added] });
	}
	return defined;
}

const nameOf = (metric: string, kind: string): string => JSON.stringify([metric, kind]);

/** Numbers of an experiment's series, by metric and definition. */
async function seriesOf(transaction: Transaction, experiment: string): Promise<Map<string, number>> {
	const rows = await transaction.rows("SELECT number, metric, definition FROM series WHERE experiment = $experiment", {
		experiment,
	});
	return new Map(rows.map((row) => [nameOf(String(row.metric), String(row.definition)), Number(row.number)]));
}

/** The era of a definition, where its metric's last one is of another. */
async function begin(
	transaction: Transaction,
	experiment: string,
	{ metric, source, times, beforeMs, afterMs }: Definition,
	series: number,
	last: Era | undefined,
	coreFromMs: number | null,
): Promise<readonly Era[]> {
	const written = JSON.stringify(times);
	const same = last?.series === series && last.afterMs === afterMs && JSON.stringify(last.times) === written;
	if (same) return [];
	const era = { era: (last?.era ?? -1) + 1, series, times, afterMs, asOfMs: -1, ordinal: -1, coreFromMs };
	await transaction.run(
		`INSERT INTO eras VALUES ($experiment, $metric, ${era.era}, ${series}, $source, $written, $before, $after, -1, -1, ${coreFromMs === null ? "NULL" : whole(coreFromMs)})`,
		{ experiment, metric, source, written, before: BigInt(beforeMs), after: BigInt(afterMs) },
	);
	return [era];
}

const ERAS = "SELECT metric, era, series, times, after_ms, as_of_ms, ordinal, core_from_ms FROM eras";

/** All eras of an experiment by metric, in order. */
export async function erasOf(
	transaction: Transaction,
	experiment: string,
): Promise<ReadonlyMap<string, readonly Era[]>> {
	const rows = await transaction.rows(`${ERAS} WHERE experiment = $experiment ORDER BY metric, era`, { experiment });
	const all = new Map<string, Era[]>();
	for (const row of rows) {
		const metric = String(row.metric);
		all.set(metric, [...(all.get(metric) ?? []), eraOf(row)]);
	}
	return all;
}

function eraOf(row: Row): Era {
	return {
		era: Number(row.era),
		series: Number(row.series),
		times: JSON.parse(String(row.times)) as Times[],
		afterMs: Number(row.after_ms),
		asOfMs: Number(row.as_of_ms),
		ordinal: Number(row.ordinal),
		coreFromMs: row.core_from_ms === null ? null : Number(row.core_from_ms),
	};
}

/** Whether row `u` of `units` is in the era. */
function inEra({ times, afterMs, asOfMs, ordinal, coreFromMs }: Era): string {
	return `(u.ordinal <= ${whole(ordinal)} AND u.first_ms > ${whole(afterMs)} AND ${dueMs(times)} < ${whole(asOfMs)}${inDesign(times, coreFromMs)})`;
}

/**
 * Once a bandit has moved, units outside the core go to and fro between their arm and the default Variant: what was
 * still open then would be of both. What was due before is of a fixed design, as the core is for ever.
 */
function inDesign(times: readonly Times[], coreFromMs: number | null): string {
	return coreFromMs === null ? "" : ` AND (u.core OR ${dueMs(times)} <= ${whole(coreFromMs)})`;
}

/** The series under which row `u` of `units` was closed; null = not yet. */
export function closedSeries(eras: readonly Era[]): string {
	return eras.length === 0
		? "NULL"
		: `CASE ${eras.map((era) => `WHEN ${inEra(era)} THEN ${era.series}`).join(" ")} END`;
}

/** Whether row `u` of `units` is due by now and was not closed yet. */
export function newlyDue({ times, afterMs, eras }: Defined, nowMs: number): string {
	const closed = eras.filter((era) => era.ordinal >= 0).map((era) => ` AND NOT ${inEra(era)}`);
	return `${dueMs(times)} < ${whole(nowMs)} AND u.first_ms > ${whole(afterMs)}${inDesign(times, eras.at(-1)?.coreFromMs ?? null)}${closed.join("")}`;
}

/**
 * Puts the units up to the ordinal that are due by now into the last eras of definitions. Where the clock went back
 * behind an era, they get one of their own: units that came since are not due before its moment.
 */
export async function advance(
	transaction: Transaction,
	experiment: string,
	definitions: readonly Defined[],
	nowMs: number,
	ordinal: number,
): Promise<void> {
	const forward: string[] = [];
	const back: string[] = [];
	for (const { metric, eras } of definitions) {
		const last = eras.at(-1);
		if (last === undefined || (last.asOfMs === nowMs && last.ordinal === ordinal)) continue;
		(last.asOfMs > nowMs ? back : forward).push(`(${text(metric)}, ${last.era})`);
	}
	const those = (list: readonly string[]): string =>
		`experiment = ${text(experiment)} AND (metric, era) IN (${list.join(", ")})`;
	if (back.length > 0) {
		await transaction.run(
			`INSERT INTO eras SELECT * REPLACE (era + 1 AS era, ${whole(nowMs)} AS as_of_ms, ${whole(ordinal)} AS ordinal)
			FROM eras WHERE ${those(back)}`,
		);
	}
	if (forward.length > 0) {
		await transaction.run(
			`UPDATE eras SET as_of_ms = ${whole(nowMs)}, ordinal = ${whole(ordinal)} WHERE ${those(forward)}`,
		);
	}
}
