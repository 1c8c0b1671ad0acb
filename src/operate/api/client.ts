/** What ingest reads of the state, over the API's UNIX socket. Nothing is retried. */
import type { PlanTable } from "../../compile/plan/compiledPlan.js";
import type { MetricName } from "../state/store/metricNames.js";
import { exchange } from "./exchange.js";

/** Timeout of one request to control. */
const STATE_CALL_TIMEOUT_MS = 10_000;

export class StateClient {
	constructor(private readonly socketPath: string) {}

	async plan(version: string): Promise<PlanTable | null> {
		const path = `/internal/plans/${encodeURIComponent(version)}`;
		return (await this.#get<{ table: PlanTable | null }>(path)).table;
	}

	/** The last published plan; null = none yet. */
	async newestPlan(): Promise<PlanTable | null> {
		return (await this.#get<{ table: PlanTable | null }>("/internal/plans")).table;
	}

	/** The declared Metrics: ingest refuses outcomes of other names. */
	async metricNames(): Promise<readonly MetricName[]> {
		return (await this.#get<{ metrics: readonly MetricName[] }>("/internal/metrics-names")).metrics;
	}

	async #get<T>(path: string): Promise<T> {
		const at = { socketPath: this.socketPath };
		return (await exchange({ at, method: "GET", path, body: null, timeoutMs: STATE_CALL_TIMEOUT_MS })).json as T;
	}
}
