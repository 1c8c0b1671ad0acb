/** Input of control from the agents of Envoys on other machines. */
import type { ProbeReport } from "../../src/compile/access/bypass/probe.js";
import { ProbeServiceDefinition } from "../../src/publish/xds/probes.js";
import { refusing, type Target } from "./target.js";

const { requestDeserialize } = ProbeServiceDefinition.next;

const REPORT: ProbeReport = {
	version: "1",
	results: [{ gateway: "edge", service: "shop", outcome: "bypassed", detail: "gate: 200, rules: 403 forbidden" }],
	unjudged: { envoy: 0, sidecar: 3 },
};

export const PROBE_TARGETS: readonly Target[] = [
	{
		name: "probe-report",
		seeds: [
			{ node: "edge", report: null },
			{ node: "edge", report: REPORT },
		].map((one) => Buffer.from(JSON.stringify(one))),
		weight: 1,
		run: (input) => refusing([Error], () => void requestDeserialize(input)),
	},
];
