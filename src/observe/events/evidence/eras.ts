/**
 * Which units are closed. A unit's observation of a metric is due when its window and the settling time are over:
 *
 * due = max(first exposure + window, its arrival) + settle.
 *
 * An era is a period with one definition of a metric. Its closed units are all units up to an ordinal that were due before
 * a time, so they can be computed exactly, whatever the clock did. A new definition begins a new era; units closed in an
 * earlier era keep it.
 */
import type { EvidenceMetric } from "../../../infer/statistics/evidence.js";
import { text } from "../store/sql.js";
import type { Row, Transaction } from "../store/store.js";

/** Window and settling time in milliseconds. */
export type Times = readonly [number, number];

/** When the observation of a row of `units` is due; for several times, the last of them. */
export function dueMs(times: readonly Times[], units = "u"): string {
	const each = times.map(
		([window, settle]) => `greatest(${units}.first_ms + ${whole(window)}, ${units}.received_ms) + ${whole(settle)}`,
	);
	return each.length === 1 ? `(${each[0]})` : `greatest(${each.join(", ")})`;
}

export const whole = (value: number): string => `${BigInt(Math.trunc(value))}::BIGINT`;

/** What is closed under one definition. */
export interface Definition {
	/** Name of an EvidenceMetric, or of a maturity. */
	readonly metric: string;
	/** Identifies how values are computed; times are not part of it. */
	readonly kind: string;
	/** null = a maturity: units are counted, nothing is observed. */
	readonly source: EvidenceMetric["source"] | null;
	readonly times: readonly Times[];
	/** Length of the period before a unit's first exposure whose rows count. */
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
	/** Units outside the core belong only if they were due by then; null = no limit. */
	readonly coreFromMs: number | null;
}

/** A definition with its series and the metric's eras so far, its own last. */
export interface Defined extends Definition {
	readonly series: number;
	readonly eras: readonly Era[];
}

/**
 * The definition of a metric; null while a threshold or a cap is not frozen, because nothing is observed then.
 * @param exposedAfterMs only units first exposed later; this makes another series, like any other definition
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

/** Units whose windows of all the metrics are over. Its name differs from every metric's, which have no spaces. */
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

/** The series and eras of definitions, in their order; starts the new ones. */
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

/** Starts the definition's era if the metric's last one has another definition. */
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
 * Once a bandit moves traffic, units outside the core switch between their arm and the default Variant, so observations
 * still open then would mix both. Units due before, and the core, have a fixed design.
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

/** Whether row `u` of `units` is due and not closed yet. */
export function newlyDue({ times, afterMs, eras }: Defined, nowMs: number): string {
	const closed = eras.filter((era) => era.ordinal >= 0).map((era) => ` AND NOT ${inEra(era)}`);
	return `${dueMs(times)} < ${whole(nowMs)} AND u.first_ms > ${whole(afterMs)}${inDesign(times, eras.at(-1)?.coreFromMs ?? null)}${closed.join("")}`;
}

/**
 * Extends the last eras of definitions to units up to the ordinal that are due now. If the clock went back before an era's
 * time, a new era starts: units that came since are not due before its time.
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
