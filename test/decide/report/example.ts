/**
 * Reports of whole experiments: units arrive daily, decide() is called daily, and its decisions are kept as in the
 * store. Deterministic.
 */

import type { ReportInput } from "../../../src/decide/report/reportInput.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import { type Decision, RULES } from "../../../src/decide/rollout/decision.js";
import { startExperiment } from "../../../src/decide/rollout/declaration.js";
import { type ExperimentStatus, initialStatus } from "../../../src/decide/rollout/status.js";
import type { Experiment, Metric } from "../../../src/declare/resources/resource.js";
import type {
	ArmEvidence,
	Evidence,
	ExposureBatch,
	MetricEvidence,
	PeriodEvidence,
} from "../../../src/infer/statistics/evidence.js";
import { mergeMoments, NO_MOMENTS } from "../../../src/infer/statistics/statistics/moments.js";
import { random } from "../../infer/statistics/random.js";
import { experiment, METRICS, metric, ROLLOUT, rate } from "../rollout/example.js";

export const DAY_MS = 86_400_000;
export const START_MS = Date.UTC(2026, 2, 2, 8);

export interface Story {
	readonly days: number;
	/** New people of the Service a day. */
	readonly peoplePerDay: number;
	/** Share of right answers by arm; of the challengers `boosted` and, if there is one, `tuned`. */
	readonly accuracy: Readonly<Record<string, number>>;
	readonly slow: Readonly<Record<string, number>>;
	readonly errors: Readonly<Record<string, number>>;
	/** Added to the accuracy of the segment's units in every challenger. */
	readonly inCountry?: Readonly<Record<string, number>>;
}

export const MEASURING: Story = {
	days: 9,
	peoplePerDay: 1_400,
	accuracy: { control: 0.78, boosted: 0.795 },
	slow: { control: 0.01, boosted: 0.0005 },
	errors: { control: 0.002, boosted: 0.002 },
};

export const WINNING: Story = {
	...MEASURING,
	days: 24,
	peoplePerDay: 3_000,
	accuracy: { control: 0.78, boosted: 0.83 },
};
export const HARMFUL: Story = { ...MEASURING, errors: { control: 0.002, boosted: 0.05 } };

const COUNTRIES = ["DE", "FR", "NL", null] as const;

export const DECLARED: Experiment = experiment(["boosted"], {
	segments: [{ name: "country", header: "x-country" }],
	rollout: { ...ROLLOUT, everyMs: DAY_MS, minUnits: 500, maxDurationMs: 30 * DAY_MS },
});

/** The state of the experiment after some days. */
export function reportInput(
	story: Story,
	declared: Experiment = DECLARED,
	metrics = named(METRICS, declared),
): ReportInput {
	const next = random(7);
	const arms = declared.spec.arms.map(({ name }) => name);
	let status: ExperimentStatus = {
		...initialStatus(declared.spec.rollout.stepsPpm, START_MS),
		thresholds: {
			"latency-p99": { thresholdMs: 40, referenceMs: 20, frozenAtMs: START_MS, sampleSize: 9_000, era: 1 },
		},
	};
	const decisions: Decision[] = [];
	const record = (decision: Pick<Decision, "atMs" | "input" | "outcome">) => {
		decisions.push({
			...{ experiment: declared.metadata.name, sequence: decisions.length + 1, by: "weir" },
			acknowledgedAtMs: decision.atMs + 200,
			...decision,
		});
	};
	record({ atMs: START_MS, input: null, outcome: startExperiment(declared, START_MS) });
	const periods: PeriodEvidence[] = [];
	const exposures: ExposureBatch[] = [];
	const segments = new Map<string | null, Record<string, Record<string, MetricEvidence>>>();
	let evidence: Evidence = gathered(declared, periods, exposures, segments, START_MS);
	let waited = "";
	for (let day = 0; day < story.days; day++) {
		const fromMs = START_MS + day * DAY_MS;
		const share = status.phase === "Running" ? status.allocationPpm / 1_000_000 : 0;
		const people = arms.map(() => Math.round((story.peoplePerDay * share * (0.97 + 0.06 * next())) / arms.length));
		if (share > 0) {
			periods.push({
				...{ fromMs, toMs: fromMs + DAY_MS },
				arms: arms.map((arm, index) => {
					const n = people[index] ?? 0;
					const parts = COUNTRIES.map((country, at) => {
						const own = Math.round(n * ([0.5, 0.3, 0.15, 0.05][at] ?? 0));
						const shift = arm === arms[0] ? 0 : (story.inCountry?.[country ?? ""] ?? 0);
						const moments = measured(story, arm, own, shift, next);
						const kept = segments.get(country) ?? {};
						kept[arm] = mergedAll(kept[arm] ?? {}, moments);
						segments.set(country, kept);
						return moments;
					});
					return { arm, exposedUnits: n, metrics: parts.reduce(mergedAll, {}) };
				}),
			});
			const planVersion = `plan-${status.allocationPpm}`;
			const known = exposures.find((batch) => batch.planVersion === planVersion);
			const counts = Object.fromEntries(
				arms.map((arm, index) => [arm, (known?.counts[arm] ?? 0) + (people[index] ?? 0)]),
			);
			const livePoints = Object.fromEntries(arms.map((arm) => [arm, Math.floor(status.allocationPpm / arms.length)]));
			if (known === undefined) exposures.push({ planVersion, firstMs: fromMs, counts, livePoints });
			else exposures[exposures.indexOf(known)] = { ...known, counts };
		}
		const nowMs = fromMs + DAY_MS;
		evidence = gathered(declared, periods, exposures, segments, nowMs);
		const input = { rules: RULES, experiment: declared, metrics, status, evidence, nowMs };
		const outcome = decide(input);
		const wait = outcome.action === "hold" ? `${outcome.rule} ${outcome.waitsFor}` : "";
		if (wait === "" || wait !== waited) record({ atMs: nowMs, input, outcome });
		waited = wait;
		status = outcome.status;
	}
	return { experiment: declared, metrics, status, decisions, evidence, atMs: START_MS + story.days * DAY_MS };
}

function named(metrics: Readonly<Record<string, Metric>>, { spec }: Experiment): Readonly<Record<string, Metric>> {
	const names = [...spec.guardrails.map((one) => one.metric), ...(spec.goal === null ? [] : [spec.goal.metric])];
	return Object.fromEntries(names.map((name) => [name, metrics[name] ?? metric(name, {})]));
}

/** A normal spread about the truth, as a binomial has it. */
function measured(
	story: Story,
	arm: string,
	n: number,
	shift: number,
	next: () => number,
): Record<string, MetricEvidence> {
	const seen = (share: number): MetricEvidence => {
		const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
		const successes = Math.round(n * share + normal * Math.sqrt(n * share * (1 - share)));
		return n === 0 ? NO_MOMENTS : rate(n, Math.min(n, Math.max(0, successes)) / n);
	};
	return {
		accuracy: seen((story.accuracy[arm] ?? 0) + shift),
		"latency-p99": seen(story.slow[arm] ?? 0),
		"error-rate": seen(story.errors[arm] ?? 0),
	};
}

type Parts = Readonly<Record<string, MetricEvidence>>;

function mergedAll(a: Parts, b: Parts): Record<string, MetricEvidence> {
	const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
	return Object.fromEntries(names.map((name) => [name, mergeMoments(a[name] ?? NO_MOMENTS, b[name] ?? NO_MOMENTS)]));
}

function gathered(
	declared: Experiment,
	periods: readonly PeriodEvidence[],
	exposures: readonly ExposureBatch[],
	segments: ReadonlyMap<string | null, Readonly<Record<string, Parts>>>,
	asOfMs: number,
): Evidence {
	const arms = declared.spec.arms.map(({ name }): ArmEvidence => {
		const own = periods.flatMap((period) => period.arms.filter(({ arm }) => arm === name));
		const exposedUnits = own.reduce((sum, part) => sum + part.exposedUnits, 0);
		const metrics = own.map((part) => part.metrics).reduce(mergedAll, {});
		return {
			arm: name,
			exposedUnits,
			maturedUnits: exposedUnits,
			metrics,
			missingUnits: { accuracy: Math.floor(exposedUnits / 90) },
		};
	});
	return {
		experiment: declared.metadata.name,
		asOfMs,
		arms,
		exposures: structuredClone(exposures) as ExposureBatch[],
		conflictingUnits: 3,
		health: [{ variant: "v2", requests: 400, failures: 0 }],
		droppedEntries: 0,
		forcedUnits: 2,
		segments: [...segments].map(([value, parts], rank) => ({
			...{ segment: declared.spec.segments[0]?.name ?? "", value, rank },
			arms: Object.entries(parts).map(([arm, metrics]) => ({ arm, metrics })),
		})),
		periods: structuredClone(periods) as PeriodEvidence[],
		interactions: [],
		newestOutcomeMs: { accuracy: asOfMs - 4_000 },
	};
}
