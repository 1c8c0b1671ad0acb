/** Turns aggregates into the analysis's input: sums become moments of each arm, segment, period and pair of arms. */
import type {
	EvidenceMetric,
	InteractionEvidence,
	MetricEvidence,
	PartOfArm,
	PeriodEvidence,
	SegmentEvidence,
} from "../../../infer/statistics/evidence.js";
import {
	type CoMoments,
	mergeCoMoments,
	momentsAt,
	noCoMoments,
	packedIndex,
} from "../../../infer/statistics/statistics/coMoments.js";
import {
	type Extremes,
	isOneValue,
	mergeAllExtremes,
	NO_EXTREMES,
} from "../../../infer/statistics/statistics/extremes.js";
import type { Row } from "../store/store.js";
import { dayStartMs } from "./aggregateSql.js";

/** Periods of first exposure: one day each, merged in pairs beyond this number. */
const PERIODS_MAX = 60;

/** Sums of one series in one arm and part, or of several merged. */
export interface Sums {
	/** Units closed, with or without data. */
	readonly closed: number;
	/** Moments of units with all variables. */
	readonly full: CoMoments;
	/** Moments of units with an unknown covariate; one variable. */
	readonly bare: CoMoments;
	/** Extremes of the first k variables over both; a variable may have no values. */
	readonly extremes: readonly Extremes[];
}

/** How a metric's sums become evidence. */
interface Reading {
	readonly metric: EvidenceMetric;
	readonly k: number;
	/** Value used for an unknown covariate. */
	readonly covariate: number;
}

const SINGLE = 1;

/** Extremes of units that count as zero. */
const NOUGHT: Extremes = { lo: 0, hi: 0 };

export const variablesOf = ({ denominator, covariateMs, threshold }: EvidenceMetric): number =>
	threshold !== null && threshold !== "unfrozen"
		? 1 + (threshold.further?.length ?? 0)
		: (denominator === null ? 1 : 2) * (covariateMs === null ? 1 : 2);

/** @param row of `aggregates`, or of a statement with the same columns */
export function sumsOf(row: Row, k: number): Sums {
	const n = Number(row.n);
	const covered = row.covered === true;
	const size = covered ? k : SINGLE;
	const means = Array.from({ length: size }, (_, i) => Number(row[`mean${i}`]));
	const m2: number[] = [];
	for (let i = 0; i < size; i++) {
		// A tiny negative spread is a rounding error.
		for (let j = 0; j <= i; j++) m2.push(i === j ? Math.max(0, Number(row[`m${i}${j}`])) : Number(row[`m${i}${j}`]));
	}
	const moments = n === 0 ? noCoMoments(size) : { n, means, m2 };
	return {
		closed: Number(row.closed),
		full: covered ? moments : noCoMoments(k),
		bare: covered ? noCoMoments(SINGLE) : moments,
		extremes: Array.from({ length: k }, (_, i) =>
			n === 0 || i >= size ? NO_EXTREMES : { lo: Number(row[`lo${i}`]), hi: Number(row[`hi${i}`]) },
		),
	};
}

export function mergeSums(a: Sums, b: Sums): Sums {
	return {
		closed: a.closed + b.closed,
		full: mergeCoMoments(a.full, b.full),
		bare: mergeCoMoments(a.bare, b.bare),
		extremes: mergeAllExtremes(a.extremes, b.extremes),
	};
}

const mergeAll = (sums: readonly Sums[], k: number): Sums =>
	sums.reduce(mergeSums, { closed: 0, full: noCoMoments(k), bare: noCoMoments(SINGLE), extremes: [] });

/**
 * A unit without data before its first exposure, of a metric with a mean value, gets the mean covariate of all other
 * units in both arms. It depends only on data before exposure, so randomisation makes it equal in both arms, and the
 * adjusted estimate stays unbiased; only its variance is reduced less.
 */
function readingOf(metric: EvidenceMetric, all: readonly Sums[]): Reading {
	const k = variablesOf(metric);
	const { full } = mergeAll(all, k);
	return { metric, k, covariate: full.n === 0 ? 0 : (full.means[SINGLE] ?? 0) };
}

function evidenceOf(sums: Sums, { metric, k, covariate }: Reading): MetricEvidence | null {
	// Closed units without a row count as zero if the metric defines so.
	const silent = metric.missing === "zero" && metric.source === "outcome" ? sums.closed - sums.full.n - sums.bare.n : 0;
	const blank = metric.covariateMs !== null && metric.denominator === null && metric.perUnit === "mean";
	const nought: CoMoments = { ...noCoMoments(k), n: silent };
	if (k === SINGLE) {
		const extremes = silent > 0 ? mergeAllExtremes(sums.extremes, [NOUGHT]) : sums.extremes;
		const moments = withoutRounding(mergeCoMoments(sums.bare, nought), extremes);
		return moments.n === 0 ? null : { ...momentsAt(moments, 0), extremes };
	}
	const bare = blank ? mergeCoMoments(sums.bare, { ...noCoMoments(SINGLE), n: silent }) : sums.bare;
	const imputed: CoMoments = { n: bare.n, means: [bare.means[0] ?? 0, covariate], m2: [bare.m2[0] ?? 0, 0, 0] };
	const merged = mergeCoMoments(
		mergeCoMoments(sums.full, blank ? noCoMoments(k) : nought),
		bare.n === 0 ? noCoMoments(k) : imputed,
	);
	if (merged.n === 0) return null;
	const imputedAt = bare.n === 0 ? NO_EXTREMES : { lo: covariate, hi: covariate };
	const added = silent === 0 ? [] : Array.from({ length: blank ? SINGLE : k }, () => NOUGHT);
	const extremes = mergeAllExtremes(mergeAllExtremes(sums.extremes, added), blank ? [NO_EXTREMES, imputedAt] : []);
	const co = withoutRounding(merged, extremes);
	return { ...momentsAt(co, 0), co, extremes };
}

/** A constant variable has no variance and no covariance; any remainder is a rounding error of merges. */
function withoutRounding(co: CoMoments, extremes: readonly Extremes[]): CoMoments {
	const one = extremes.map(isOneValue);
	if (!one.includes(true)) return co;
	const m2 = [...co.m2];
	for (let i = 0; i < co.means.length; i++)
		for (let j = 0; j <= i; j++) if (one[i] === true || one[j] === true) m2[packedIndex(i, j)] = 0;
	const means = co.means.map((mean, i) => (one[i] === true ? (extremes[i]?.lo ?? mean) : mean));
	return { n: co.n, means, m2 };
}

/** One place of a part, with the sums of each series in each arm. */
interface Place {
	readonly place: number;
	readonly arms: ReadonlyMap<string, ReadonlyMap<number, Sums>>;
}

/** All aggregates of an experiment, by part and place. */
export class Parts {
	readonly #places = new Map<string, Map<number, Map<string, Map<number, Sums>>>>();
	readonly #metrics: readonly (readonly [number, Reading])[];

	/**
	 * @param rows of `aggregates`, with part, place, arm and series
	 * @param series by metric name; a metric without a series has no evidence
	 */
	constructor(
		rows: readonly Row[],
		metrics: readonly EvidenceMetric[],
		series: ReadonlyMap<string, number>,
		private readonly whole: string,
	) {
		const variables = new Map(metrics.map((metric) => [series.get(metric.name) ?? -1, variablesOf(metric)]));
		for (const row of rows) {
			const number = Number(row.series);
			const places = this.#places.get(String(row.part)) ?? new Map<number, Map<string, Map<number, Sums>>>();
			this.#places.set(String(row.part), places);
			const arms = places.get(Number(row.place)) ?? new Map<string, Map<number, Sums>>();
			places.set(Number(row.place), arms);
			const sums = arms.get(String(row.arm)) ?? new Map<number, Sums>();
			arms.set(String(row.arm), sums);
			const one = sumsOf(row, variables.get(number) ?? SINGLE);
			const known = sums.get(number);
			sums.set(number, known === undefined ? one : mergeSums(known, one));
		}
		this.#metrics = metrics.flatMap((metric) => {
			const number = series.get(metric.name);
			if (number === undefined) return [];
			const all = this.#of(this.whole).flatMap(({ arms }) =>
				[...arms.values()].flatMap((sums) => sums.get(number) ?? []),
			);
			return [[number, readingOf(metric, all)] as const];
		});
	}

	#of(part: string): readonly Place[] {
		const places = this.#places.get(part) ?? new Map<number, Map<string, Map<number, Sums>>>();
		return [...places].map(([place, arms]) => ({ place, arms })).sort((a, b) => a.place - b.place);
	}

	#metricsOf(places: readonly Place[], arm: string): Record<string, MetricEvidence> {
		const found: Record<string, MetricEvidence> = {};
		for (const [number, reading] of this.#metrics) {
			const sums = mergeAll(
				places.flatMap(({ arms }) => arms.get(arm)?.get(number) ?? []),
				reading.k,
			);
			const evidence = evidenceOf(sums, reading);
			if (evidence !== null) found[reading.metric.name] = evidence;
		}
		return found;
	}

	#closed(number: number, arm: string): number {
		return this.#of(this.whole).reduce((sum, { arms }) => sum + (arms.get(arm)?.get(number)?.closed ?? 0), 0);
	}

	/** Number of closed units of the arm in a series. */
	maturedUnits(maturity: number, arm: string): number {
		return this.#closed(maturity, arm);
	}

	arm(arm: string): PartOfArm & { readonly missingUnits: Readonly<Record<string, number>> } {
		const metrics = this.#metricsOf(this.#of(this.whole), arm);
		const missingUnits: Record<string, number> = {};
		for (const [number, { metric }] of this.#metrics) {
			const without = this.#closed(number, arm) - (metrics[metric.name]?.n ?? 0);
			if (without > 0 || (metric.source === "outcome" && metric.missing === "exclude"))
				missingUnits[metric.name] = without;
		}
		return { arm, metrics, missingUnits };
	}

	/** @param values of the segment by rank @param rest rank of all others */
	segment(
		segment: string,
		arms: readonly string[],
		values: readonly string[],
		rest: number,
	): readonly SegmentEvidence[] {
		const places = this.#of(segment);
		return places.map((place) => ({
			segment,
			value: place.place === rest ? null : (values[place.place] ?? null),
			rank: place.place,
			arms: arms.map((arm) => ({ arm, metrics: this.#metricsOf([place], arm) })),
		}));
	}

	/**
	 * Days of first exposure, merged in powers of two counted from 1970, so that a period's bounds stay the same unless two
	 * periods merge.
	 * @param exposed units by day and arm
	 */
	periods(
		arms: readonly string[],
		exposed: ReadonlyMap<number, ReadonlyMap<string, number>>,
	): readonly PeriodEvidence[] {
		const days = [...exposed.keys()];
		if (days.length === 0) return [];
		const first = Math.min(...days);
		const last = Math.max(...days);
		let width = 1;
		while (Math.floor(last / width) - Math.floor(first / width) + 1 > PERIODS_MAX) width *= 2;
		const from = Math.floor(first / width);
		const periods = Array.from({ length: Math.floor(last / width) - from + 1 }, (_, index) => from + index);
		return periods.map((period) => {
			const within = (day: number): boolean => Math.floor(day / width) === period;
			const places = this.#of(this.whole).filter(({ place }) => within(place));
			const units = (arm: string): number =>
				days.filter(within).reduce((sum, day) => sum + (exposed.get(day)?.get(arm) ?? 0), 0);
			return {
				fromMs: dayStartMs(period * width),
				toMs: dayStartMs((period + 1) * width),
				arms: arms.map((arm) => ({ arm, metrics: this.#metricsOf(places, arm), exposedUnits: units(arm) })),
			};
		});
	}

	/** @param rows as of `aggregates`, with another arm beside the arm @param units by arm and other arm */
	interaction(experiment: string, rows: readonly Row[], units: readonly Row[]): InteractionEvidence {
		const cells = units.map((cell) => {
			const arm = String(cell.arm);
			const otherArm = String(cell.other_arm);
			const metrics: Record<string, MetricEvidence> = {};
			for (const [number, reading] of this.#metrics) {
				const own = rows.filter(
					(row) => row.arm === arm && row.other_arm === otherArm && Number(row.series) === number,
				);
				const evidence = evidenceOf(
					mergeAll(
						own.map((row) => sumsOf(row, reading.k)),
						reading.k,
					),
					reading,
				);
				if (evidence !== null) metrics[reading.metric.name] = evidence;
			}
			return { arm, otherArm, units: Number(cell.units), metrics };
		});
		return { experiment, cells };
	}
}
