/** Tables for the sidecar's tests, without resources: each builder has defaults for all other fields. */
import type { ArmTable, CalloutTable, ExperimentTable, ServiceTable } from "../../../src/compile/plan/compiledPlan.js";

export function calloutTable(fields: Partial<CalloutTable> = {}): CalloutTable {
	return {
		verdict: true,
		assignment: true,
		onFailure: "deny",
		maxStalenessMs: 60_000,
		onStale: "deny",
		sign: false,
		...fields,
	};
}

/** An open Service at the host `NAME.test`, default Variant v1, whose callout carries everything. */
export function serviceTable(name: string, fields: Partial<ServiceTable> = {}): ServiceTable {
	return {
		name,
		hosts: [`${name}.test`],
		defaultVariant: "v1",
		timeoutMs: 0,
		access: { open: true, policies: [] },
		callout: calloutTable(),
		experiments: [],
		...fields,
	};
}

/** An arm whose points are all live by default; the one on v1 is the baseline. */
export function arm(
	name: string,
	variant: string,
	loPpm: number,
	hiPpm: number,
	fields: Partial<ArmTable> = {},
): ArmTable {
	const baseline = variant === "v1";
	return { name, variant, baseline, loPpm, hiPpm, livePoints: hiPpm - loPpm, parameters: {}, ...fields };
}

/** An Experiment over its whole layer, by the header x-user-id. */
export function experimentTable(
	name: string,
	arms: readonly ArmTable[],
	fields: Partial<ExperimentTable> = {},
): ExperimentTable {
	return {
		name,
		unit: { from: "header", header: "x-user-id" },
		layerSeed: "7",
		slotLoPpm: 0,
		slotHiPpm: 1_000_000,
		salt: name,
		arms,
		exposing: true,
		takeover: null,
		...fields,
	};
}
