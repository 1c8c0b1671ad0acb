/** The declaration that the state tests apply, and a rollout's decisions on it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Outcome } from "../../src/decide/rollout/decision.js";
import type { ExperimentStatus } from "../../src/decide/rollout/status.js";

export const SERVICE = `apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: employment}
spec:
  hosts: [employment.example]
  protocol: http1
  access: open
  defaultVariant: v1
  variants:
    - {name: v1, endpoints: [{address: 127.0.0.1, port: 9001}]}
    - {name: v2, endpoints: [{address: 127.0.0.1, port: 9002}]}
`;

export const METRIC = `apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: accuracy}
spec: {type: rate, source: outcome, direction: up, window: 1s}
`;

/** An Experiment on employment, in a slot of its own so that several may stand side by side. */
export function experiment(name: string, slot = "[0%, 100%]", more = ""): string {
	return `apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: ${name}}
spec:
  service: employment
  unit: {header: x-user-id}
  layer: {name: models, slot: ${slot}}
  arms:
    - {name: control, variant: v1, weight: 1, baseline: true}
    - {name: boosted, variant: v2, weight: 1}
  goal: {metric: accuracy, improveBy: {absolute: 0.5pp}}
  rollout: {steps: [2%, 10%, 50%, 100%], every: 10s, minUnits: 500, alpha: 0.05}
${more}`;
}

export const ALL = [SERVICE, METRIC, experiment("boosted")].join("---\n");

export const file = (text: string, name = "weir.yaml") => [{ name, text }];

/** What decide() would hand over: the status after it, by an invented rule. */
export function outcome(status: ExperimentStatus, more: Partial<Outcome> = {}): Outcome {
	return {
		action: "ramp",
		rule: "ramp",
		reason: "test",
		findings: [],
		srmP: null,
		status,
		defaultVariant: null,
		expectedMs: null,
		...more,
	};
}

/** A directory of mode 0700 that goes away when the test ends. */
export function temporaryDirectory(t: { teardown(end: () => void): unknown }): string {
	const directory = mkdtempSync(join(tmpdir(), "weir-state-"));
	t.teardown(() => rmSync(directory, { recursive: true, force: true }));
	return directory;
}
