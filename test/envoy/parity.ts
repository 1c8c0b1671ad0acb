/**
 * The parity suite: one Plan with many Experiments in a real Envoy, and for every unit the same answer from Envoy
 * (response header and upstream), from src/compile/assignment and from the independent oracle. Shared by the fast tier
 * (newest Envoy) and test/long (all tested ones).
 */
import { compileAssignment } from "../../src/compile/assignment/assign.js";
import { parseUnit, trimUnit } from "../../src/compile/assignment/unit.js";
import { type CompileOptions, compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import type { CompiledPlan, ServiceTable } from "../../src/compile/plan/compiledPlan.js";
import type { ExperimentStatus } from "../../src/decide/rollout/status.js";
import { type Experiment, type Layer, qualifiedName, type Service } from "../../src/declare/resources/resource.js";
import { experiment, experimentStatus, layer, PATIENT, resourceSet, service, variant } from "../fixtures/resources.js";
import { expected, unitOf } from "./oracle.js";
import { headerValues, pipelined, type RawResponse, rawGet } from "./pipeline.js";
import type { UnitCase } from "./units.js";

/** One Service under test with its Experiments and what Weir has learned of each. */
export interface ParityCase {
	readonly name: string;
	readonly service: Service;
	readonly experiments: readonly { readonly experiment: Experiment; readonly status: ExperimentStatus }[];
	readonly layer: Layer | null;
}

export interface ParitySuite {
	readonly plan: CompiledPlan;
	readonly cases: readonly ParityCase[];
}

/** In which form the Plan is executed. */
export type ParityForm = Pick<CompileOptions, "mode" | "protocol">;

/**
 * @param ports of Variants v1 … v5
 * @param form native if left out
 */
export function paritySuite(ports: readonly number[], form: ParityForm = {}): ParitySuite {
	const variants = ports.map((port, index) => variant(`v${index + 1}`, port));
	const layers: Layer[] = [];
	const cases: ParityCase[] = [];
	type Learned = Partial<ExperimentStatus>;
	type Fields = Parameters<typeof experiment>[3];

	function one(name: string, weights: readonly number[], learned: Learned = {}, fields: Fields = {}): void {
		add(name, [{ name, weights, learned, fields }], fields.namespace);
	}
	function add(
		name: string,
		experiments: readonly { name: string; weights: readonly number[]; learned?: Learned; fields?: Fields }[],
		namespace?: string,
	): void {
		const built = experiments.map(({ name: own, weights, learned, fields }) => {
			const made = experiment(own, name, weights, { layer: `layer-of-${name}`, ...fields });
			return { experiment: made, status: experimentStatus(made, learned ?? {}) };
		});
		const used = built[0]?.experiment.spec.layer.name;
		const declared = layers.find(
			({ metadata }) => metadata.name === used && metadata.namespace === (namespace ?? "default"),
		);
		cases.push({
			name,
			service: service(name, variants, { callout: PATIENT, ...(namespace === undefined ? {} : { namespace }) }),
			experiments: built,
			layer: declared ?? null,
		});
	}

	const promotion = { arm: "arm2", variant: "v2", stepIndex: 1, takeoverPpm: 333_333 };
	layers.push(layer("seeded", "18446744073709551615"), layer("seeded-in-prod", "7", "prod"));

	one("two-arms", [1, 1], { allocationPpm: 1_000_000 });
	one("three-arms", [1, 2, 4], { allocationPpm: 333_333 });
	one("five-arms", [7, 0, 13, 1, 999_983], { allocationPpm: 1_000_000 });
	one("first-step", [3, 1]);
	one("third", [1, 1], { allocationPpm: 333_333 }, { slotPpm: [125_000, 750_000] });
	one("low-slot", [1, 5], { allocationPpm: 1_000_000 }, { slotPpm: [0, 300_001] });
	one("high-slot", [5, 1, 1], { allocationPpm: 999_999 }, { slotPpm: [300_001, 1_000_000] });
	one(
		"seed-and-salt",
		[1, 1],
		{ allocationPpm: 700_000 },
		{ layer: "seeded", salt: "Salt_9./-x", slotPpm: [1, 999_999] },
	);
	add("shared-layer", [
		{ name: "shared-a", weights: [1, 1], learned: { allocationPpm: 500_000 }, fields: { slotPpm: [0, 300_000] } },
		{
			name: "shared-b",
			weights: [1, 3, 2],
			learned: { allocationPpm: 900_000 },
			fields: { slotPpm: [300_000, 650_000] },
		},
	]);
	one("promoting", [2, 3, 5], { allocationPpm: 500_000, phase: "Promoting", promotion });
	one(
		"promoting-slot",
		[1, 1],
		{ allocationPpm: 1_000_000, phase: "Promoting", promotion },
		{ slotPpm: [200_000, 800_000] },
	);
	one("closed-arm", [1, 1, 1], { allocationPpm: 800_000, closedArms: ["arm2"] });
	const shares = { ppm: { arm1: 1_000_000, arm2: 123_457, arm3: 700_001 }, firstMovedAtMs: 0, movedAtMs: 0 };
	one("bandit", [2, 3, 5], { allocationPpm: 999_999, shares });
	one("bandit-slot", [1, 1, 7], { allocationPpm: 1_000_000, shares }, { slotPpm: [200_000, 800_000] });
	one("promoting-bandit", [2, 3, 5], { allocationPpm: 1_000_000, shares, phase: "Promoting", promotion });
	one("paused", [1, 1], { allocationPpm: 200_000, phase: "Paused", hold: "srm" });
	one("prod-service", [1, 2], { allocationPpm: 600_000 }, { namespace: "prod", slotPpm: [0, 500_000] });
	one(
		"prod-seeded",
		[1, 1],
		{ allocationPpm: 600_000 },
		{ namespace: "prod", layer: "seeded-in-prod", slotPpm: [0, 500_000] },
	);
	one("other-header", [1, 1], { allocationPpm: 1_000_000 }, { unit: "x-tenant" });
	one("aborted", [1, 1], { allocationPpm: 1_000_000, phase: "Aborted" });

	const resources = resourceSet({
		services: cases.map(({ service: own }) => own),
		experiments: cases.flatMap(({ experiments }) => experiments.map(({ experiment: own }) => own)),
		layers,
	});
	const learned = Object.fromEntries(
		cases.flatMap(({ experiments }) =>
			experiments.map(({ experiment: own, status }) => [qualifiedName(own.metadata), status]),
		),
	);
	const plan = compile(resources, { experiments: learned, services: {} }, { collectors: NO_COLLECTORS, ...form });
	return { plan, cases };
}

/** One request and the two predictions of what Envoy does with it. */
interface Probe {
	readonly of: ParityCase;
	readonly unit: UnitCase;
	readonly byOracle: Prediction;
	readonly byTable: Prediction;
}

export interface Prediction {
	/** Sorted values of x-weir-arm. */
	readonly arms: readonly string[];
	readonly variant: string;
}

export interface ParityResult {
	readonly requests: number;
	/** Requests whose unit was none. */
	readonly withoutUnit: number;
	/** Arm of the first experiment, counted: so that a test can see that every arm occurs. */
	readonly arms: ReadonlyMap<string, number>;
	readonly mismatches: readonly string[];
}

/** Sends every unit to every given case and compares. */
export async function runParity(
	port: number,
	suite: ParitySuite,
	cases: readonly ParityCase[],
	units: readonly UnitCase[],
): Promise<ParityResult> {
	const probes = cases.flatMap((of) => units.map((unit) => probe(suite.plan, of, unit)));
	const answers = await pipelined(
		port,
		probes.map(({ of, unit }) => requestOf(of, unit)),
	);
	const arms = new Map<string, number>();
	const mismatches: string[] = [];
	let withoutUnit = 0;
	for (const [index, { of, unit, byOracle, byTable }] of probes.entries()) {
		const [first] = byOracle.arms;
		if (first === undefined) withoutUnit++;
		else for (const arm of byOracle.arms) arms.set(arm, (arms.get(arm) ?? 0) + 1);
		const want = JSON.stringify(byOracle);
		const got = JSON.stringify(observed(answers[index]));
		const ours = JSON.stringify(byTable);
		if (want !== got || want !== ours) {
			mismatches.push(`${of.name}, ${unit.name.slice(0, 80)}: oracle ${want}, table ${ours}, Envoy ${got}`);
		}
	}
	return { requests: probes.length, withoutUnit, arms, mismatches };
}

/** The header in which the unit of a case is sent. */
export function headerOf(of: Experiment | undefined): string {
	return of?.spec.unit.from === "header" ? of.spec.unit.header : "";
}

export function requestOf(of: ParityCase, unit: UnitCase): Buffer {
	const header = headerOf(of.experiments[0]?.experiment);
	return rawGet(
		of.service.spec.hosts[0] ?? "",
		unit.values.map((value) => Buffer.concat([Buffer.from(`${header}: `), value])),
	);
}

function observed(answer: RawResponse | undefined): Prediction | null {
	if (answer?.status !== 200) return null;
	const [variantName = ""] = headerValues(answer, "x-variant");
	// ext_authz joins what it adds into one line (RFC 9110 5.3: the same).
	const arms = headerValues(answer, "x-weir-arm").flatMap((value) => value.split(", "));
	return { arms: arms.sort(), variant: variantName };
}

function probe(plan: CompiledPlan, of: ParityCase, unit: UnitCase): Probe {
	return { of, unit, byOracle: predictByOracle(of, unit), byTable: byTable(plan, of, unit) };
}

/** The oracle's result for the unit (docs/experiments.md). */
export function predictByOracle(of: ParityCase, { values }: UnitCase): Prediction {
	const unit = unitOf(values);
	const running = of.experiments.filter(({ status }) => ["Running", "Paused", "Promoting"].includes(status.phase));
	if (unit === null) return { arms: [], variant: of.service.spec.defaultVariant };
	const results = running.map(({ experiment: own, status }) => ({
		name: qualifiedName(own.metadata),
		...expected(unit, own, of.layer, status),
	}));
	return {
		arms: results.map(({ name, arm }) => `${name}/${arm}`).sort(),
		variant: results.find(({ variant: chosen }) => chosen !== null)?.variant ?? of.service.spec.defaultVariant,
	};
}

/** As `weir assign` and the sidecar do it: the unit of the header, then the Plan's table. */
function byTable(plan: CompiledPlan, of: ParityCase, { values }: UnitCase): Prediction {
	const table = serviceTable(plan, of);
	const [value] = values;
	const unit = value === undefined || values.length > 1 ? null : parseUnit(trimUnit(value));
	if (unit === null) return { arms: [], variant: table.defaultVariant };
	let chosen = table.defaultVariant;
	const arms = table.experiments.map((own) => {
		const assignment = compileAssignment(own);
		const location = assignment.locate(unit);
		if (location === null) return `${own.name}/no unit`;
		if (location.variant !== null) chosen = location.variant;
		const live = assignment.arm(unit);
		if (live !== (location.live ? location.region : null)) return `${own.name}/arm() gives ${live}, locate() does not`;
		return `${own.name}/${(location.takenOver ? own.takeover?.arm : live) ?? "-"}`;
	});
	return { arms: arms.sort(), variant: chosen };
}

function serviceTable(plan: CompiledPlan, of: ParityCase): ServiceTable {
	const found = plan.table.services.find(({ name }) => name === qualifiedName(of.service.metadata));
	if (found === undefined) throw new Error(`no table for ${of.name}`);
	return found;
}
