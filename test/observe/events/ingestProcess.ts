/**
 * An ingest as a process of its own, for tests that kill it and benchmarks that weigh it:
 * `node ingestProcess.js DIRECTORY` prints READY, and ends on SIGTERM.
 */
import { join } from "node:path";
import { startIngest } from "../../../src/observe/events/ingest.js";
import { METRICS, PLANS } from "./rig.js";

const directory = process.argv[2] ?? ".";
const quiet = (): void => undefined;
const ingest = await startIngest({
	dataDirectory: join(directory, "data"),
	accessLogSocket: join(directory, "als.sock"),
	httpSocket: join(directory, "http.sock"),
	plans: async (version) => PLANS[version] ?? null,
	newestPlan: async () => null,
	metrics: async () => METRICS,
	clock: Date.now,
	meter: { count: quiet, gauge: quiet, observe: quiet },
	metricsJson: async () => [],
	log: { info: quiet, warn: quiet, error: (message, fields) => console.error(message, fields) },
});
process.once("SIGTERM", () => {
	void ingest.close().then(() => process.exit(0));
});
console.log("READY");
