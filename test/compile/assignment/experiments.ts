/** Experiments and tables for the tests of assignment. */
import { experimentTable, freshStatus } from "../../../src/compile/assignment/experimentTable.js";
import type { ExperimentTable } from "../../../src/compile/plan/compiledPlan.js";
import type { Experiment, Layer } from "../../../src/declare/resources/resource.js";

export interface Shape {
	readonly weights?: readonly number[];
	readonly slotPpm?: readonly [number, number];
	readonly layerSeed?: string | null;
	readonly layer?: string;
	readonly salt?: string | null;
	readonly allocationPpm?: number | null;
	readonly namespace?: string;
	readonly name?: string;
}

export function experimentOf(shape: Shape = {}): Experiment {
	const { weights = [1, 1], slotPpm = [0, 1_000_000], salt = null, namespace = "default", name = "e" } = shape;
	return {
		kind: "Experiment",
		metadata: { name, namespace, labels: {}, annotations: {} },
		spec: {
			service: "s",
			unit: { from: "header", header: "x-user-id" },
			layer: { name: shape.layer ?? "models", slotLoPpm: slotPpm[0], slotHiPpm: slotPpm[1] },
			salt,
			arms: weights.map((weight, index) => ({
				name: `arm${index}`,
				variant: `v${index}`,
				weight,
				baseline: index === 0,
				parameters: {},
			})),
			goal: null,
			guardrails: [],
			segments: [],
			rollout: {
				stepsPpm: [100_000, 500_000, 1_000_000],
				everyMs: 60_000,
				minUnits: 500,
				alpha: 0.05,
				maxDurationMs: null,
				onInconclusive: "keep-default",
				onHarm: "roll-back",
				inference: { design: "sequential" },
				holdback: null,
				bandit: null,
				gates: [],
			},
		},
	};
}

export function layerOf(seed: string): Layer {
	return {
		kind: "Layer",
		metadata: { name: "models", namespace: "default", labels: {}, annotations: {} },
		spec: { seed },
	};
}

export function tableOf(shape: Shape): ExperimentTable {
	const experiment = experimentOf(shape);
	const layer = shape.layerSeed === undefined || shape.layerSeed === null ? null : layerOf(shape.layerSeed);
	const table = experimentTable(experiment, layer, freshStatus(experiment, shape.allocationPpm ?? null));
	if (table === null) throw new Error("a fresh experiment has a table");
	return table;
}
