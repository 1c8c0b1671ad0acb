/**
 * Decisions that were made before rules had numbers (DecisionInput.rules absent) are made again as they were: what
 * their evidence and declaration do not have is empty, every claim had an equal part of alpha, and their outcomes have no
 * plain words. Two things cannot be the same to the last byte: bounds, whose search was replaced (both ends of it are
 * right to 1e-9), and the estimate of the time left, which decided nothing.
 */
import { type Levels, levels } from "../analysis/claim.js";
import type { Evidence } from "../analysis/evidence.js";
import type { Experiment, Metric } from "../resources/resource.js";
import type { DecisionInput, Outcome } from "./decision.js";

/** Every claim's equal part, for both families. */
export function formerLevels(experiment: Experiment): Levels {
	const { harm } = levels(experiment, "by former rules");
	return { pass: harm, harm, segmentHarm: 0 };
}

/** With every word that came later, empty. */
export function completed(input: DecisionInput): DecisionInput {
	const { experiment, evidence } = input;
	const later: Omit<
		Evidence,
		"experiment" | "asOfMs" | "arms" | "exposures" | "conflictingUnits" | "health" | "droppedEntries"
	> = {
		forcedUnits: 0,
		segments: [],
		periods: [],
		interactions: [],
		newestOutcomeMs: {},
	};
	const segments: Pick<Experiment["spec"], "segments"> = { segments: [] };
	const rollout: Pick<Experiment["spec"]["rollout"], "onHarm" | "inference" | "holdback" | "bandit" | "gates"> = {
		onHarm: "roll-back",
		inference: { design: "sequential" },
		holdback: null,
		bandit: null,
		gates: [],
	};
	const metric: Pick<Metric["spec"], "perUnit" | "range" | "denominator" | "cap" | "covariateMs"> = {
		perUnit: "mean",
		range: null,
		denominator: null,
		cap: null,
		covariateMs: null,
	};
	return {
		...input,
		experiment: {
			...experiment,
			spec: { ...segments, ...experiment.spec, rollout: { ...rollout, ...experiment.spec.rollout } },
		},
		metrics: Object.fromEntries(
			Object.entries(input.metrics).map(([name, one]) => [name, { ...one, spec: { ...metric, ...one.spec } }]),
		),
		evidence: { ...later, ...evidence },
	};
}

/** Without the words that came later. */
export function asFormer(outcome: Outcome): Outcome {
	const { summary: _, ...rest } = outcome;
	return {
		...rest,
		findings: outcome.findings.map(({ standardError, relative, harmAlpha, logE, ...finding }) => finding),
	};
}

/** Of two numbers, also within a sentence. */
const RELATIVE_SLACK = 1e-6;
/** Sentences give four digits. */
const SENTENCE_SLACK = 2e-3;

/** Whether an outcome made now says what one by former rules said. */
export function saysTheSame(now: unknown, then: unknown, name = ""): boolean {
	if (name === "expectedMs") return true;
	if (typeof now === "number" && typeof then === "number") return near(now, then, RELATIVE_SLACK);
	if (typeof now === "string" && typeof then === "string") return sameSentence(now, then);
	if (typeof now !== "object" || typeof then !== "object" || now === null || then === null) return now === then;
	const [a, b] = [Object.entries(now), new Map(Object.entries(then))];
	return a.length === b.size && a.every(([key, value]) => b.has(key) && saysTheSame(value, b.get(key), key));
}

function near(a: number, b: number, slack: number): boolean {
	return a === b || Math.abs(a - b) <= slack * Math.max(Math.abs(a), Math.abs(b), 1e-6);
}

function sameSentence(now: string, then: string): boolean {
	const NUMBER = /-?\d+(?:\.\d+)?(?:e[-+]?\d+)?/g;
	if (now.replace(NUMBER, "#") !== then.replace(NUMBER, "#")) return false;
	const [a, b] = [now.match(NUMBER) ?? [], then.match(NUMBER) ?? []];
	return a.every((value, index) => near(Number(value), Number(b[index]), SENTENCE_SLACK));
}
