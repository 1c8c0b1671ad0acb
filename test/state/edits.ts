/** One Experiment on employment in which each rule is said anew, and what an edit of it takes beside `apply`, without an API. */
import { parseResources } from "../../src/resources/parse.js";
import type { Experiment } from "../../src/resources/resource.js";
import { type ExperimentStatus, initialStatus } from "../../src/rollout/status.js";
import { promotionsEased } from "../../src/state/consequences/promotionEased.js";
import { resourceSet } from "../fixtures/resources.js";
import { experiment as document, file, METRIC, SERVICE } from "./employment.js";

const RULES = "steps: [2%, 10%, 50%], every: 10s, minUnits: 500, alpha: 0.05";
export const GOAL = "{metric: accuracy, improveBy: {absolute: 0.5pp}}";
export const GUARDS = "[{metric: errors, margin: {relative: 5%}}, {metric: clicks, margin: {absolute: 1pp}}]";
export const HARD = "maxDuration: 1d, onInconclusive: keep-default, onHarm: roll-back, holdback: {share: 5%, for: 1h}";

/** Of rules that are said twice the last one holds. */
export function text(rules = "", goal = GOAL, guards = GUARDS): string {
	const said = [...`${RULES}, ${rules}`.matchAll(/(\w+): (\[.*?\]|\{.*?\}|[^,]+)/g)].map(([, name, value]) => [
		name,
		value,
	]);
	const rollout = Object.entries(Object.fromEntries(said)).map(([name, value]) => `${name}: ${value}`);
	return document("trial", "[0%, 100%]", `  guardrails: ${guards}\n`)
		.replace(/goal: .*/, `goal: ${goal}`)
		.replace(/rollout: .*/, `rollout: {${rollout.join(", ")}}`);
}

export const LESS = "lets less harm end Experiment trial";
const METRICS = [
	...["accuracy", "errors", "clicks"].map((name) => METRIC.replace("accuracy", name)),
	METRIC.replace("accuracy", "latency").replace(
		/spec: .*/,
		"spec: {type: quantile, quantile: 0.9, source: latency, direction: down, window: 1s}",
	),
];

export const { metrics } = parseResources(file(METRICS.join("---\n"))).resources;

/** @throws Error where it has problems */
export const parsed = (yaml: string): Experiment => {
	const { resources, problems } = parseResources(file([SERVICE, ...METRICS, yaml].join("---\n")));
	const [one] = resources.experiments;
	if (one === undefined || problems.length > 0) throw new Error(JSON.stringify(problems));
	return one;
};

/** What it is told to do, one after the other; a lowered bar by its rules alone. @param livePpm while Promoting of the takeover */
export function eased(
	before: string,
	after: string,
	livePpm = 20_000,
	phase: "Running" | "Paused" | "Promoting" | "RolledBack" = "Running",
	thresholds: ExperimentStatus["thresholds"] = {},
): string {
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: livePpm };
	const status = {
		...{ ...initialStatus([livePpm], 0), phase, thresholds },
		promotion: phase === "Promoting" ? promotion : null,
	};
	const stands = { resources: resourceSet({ metrics }), status: { experiments: { trial: status }, services: {} } };
	const told = promotionsEased(stands, [{ before: parsed(before), after: parsed(after) }]);
	return told.map(({ effect }) => effect.replace("makes a promotion by Experiment trial easier: ", "")).join("; ");
}
