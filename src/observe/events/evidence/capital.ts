/**
 * Log-capital of metrics with a declared range, beside their moments: sums over the same observations, of values as shares
 * of the range. Stored by arm and day of first exposure, so a unit found in two arms costs one day's recomputation;
 * reported for whole arms only. A store without such a metric has no rows of it.
 */
import type { EvidenceMetric, MetricEvidence } from "../../../infer/statistics/evidence.js";
import {
	BETS_NAME,
	type LogCapital,
	logCapitalOf,
	mergeLogCapital,
	NO_CAPITAL,
} from "../../../infer/statistics/statistics/logCapital.js";
import { text } from "../store/sql.js";
import type { Row, Transaction } from "../store/store.js";
import { CAPITAL_COLUMNS, capitalOfRows, double } from "./aggregateSql.js";
import type { Closing } from "./closing.js";

/** A series with stored log-capital, and its range. */
export interface Kept {
	readonly series: number;
	readonly lo: number;
	readonly hi: number;
}

const KEYS = ["experiment", "series", "arm", "part", "place"] as const;

/** All series of the experiment with stored log-capital. */
export async function keptCapital(transaction: Transaction, experiment: string): Promise<readonly Kept[]> {
	const rows = await transaction.rows(
		"SELECT series, lo, hi FROM capital_ranges WHERE experiment = $experiment ORDER BY series",
		{ experiment },
	);
	return rows.map(({ series, lo, hi }) => ({ series: Number(series), lo: Number(lo), hi: Number(hi) }));
}

/**
 * Records the ranges of the metrics, and drops log-capital stored with another range or other bets.
 * @returns the series that must be summed from the beginning
 */
export async function askForCapital(
	transaction: Transaction,
	experiment: string,
	closings: readonly Closing[],
): Promise<readonly Kept[]> {
	const asked = closings.flatMap(({ series, of }): Kept[] =>
		of === null || of.range === null ? [] : [{ series, ...of.range }],
	);
	const fresh: Kept[] = [];
	for (const { series, lo, hi } of asked) {
		const bets = BETS_NAME;
		// As a parameter a whole number is a BIGINT, which ends at 2^63.
		const [low, high] = [double(lo), double(hi)];
		const [same] = await transaction.rows(
			`SELECT 1 FROM capital_ranges WHERE series = ${series} AND lo = ${low} AND hi = ${high} AND bets = $bets`,
			{ bets },
		);
		if (same !== undefined) continue;
		await transaction.run(`DELETE FROM capital_ranges WHERE series = ${series}`);
		await transaction.run(`DELETE FROM capitals WHERE series = ${series}`);
		await transaction.run(`INSERT INTO capital_ranges VALUES ($experiment, ${series}, ${low}, ${high}, $bets)`, {
			experiment,
			bets,
		});
		fresh.push({ series, lo, hi });
	}
	return fresh;
}

/** Adds observations to the sums. @param rows observations with arm, part and place */
export async function addCapital(
	transaction: Transaction,
	experiment: string,
	kept: readonly Kept[],
	rows: string,
): Promise<void> {
	if (kept.length === 0) return;
	const keyed = `(SELECT ${text(experiment)} AS experiment, * FROM ${rows})`;
	await transaction.run(`CREATE OR REPLACE TEMP TABLE fresh_capital AS ${capitalOfRows(kept, KEYS, keyed)}`);
	const same = `EXISTS (SELECT 1 FROM fresh_capital f WHERE ${KEYS.map((key) => `f.${key} = capitals.${key}`).join(" AND ")})`;
	await transaction.run(
		`INSERT INTO fresh_capital SELECT ${[...KEYS, ...CAPITAL_COLUMNS].join(", ")} FROM capitals WHERE ${same}`,
	);
	await transaction.run(`DELETE FROM capitals WHERE ${same}`);
	const sums = CAPITAL_COLUMNS.map((column) => `sum(${column})`).join(", ");
	await transaction.run(
		`INSERT INTO capitals SELECT ${KEYS.join(", ")}, ${sums} FROM fresh_capital GROUP BY ${KEYS.join(", ")}`,
	);
}

/**
 * Adds log-capital to metrics of a whole arm. Units that count as zero without a row have the value 0. Values out of range
 * are in no sum, so its count is then less than that of the moments.
 * @param rows of `capitals`, in a fixed order
 */
export function withCapital(
	found: Readonly<Record<string, MetricEvidence>>,
	arm: string,
	metrics: readonly EvidenceMetric[],
	series: ReadonlyMap<string, number>,
	rows: readonly Row[],
): Readonly<Record<string, MetricEvidence>> {
	const added = Object.entries(found).map(([name, evidence]): readonly [string, MetricEvidence] => {
		const range = metrics.find((metric) => metric.name === name)?.range ?? null;
		if (range === null) return [name, evidence];
		const own = rows.filter((row) => row.arm === arm && Number(row.series) === series.get(name));
		const observed = own.reduce((sum, row) => sum + Number(row.n) + Number(row.outside), 0);
		const nought = timesNought(evidence.n - observed, range);
		return [name, { ...evidence, capital: own.map(capitalOf).reduce(mergeLogCapital, nought) }];
	});
	return Object.fromEntries(added);
}

function timesNought(units: number, { lo, hi }: { readonly lo: number; readonly hi: number }): LogCapital {
	if (units === 0 || lo > 0 || hi < 0) return NO_CAPITAL;
	const one = logCapitalOf([(0 - lo) / (hi - lo)]);
	const times = (sums: readonly number[]): number[] => sums.map((sum) => sum * units);
	return { ...one, n: units, up: times(one.up), down: times(one.down) };
}

function capitalOf(row: Row): LogCapital {
	const sums = (name: string): number[] => NO_CAPITAL.up.map((_, index) => Number(row[`${name}${index}`]));
	return { bets: BETS_NAME, n: Number(row.n), up: sums("up"), down: sums("down") };
}
