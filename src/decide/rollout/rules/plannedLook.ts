/**
 * Planned looks at the goal, for group-sequential and fixed-horizon designs. Each look is made once, when every open
 * challenger has its planned information, and is stored in the status. Information counts units with a value of the goal in
 * the challenger and the baseline; other units do not inform the comparison, and the boundaries assume the correlation between
 * looks. If more units mature between two decisions than between two planned looks, looks are skipped: the next one uses the
 * information at hand. The last one spends the rest of alpha, even if it is late.
 */
import { isProvedBy } from "../../../infer/statistics/analyse.js";
import { claims, levels } from "../../../infer/statistics/claim.js";
import type { FindingLook } from "../../../infer/statistics/finding.js";
import {
	boundary,
	informationUnits,
	lookAt,
	type PlannedDesign,
	plannedUnits,
} from "../../../infer/statistics/plannedLook.js";
import { baselineOf } from "../../../infer/statistics/question.js";
import { NO_MOMENTS } from "../../../infer/statistics/statistics/moments.js";
import type { DecisionInput } from "../decision.js";
import { openChallengers, outcomeOf, type RuleFunction } from "../outcome.js";
import { number } from "../sentence.js";
import type { ExperimentStatus, LookEffect, PlannedLook } from "../status.js";
import { count, information } from "../summary.js";
import { inconclusive } from "./maxDuration.js";

/** By arm, the look that proved its goal, else the last look. */
export function looksByArm({ looks = [] }: ExperimentStatus): Record<string, FindingLook> {
	const found: Record<string, FindingLook> = {};
	for (const [index, look] of looks.entries())
		for (const [arm, z] of Object.entries(look.z)) {
			if (isProvedBy(found[arm] ?? null)) continue;
			const { improvement = null, lower = null } = look.effects[arm] ?? {};
			found[arm] = { number: index + 1, z, ...lineOfLook(look, arm), improvement, lower };
		}
	return found;
}

/** Units and boundary of an arm at the look. */
export function lineOfLook(look: PlannedLook, arm: string): Pick<FindingLook, "units" | "boundary"> {
	const { units = look.units, boundary = look.boundary } = look.effects[arm] ?? {};
	return { units, boundary };
}

/** Arms whose goal was proved at a look. */
export function provedByLook(status: ExperimentStatus): string[] {
	return Object.entries(looksByArm(status)).flatMap(([arm, look]) => (isProvedBy(look) ? [arm] : []));
}

/** Units of all arms at the next look, its index and the number of looks; null = no look left or planned. */
export function nextLook({ experiment, status }: Pick<DecisionInput, "experiment" | "status">): {
	readonly units: number;
	readonly index: number;
	readonly of: number;
} | null {
	const { inference } = experiment.spec.rollout;
	if (inference.design === "sequential" || experiment.spec.goal === null) return null;
	const planned = plannedUnits(inference);
	const last = status.looks?.at(-1)?.units ?? 0;
	const index = planned.findIndex((units) => units > last);
	return index === -1 ? null : { units: planned[index] ?? 0, index, of: planned.length };
}

/** The open comparison with the least information, as units of all arms. */
export function leastInformed(input: DecisionInput): { readonly arm: string; readonly units: number } {
	const all = openChallengers(input).map((arm) => ({ arm, units: informationIn(input, arm) }));
	// An arm without weight never gets a unit.
	const weighted = all.filter(({ arm }) =>
		input.experiment.spec.arms.some((one) => one.name === arm && one.weight > 0),
	);
	const [first = { arm: "", units: 0 }, ...rest] = weighted.length === 0 ? all : weighted;
	return rest.reduce((least, one) => (one.units < least.units ? one : least), first);
}

function informationIn({ experiment, evidence }: DecisionInput, arm: string): number {
	return informationUnits(experiment, arm, pairOf({ experiment, evidence }, arm));
}

/** Units of a comparison with a value of the goal. */
export function pairOf({ experiment, evidence }: Pick<DecisionInput, "experiment" | "evidence">, arm: string): number {
	const goal = experiment.spec.goal?.metric ?? "";
	const withGoal = (name: string): number => evidence.arms.find((one) => one.arm === name)?.metrics[goal]?.n ?? 0;
	return withGoal(arm) + withGoal(baselineOf(experiment));
}

export const plannedLook: RuleFunction = (input, analysis) => {
	const { experiment, status } = input;
	const { inference } = experiment.spec.rollout;
	if (inference.design === "sequential" || experiment.spec.goal === null) return null;
	const next = nextLook(input);
	const proved = provedByLook(status).filter((arm) => openChallengers(input).includes(arm));
	if (next === null) {
		const { units = 0, atMs = 0 } = status.looks?.at(-1) ?? {};
		// A person has seen it, and resumed.
		if (proved.length > 0 || (status.durationFromMs ?? Number.NEGATIVE_INFINITY) >= atMs) return null;
		return inconclusive(input, analysis, "look", {
			reason: `the last of the planned looks, at ${units} units, did not prove the goal; alpha is spent, and another plan needs a new Experiment`,
			summary: `no clear result by the last planned look, which had ${information(units)}`,
		});
	}
	if (leastInformed(input).units < next.units) return null;
	const look = lookNow(input, inference);
	const of = (arm: string): number => lineOfLook(look, arm).boundary;
	const lines = Object.entries(look.z).map(([arm, z]) => {
		const other = of(arm) === look.boundary ? "" : ` against ${number(of(arm))}`;
		if (z === null) return `${arm} untested`;
		const lower = look.effects[arm]?.lower ?? null;
		return `${arm} z ${number(z)}${other}${lower === null ? "" : ` (at least ${number(lower)})`}`;
	});
	const won = Object.entries(look.z).flatMap(([arm, z]) => (z !== null && z >= of(arm) ? [arm] : []));
	const at = `planned look at ${look.units} units (planned at ${next.units} of ${inference.units})`;
	return outcomeOf(
		input,
		analysis,
		["look", "look"],
		{
			reason: `Took the ${at}: ${lines.join(", ")} against the boundary ${number(look.boundary)}; ${won.length === 0 ? "not proved" : `proved for ${won.join(", ")}`}.`,
			summary: `${measuredPeople(input, look.units)}, as planned: ${won.length === 0 ? "the improvement is not proved yet" : `the improvement by ${won.join(", ")} is proved`}.`,
		},
		{ status: { ...status, looks: [...(status.looks ?? []), look] } },
	);
};

/** With more than two arms, a comparison has fewer people than the plan counts. */
function measuredPeople(input: DecisionInput, units: number): string {
	const { arm } = leastInformed(input);
	const pair = pairOf(input, arm);
	if (pair === units) return `${count(units)} people have been measured`;
	return `${count(pair)} people of ${arm} and the old version have been measured, with ${information(units)}`;
}

function lookNow(input: DecisionInput, design: PlannedDesign): PlannedLook {
	const { experiment, metrics, evidence, status, nowMs } = input;
	const of = (arm: string, metric: string) =>
		evidence.arms.find((entry) => entry.arm === arm)?.metrics[metric] ?? NO_MOMENTS;
	const open = openChallengers(input);
	const { pass } = levels(experiment);
	const lineAt = (arm: string, units: number): number => {
		const earlier = (status.looks ?? []).map((look) => lineOfLook(look, arm).units);
		return Math.min(boundary(design, [...earlier, units], pass), Number.MAX_VALUE);
	};
	const z: Record<string, number | null> = {};
	const effects: Record<string, LookEffect> = {};
	for (const { arm, metric, metricName, role, effect: asked, slowLine } of claims(experiment, metrics)) {
		if (role !== "goal" || !open.includes(arm)) continue;
		const [t, c] = [of(arm, metricName), of(baselineOf(experiment), metricName)];
		z[arm] = null;
		if (metric === null) continue;
		const units = informationIn(input, arm);
		const line = lineAt(arm, units);
		const { z: own, ...effect } = lookAt({ metric, role, effect: asked, slowLine }, t, c, pass, line);
		z[arm] = own;
		effects[arm] = { ...effect, units, boundary: line };
	}
	const { arm, units } = leastInformed(input);
	return { atMs: nowMs, units, z, boundary: effects[arm]?.boundary ?? lineAt(arm, units), effects };
}
