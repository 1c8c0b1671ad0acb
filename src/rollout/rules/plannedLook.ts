/**
 * Planned looks at the goal, for group-sequential and fixed-horizon designs: each is taken once, when its units have
 * matured, and stays in the status. Looks that were jumped over (more units matured between two decisions than were
 * planned between two looks) are not made up for: the next one is taken at the information that there is. The last one spends
 * all that is left of alpha, also when it comes late.
 */
import { isProvedBy } from "../../analysis/analyse.js";
import { claims, levels } from "../../analysis/claim.js";
import type { FindingLook } from "../../analysis/finding.js";
import { boundary, lookAt, type PlannedDesign, plannedUnits } from "../../analysis/plannedLook.js";
import { baselineOf } from "../../analysis/question.js";
import { NO_MOMENTS } from "../../analysis/statistics/moments.js";
import type { DecisionInput } from "../decision.js";
import { openChallengers, outcomeOf, type RuleOf } from "../outcome.js";
import { count } from "../plainWords.js";
import { number } from "../sentence.js";
import type { ExperimentStatus, PlannedLook } from "../status.js";
import { inconclusive } from "./maxDuration.js";

/** By arm the look that proved its goal, else the last one that was taken. */
export function looksByArm({ looks = [] }: ExperimentStatus): Record<string, FindingLook> {
	const found: Record<string, FindingLook> = {};
	for (const [index, { units, z, boundary, effects = {} }] of looks.entries())
		for (const [arm, own] of Object.entries(z)) {
			if (isProvedBy(found[arm] ?? null)) continue;
			const { improvement = null, lower = null } = effects[arm] ?? {};
			found[arm] = { number: index + 1, units, z: own, boundary, improvement, lower };
		}
	return found;
}

/** Arms whose goal one of the looks has proved. */
export function provedByLook(status: ExperimentStatus): string[] {
	return Object.entries(looksByArm(status)).flatMap(([arm, look]) => (isProvedBy(look) ? [arm] : []));
}

/** Units of all arms at the next look, and its number of how many; null where none is left or planned. */
export function nextLook({ experiment, status }: Pick<DecisionInput, "experiment" | "status">): {
	readonly units: number;
	readonly index: number;
	readonly of: number;
} | null {
	const { inference } = experiment.spec.rollout;
	if (inference.design === "sequential" || experiment.spec.goal === null) return null;
	const planned = plannedUnits(inference);
	const taken = status.looks?.at(-1)?.units ?? 0;
	const index = planned.findIndex((units) => units > taken);
	return index === -1 ? null : { units: planned[index] ?? 0, index, of: planned.length };
}

/** Matured units of all arms. */
export function maturedUnits({ evidence }: Pick<DecisionInput, "evidence">): number {
	return evidence.arms.reduce((sum, arm) => sum + arm.maturedUnits, 0);
}

export const plannedLook: RuleOf = (input, analysis) => {
	const { experiment, status } = input;
	const { inference } = experiment.spec.rollout;
	if (inference.design === "sequential" || experiment.spec.goal === null) return null;
	const next = nextLook(input);
	const proved = provedByLook(status).filter((arm) => openChallengers(input).includes(arm));
	if (next === null) {
		const { units = 0, atMs = 0 } = status.looks?.at(-1) ?? {};
		// A person who has resumed after it has seen it.
		if (proved.length > 0 || (status.durationFromMs ?? Number.NEGATIVE_INFINITY) >= atMs) return null;
		return inconclusive(input, analysis, "look", {
			reason: `the last of the planned looks, at ${units} units, did not prove the goal; alpha is spent, and another plan needs a new Experiment`,
			summary: `no clear result among the ${count(units)} people that were planned for`,
		});
	}
	if (maturedUnits(input) < next.units) return null;
	const look = lookNow(input, inference);
	const lines = Object.entries(look.z).map(([arm, z]) => {
		if (z === null) return `${arm} untested`;
		const lower = look.effects?.[arm]?.lower ?? null;
		return `${arm} z ${number(z)}${lower === null ? "" : ` (at least ${number(lower)})`}`;
	});
	const won = Object.entries(look.z).flatMap(([arm, z]) => (z !== null && z >= look.boundary ? [arm] : []));
	const at = `planned look at ${look.units} units (planned at ${next.units} of ${inference.units})`;
	return outcomeOf(
		input,
		analysis,
		["look", "look"],
		{
			reason: `Took the ${at}: ${lines.join(", ")} against the boundary ${number(look.boundary)}; ${won.length === 0 ? "not proved" : `proved for ${won.join(", ")}`}.`,
			summary: `${count(look.units)} people have been measured, as planned: ${won.length === 0 ? "the improvement is not proved yet" : `the improvement by ${won.join(", ")} is proved`}.`,
		},
		{ status: { ...status, looks: [...(status.looks ?? []), look] } },
	);
};

function lookNow(input: DecisionInput, design: PlannedDesign): PlannedLook {
	const { experiment, metrics, evidence, status, nowMs } = input;
	const units = maturedUnits(input);
	const taken = (status.looks ?? []).map((look) => look.units);
	const of = (arm: string, metric: string) =>
		evidence.arms.find((entry) => entry.arm === arm)?.metrics[metric] ?? NO_MOMENTS;
	const open = openChallengers(input);
	const { pass } = levels(experiment);
	const line = Math.min(boundary(design, [...taken, units], pass), Number.MAX_VALUE);
	const z: Record<string, number | null> = {};
	const effects: Record<string, Pick<FindingLook, "improvement" | "lower">> = {};
	for (const { arm, metric, metricName, role, effect: asked, slowLine } of claims(experiment, metrics)) {
		if (role !== "goal" || !open.includes(arm)) continue;
		const [t, c] = [of(arm, metricName), of(baselineOf(experiment), metricName)];
		z[arm] = null;
		if (metric === null) continue;
		const { z: own, ...effect } = lookAt({ metric, role, effect: asked, slowLine }, t, c, pass, line);
		z[arm] = own;
		effects[arm] = effect;
	}
	return { atMs: nowMs, units, z, boundary: line, effects };
}
