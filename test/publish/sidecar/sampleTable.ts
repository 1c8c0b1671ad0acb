/** A hand-written table of one Service with every kind of rule, and the changes of the tests. */
import { contentHash } from "../../../src/compile/assignment/hash.js";
import type { ExperimentTable, PlanTable, ServiceTable } from "../../../src/compile/plan/compiledPlan.js";
import type { TableLog, VersionedTable } from "../../../src/publish/sidecar/tables.js";

export const EXPERIMENT: ExperimentTable = {
	name: "boosted-vs-logistic",
	unit: { from: "cookie", cookie: "weir_id", maxAgeMs: 86_400_000 },
	layerSeed: "18446744073709551615",
	slotLoPpm: 0,
	slotHiPpm: 500_000,
	salt: "boosted-vs-logistic",
	arms: [
		{ name: "control", variant: "v1", baseline: true, loPpm: 0, hiPpm: 500_000, livePoints: 50_000, parameters: {} },
		{
			name: "treatment",
			variant: "v2",
			baseline: false,
			loPpm: 500_000,
			hiPpm: 1_000_000,
			livePoints: 50_000,
			parameters: { "x-weir-param-temperature": "0.2" },
		},
	],
	exposing: false,
	takeover: { arm: "treatment", variant: "v2", ppm: 10_000 },
};

export const SERVICE: ServiceTable = {
	name: "employment",
	hosts: ["employment.example.com", "*.employment.example.com"],
	defaultVariant: "v1",
	timeoutMs: 1_000,
	access: {
		open: false,
		policies: [
			{
				name: "callers",
				action: "allow",
				principals: ["spiffe://example.com/web"],
				methods: ["GET"],
				pathPrefixes: ["/v2"],
				variants: ["v1"],
				shadow: false,
				more: null,
			},
		],
	},
	callout: {
		verdict: true,
		assignment: true,
		onFailure: "deny",
		maxStalenessMs: 600_000,
		onStale: "deny",
		sign: false,
	},
	experiments: [EXPERIMENT],
};

export const versioned = (table: PlanTable): VersionedTable => ({
	version: contentHash(JSON.stringify(table)),
	table,
});

/** Tables that differ in their only timeout. */
export const tableOf = (timeoutMs: number): VersionedTable =>
	versioned({ gateways: [], services: [{ ...SERVICE, timeoutMs }] });

/** Keeps what was logged, message and fields in one text. */
export class LogLines implements TableLog {
	readonly lines: string[] = [];
	#notify = (): void => {};
	readonly info = (message: string, fields = {}): void => {
		this.lines.push(`${message} ${JSON.stringify(fields)}`);
		this.#notify();
	};
	readonly warn = this.info;

	/** Resolves with the next line. */
	spoken(): Promise<void> {
		return new Promise((resolve) => {
			this.#notify = resolve;
		});
	}
}
