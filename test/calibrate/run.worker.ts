/** Runs parts of scenarios in a worker thread, one after the other. */
import { parentPort } from "node:worker_threads";
import { run } from "./experiment.js";
import type { Scenario } from "./scenarios.js";

export interface Part {
	readonly scenario: Scenario;
	readonly first: number;
	readonly count: number;
	readonly looks: number;
}

parentPort?.on("message", ({ scenario, first, count, looks }: Part) => {
	parentPort?.postMessage(run(scenario, first, count, looks));
});
