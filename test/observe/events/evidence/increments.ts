/**
 * A store driven through a random history, and a plain model of what its evidence must then be: the model keeps every
 * unit and outcome and computes all from the beginning; the store adds only what is new.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type {
	Evidence,
	EvidenceMetric,
	EvidenceQuery,
	MetricEvidence,
} from "../../../../src/infer/statistics/evidence.js";
import { type CoMoments, momentsAt } from "../../../../src/infer/statistics/statistics/coMoments.js";
import { type LogCapital, logCapitalOf } from "../../../../src/infer/statistics/statistics/logCapital.js";
import { SEGMENT_VALUES_MAX } from "../../../../src/limits/index.js";
import { gatherEvidence } from "../../../../src/observe/events/evidence/evidence.js";
import { Looks } from "../../../../src/observe/events/evidence/looks.js";
import { RequestCommit } from "../../../../src/observe/events/receive/requests/requestCommit.js";
import type { Exposure } from "../../../../src/observe/events/receive/requests/requestRow.js";
import { type EventStore, openEventStore } from "../../../../src/observe/events/store/store.js";
import { coMomentsOf } from "../../../infer/statistics/formulas.js";

const DAY_MS = 86_400_000;
const ARMS = ["boosted", "control"] as const;

interface Person {
	readonly unit: bigint;
	arm: string;
	readonly firstMs: number;
	readonly receivedMs: number;
	readonly country: string | null;
	left: boolean;
	/** Each closed metric's definition and variables; null = no data. */
	readonly closed: Map<string, { readonly kind: string; readonly values: readonly (number | null)[] | null }>;
}

interface Outcome {
	readonly metric: string;
	readonly unit: bigint;
	readonly value: number;
	readonly eventMs: number;
	readonly receivedMs: number;
}

const DEFAULTS = {
	source: "outcome",
	settleMs: 500,
	missing: "exclude",
	perUnit: "mean",
	denominator: null,
	covariateMs: null,
	cap: null,
	threshold: null,
	range: null,
} as const;

/** The definitions that a metric goes through, in any order. */
const VARIANTS: readonly (readonly EvidenceMetric[])[] = [
	[
		{ ...DEFAULTS, name: "score", windowMs: 40_000, range: { lo: -100, hi: 900 } },
		{ ...DEFAULTS, name: "score", windowMs: 1_000 },
		{ ...DEFAULTS, name: "score", windowMs: 40_000 },
		{ ...DEFAULTS, name: "score", windowMs: 1_000, covariateMs: 50_000 },
		{ ...DEFAULTS, name: "score", windowMs: 40_000, range: { lo: -100, hi: 500 } },
		{ ...DEFAULTS, name: "score", windowMs: 40_000, missing: "zero", range: { lo: -100, hi: 900 } },
	],
	[
		{ ...DEFAULTS, name: "spent", windowMs: 30_000, perUnit: "sum", missing: "zero" },
		{ ...DEFAULTS, name: "spent", windowMs: 30_000, perUnit: "sum", missing: "zero", covariateMs: 90_000 },
		{ ...DEFAULTS, name: "spent", windowMs: 30_000, perUnit: "sum", missing: "zero", cap: "unfrozen" },
		{
			...DEFAULTS,
			name: "spent",
			windowMs: 60_000,
			perUnit: "sum",
			missing: "zero",
			cap: { value: 90, frozenAtMs: 0 },
		},
	],
	[
		{ ...DEFAULTS, name: "each", windowMs: 30_000, perUnit: "sum", denominator: { metric: "score" } },
		{
			...DEFAULTS,
			name: "each",
			windowMs: 30_000,
			perUnit: "sum",
			denominator: { metric: "score" },
			covariateMs: 70_000,
		},
	],
];

const kindOf = ({ windowMs: _, settleMs: __, range: ___, ...rest }: EvidenceMetric): string => JSON.stringify(rest);

class Model {
	readonly people = new Map<bigint, Person>();
	readonly outcomes: Outcome[] = [];
	/** Countries in order of appearance. */
	readonly countries: string[] = [];

	close(metric: EvidenceMetric, nowMs: number): void {
		if (metric.cap === "unfrozen") return;
		for (const person of this.people.values()) {
			const dueMs = Math.max(person.firstMs + metric.windowMs, person.receivedMs) + metric.settleMs;
			if (person.left || person.closed.has(metric.name) || dueMs >= nowMs) continue;
			const values = this.#observe(metric, person, dueMs);
			person.closed.set(metric.name, { kind: kindOf(metric), values });
		}
	}

	#observe(metric: EvidenceMetric, { unit, firstMs }: Person, dueMs: number): readonly (number | null)[] | null {
		const { name, windowMs, denominator, covariateMs, perUnit, missing, cap } = metric;
		const sent = (wanted: string, from: number, to: number): number[] =>
			this.outcomes
				.filter(
					(o) =>
						o.metric === wanted && o.unit === unit && o.receivedMs <= dueMs && o.eventMs >= from && o.eventMs <= to,
				)
				.map(({ value }) => value);
		const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
		const most = cap === null || cap === "unfrozen" ? Number.POSITIVE_INFINITY : cap.value;
		const one = (values: readonly number[]): number | null => {
			if (values.length === 0) return perUnit === "sum" ? 0 : null;
			return Math.min(most, perUnit === "sum" ? sum(values) : sum(values) / values.length);
		};
		const inside = sent(name, firstMs, firstMs + windowMs);
		const before = covariateMs === null ? [] : sent(name, firstMs - covariateMs, firstMs - 1);
		if (denominator !== null && denominator !== "requests") {
			const under = sent(denominator.metric, firstMs, firstMs + windowMs);
			const underBefore = covariateMs === null ? [] : sent(denominator.metric, firstMs - covariateMs, firstMs - 1);
			if (inside.length + under.length === 0 && missing === "exclude") return null;
			return [sum(inside), sum(under), ...(covariateMs === null ? [] : [sum(before), sum(underBefore)])];
		}
		if (inside.length === 0 && missing === "exclude") return null;
		return [one(inside) ?? 0, ...(covariateMs === null ? [] : [one(before)])];
	}

	/** Units that were closed under this definition with data. */
	#observed(metric: EvidenceMetric, people: Iterable<Person>): (readonly (number | null)[])[] {
		return [...people].flatMap((person) => {
			const closed = person.left ? undefined : person.closed.get(metric.name);
			return closed === undefined || closed.kind !== kindOf(metric) || closed.values === null ? [] : [closed.values];
		});
	}

	/** Log-capital of a whole arm. */
	capital(metric: EvidenceMetric, people: readonly Person[]): LogCapital | undefined {
		const { range } = metric;
		if (range === null) return undefined;
		const shares = this.#observed(metric, people).map(([value]) => ((value ?? 0) - range.lo) / (range.hi - range.lo));
		return logCapitalOf(shares.filter((share) => share >= 0 && share <= 1));
	}

	/** Metrics of some people, as evidence has them. */
	evidence(metric: EvidenceMetric, people: readonly Person[]): MetricEvidence | undefined {
		if (metric.cap === "unfrozen") return undefined;
		const of = (who: Iterable<Person>) => this.#observed(metric, who);
		const known = of(this.people.values()).flatMap(([, covariate]) => covariate ?? []);
		const stand = known.length === 0 ? 0 : known.reduce((total, value) => total + value, 0) / known.length;
		const rows = of(people).map((values) => values.map((value) => value ?? stand));
		if (rows.length === 0) return undefined;
		const k = (metric.denominator === null ? 1 : 2) * (metric.covariateMs === null ? 1 : 2);
		const co = coMomentsOf(k, rows);
		const extremes = co.means.map((_, i) => {
			const values = rows.map((row) => row[i] ?? Number.NaN);
			return { lo: Math.min(...values), hi: Math.max(...values) };
		});
		return k === 1 ? { ...momentsAt(co, 0), extremes } : { ...momentsAt(co, 0), co, extremes };
	}
}

function* numbers(seed: number): Generator<number, never> {
	let state = seed >>> 0;
	for (;;) {
		state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
		yield state / 2 ** 32;
	}
}

export type Check = (found: unknown, wanted: unknown, what: string) => void;

/** Runs the history of a seed, and checks the evidence of every look. */
export async function runHistory(seed: number, looks: number, check: Check): Promise<void> {
	const directory = mkdtempSync(join(tmpdir(), "weir-history-"));
	const random = numbers(seed);
	const next = (): number => random.next().value;
	const below = (count: number): number => Math.floor(next() * count);
	const model = new Model();
	let store: EventStore = await openEventStore(directory);
	let commit = new RequestCommit();
	let known = new Looks();
	const quiet = numbers(seed + 1);
	let nowMs = 20_000 * DAY_MS - 300_000;
	let serial = 0n;
	const definitions = VARIANTS.map(() => 0);
	let segments: readonly string[] = ["country"];
	try {
		for (let look = 0; look < looks; look++) {
			nowMs += below(25_000) + 1;
			// The clock goes back, rarely and less than a unit needs to come in.
			if (next() < 0.1) nowMs -= 5_000;
			if (next() < 0.15) nowMs += 3 * DAY_MS;
			const exposures: Exposure[] = [];
			for (let count = below(12); count > 0; count--) exposures.push(newPerson());
			if (next() < 0.3) exposures.push(...inBothArms());
			const forced = next() < 0.1 ? anyone().map((person) => leave(person)) : [];
			await store.entries.transaction((transaction) =>
				commit.write(transaction, {
					rows: [],
					exposures,
					forced,
					refused: [],
					lost: { entries: { unreadable: 0, dropped: 0, undelivered: 0 }, undeliveredSinceMs: null },
					nowMs,
				}),
			);
			await addOutcomes(store, Array.from({ length: below(40) }, newOutcome).flat());
			if (next() < 0.25) {
				const index = below(VARIANTS.length);
				definitions[index] = below(VARIANTS[index]?.length ?? 1);
			}
			if (next() < 0.15) segments = segments.length === 0 ? ["country"] : [];
			if (next() < 0.2) {
				await store.close();
				store = await openEventStore(directory);
				commit = new RequestCommit();
				known = new Looks();
			}
			const metrics = VARIANTS.flatMap((variants, index) => variants[definitions[index] ?? 0] ?? []);
			const query: EvidenceQuery = {
				experiment: "models",
				service: "shop",
				metrics,
				healthSinceMs: 0,
				segments,
				interactsWith: [],
			};
			if (next() < 0.1) await crash(store, query, nowMs);
			// Some more looks while nothing comes, but the time at which units fall due.
			for (let more = quiet.next().value < 0.3 ? 3 : 0; more >= 0; more--) {
				for (const metric of metrics) model.close(metric, nowMs);
				const found = await gatherEvidence(store, query, nowMs, known);
				compare(model, query, found, check, `seed ${seed}, look ${look}, ${more} more`);
				if (more > 0) nowMs += Math.floor(quiet.next().value * 4_000);
			}
		}
	} finally {
		await store.close();
		rmSync(directory, { recursive: true, force: true });
	}

	function exposureOf({ unit, arm, firstMs, receivedMs, country }: Person): Exposure {
		const segments: Record<string, string> = country === null ? {} : { country };
		return {
			experiment: "models",
			unit,
			arm,
			plan: "p1",
			firstMs,
			receivedMs,
			livePoints: { control: 1, boosted: 1 },
			core: true,
			segments,
		};
	}

	function newPerson(): Exposure {
		const arm = ARMS[below(2)] ?? "control";
		const country = next() < 0.2 ? null : `c${below(below(30) + 1)}`;
		serial += 1n;
		const person: Person = {
			unit: serial,
			arm,
			firstMs: nowMs - below(2_000),
			receivedMs: nowMs,
			country,
			left: false,
			closed: new Map(),
		};
		model.people.set(person.unit, person);
		appear([person]);
		return exposureOf(person);
	}

	/** Ranks are given batch by batch; the batch here is one person late, so the order within it is set below. */
	function appear(people: readonly Person[]): void {
		for (const { country } of people) {
			if (country !== null && !model.countries.includes(country)) model.countries.push(country);
		}
	}

	function anyone(): readonly Person[] {
		const people = [...model.people.values()];
		return people.slice(below(people.length + 1)).slice(0, 1);
	}

	function leave(person: Person) {
		person.left = true;
		return { experiment: "models", unit: person.unit };
	}

	function inBothArms(): readonly Exposure[] {
		return anyone().map((person) => {
			leave(person);
			const other = ARMS.find((arm) => arm !== person.arm) ?? "";
			// It arrives after the outcome that counts.
			return { ...exposureOf(person), arm: other, firstMs: person.firstMs + 5_000 };
		});
	}

	function newOutcome(): readonly Outcome[] {
		return anyone().map(({ unit, firstMs }) => {
			const outcome = {
				metric: ["score", "spent", "each"][below(3)] ?? "",
				unit,
				value: 1e3 * next() - 100,
				eventMs: firstMs - 90_000 + below(150_000),
				receivedMs: nowMs,
			};
			model.outcomes.push(outcome);
			return outcome;
		});
	}
}

function addOutcomes(store: EventStore, outcomes: readonly Outcome[]): Promise<void> {
	return store.outcomes.transaction((transaction) =>
		transaction.append("outcomes", outcomes, (to, { metric, unit, value, eventMs, receivedMs }) => {
			to.appendVarchar(metric);
			to.appendUHugeInt(unit);
			to.appendNull();
			to.appendNull();
			to.appendDouble(value);
			to.appendBigInt(BigInt(eventMs));
			to.appendBigInt(BigInt(receivedMs));
		}),
	);
}

/** A look that is lost before its commit. */
async function crash(store: EventStore, query: EvidenceQuery, nowMs: number): Promise<void> {
	const lost = new Error("lost");
	const half: EventStore = {
		...store,
		analysis: {
			transaction: (work: (transaction: never) => Promise<unknown>) =>
				store.analysis.transaction(async (transaction) => {
					await work(transaction as never);
					throw lost;
				}),
		} as unknown as EventStore["analysis"],
	};
	await gatherEvidence(half, query, nowMs).catch((thrown: unknown) => {
		if (thrown !== lost) throw thrown;
	});
}

function compare(model: Model, query: EvidenceQuery, evidence: Evidence, check: Check, where: string): void {
	const people = [...model.people.values()].filter(({ left }) => !left);
	for (const { arm, metrics, exposedUnits, missingUnits } of evidence.arms) {
		const own = people.filter((person) => person.arm === arm);
		check(exposedUnits, own.length, `${where}: ${arm} exposed`);
		for (const metric of query.metrics) {
			const what = `${where}: ${arm} ${metric.name}`;
			same(metrics[metric.name], model.evidence(metric, own), check, what);
			if (metrics[metric.name] !== undefined)
				sameCapital(metrics[metric.name]?.capital, model.capital(metric, own), check, what);
			if (metric.missing !== "exclude") continue;
			const silent = own.filter(({ closed }) => {
				const one = closed.get(metric.name);
				return one?.kind === kindOf(metric) && one.values === null;
			});
			check(missingUnits[metric.name] ?? 0, silent.length, `${what} missing`);
		}
	}
	for (const { fromMs, toMs, arms } of evidence.periods) {
		for (const { arm, metrics, exposedUnits } of arms) {
			const own = people.filter((one) => one.arm === arm && one.firstMs >= fromMs && one.firstMs < toMs);
			check(exposedUnits, own.length, `${where}: ${arm} exposed from ${fromMs}`);
			for (const metric of query.metrics)
				same(metrics[metric.name], model.evidence(metric, own), check, `${where}: ${arm} from ${fromMs}`);
		}
	}
	const kept = new Map(evidence.segments.map(({ value, rank }) => [value, rank]));
	for (const { value, arms } of evidence.segments) {
		const countries = new Set([...kept.keys()].filter((one) => one !== null));
		for (const { arm, metrics } of arms) {
			const own = people.filter(
				(one) =>
					one.arm === arm &&
					(value === null ? one.country === null || !countries.has(one.country) : one.country === value),
			);
			for (const metric of query.metrics)
				same(metrics[metric.name], model.evidence(metric, own), check, `${where}: ${arm} in ${value}`);
		}
	}
	check(
		[...kept.values()].every((rank) => rank <= SEGMENT_VALUES_MAX),
		true,
		`${where}: ranks`,
	);
}

function same(found: MetricEvidence | undefined, wanted: MetricEvidence | undefined, check: Check, what: string): void {
	check(found?.n, wanted?.n, `${what}: n`);
	if (found === undefined || wanted === undefined || found.n !== wanted.n) return;
	const whole = (evidence: MetricEvidence): CoMoments =>
		evidence.co ?? { n: evidence.n, means: [evidence.mean], m2: [evidence.m2] };
	const a = whole(found);
	const b = whole(wanted);
	check(a.means.length, b.means.length, `${what}: variables`);
	// Rounding is beside the size of the values and of their squares.
	for (const [index, mean] of b.means.entries())
		check(near(a.means[index], mean, 1e3), true, `${what}: mean ${index} ${a.means[index]} ${mean}`);
	for (const [index, m2] of b.m2.entries()) {
		check(near(a.m2[index], m2, 1e6 * b.n), true, `${what}: m2 ${index} ${a.m2[index]} ${m2}`);
	}
	check(found.extremes?.length, wanted.extremes?.length, `${what}: extremes`);
	for (const [index, { lo, hi }] of (wanted.extremes ?? []).entries()) {
		const own = found.extremes?.[index];
		check(near(own?.lo, lo, 1e3) && near(own?.hi, hi, 1e3), true, `${what}: extremes ${index} ${own?.lo} ${own?.hi}`);
	}
}

function sameCapital(found: LogCapital | undefined, wanted: LogCapital | undefined, check: Check, what: string): void {
	check(found?.n, wanted?.n, `${what}: units with capital`);
	if (found === undefined || wanted === undefined || found.n !== wanted.n) return;
	for (const side of ["up", "down"] as const)
		for (const [index, sum] of wanted[side].entries())
			check(near(found[side][index], sum, wanted.n), true, `${what}: ${side} ${index} ${found[side][index]} ${sum}`);
}

/** To 1e-12 of the scale of the sums. */
const near = (found: number | undefined, wanted: number, scale: number): boolean =>
	Math.abs((found ?? Number.NaN) - wanted) <= 1e-12 * Math.max(Math.abs(wanted), scale);
