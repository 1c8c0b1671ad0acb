/**
 * Child process of the native benchmark: ingest and span receiver as `weir ingest` runs them, with a fixed Plan. Arguments: data
 * directory, access log socket, traces socket, file with the Plan's version and table. On `settle` it flushes and answers
 * `{entries}`, the number of received entries.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { startIngest } from "../../../src/observe/events/ingest.js";
import { COUNTERS } from "../../../src/observe/events/meter.js";
import { createMeter } from "../../../src/observe/telemetry/meter.js";
import { startOtlpReceiver } from "../../../src/observe/telemetry/otlpReceiver.js";
import { SpanStore } from "../../../src/observe/telemetry/spanStore.js";

const [dataDirectory = "", accessLogSocket = "", tracesSocket = "", planFile = ""] = process.argv.slice(2);
const plan: Pick<CompiledPlan, "version" | "table"> = JSON.parse(readFileSync(planFile, "utf8"));
const meter = createMeter({ role: "ingest" });
let entries = 0;
const warn = (message: string, fields: unknown): void => {
	process.stderr.write(`ingest: ${message} ${JSON.stringify(fields ?? {})}\n`);
};
const ingest = await startIngest({
	dataDirectory,
	accessLogSocket,
	httpSocket: join(dataDirectory, "http.sock"),
	plans: async (version) => (version === plan.version ? plan.table : null),
	newestPlan: async () => plan.table,
	metrics: async () => [],
	clock: Date.now,
	meter: {
		...meter,
		count(name, help, labels, by = 1) {
			if (name === COUNTERS.entries.name) entries += by;
			meter.count(name, help, labels, by);
		},
		gauge: (...args) => meter.gauge(...args),
		observe: (...args) => meter.observe(...args),
	},
	metricsJson: async () => [],
	log: { info: () => {}, warn, error: warn },
});
await startOtlpReceiver({ address: `unix:${tracesSocket}`, store: new SpanStore(), meter });

process.on("message", () => {
	ingest.maintain().then(
		() => process.send?.({ entries }),
		(error: unknown) => warn("settling failed", String(error)),
	);
});
process.on("disconnect", () => process.exit(0));
process.send?.("ready");
