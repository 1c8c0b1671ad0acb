/**
 * The port StateStore over the internal UNIX socket, for roles that do not own the state. If the owner is dead or silent,
 * calls fail with WeirError `unavailable` or `deadline-exceeded`: hold and report, never decide. Nothing is retried: the
 * next state shows whether an unanswered decision was stored.
 */
import type { PlanTable } from "../../compile/table/plan.js";
import type { Decision } from "../../decide/rollout/decision.js";
import type {
	NotificationMessage,
	Outbox,
	PendingNotification,
	ProxyStatus,
	State,
	StateStore,
} from "../../decide/rollout/ports.js";
import type { Refusal } from "../../decide/rollout/refusal.js";
import { STATE_LONG_POLL_MS_MAX } from "../../limits/index.js";
import type { NewDecision } from "../state/store/decisionLog.js";
import type { MetricName } from "../state/store/resourceSet.js";
import { exchange } from "./exchange.js";

/** Timeout of one request of a role to the state's owner, without the wait of a long poll. */
const STATE_CALL_TIMEOUT_MS = 10_000;

export class StateClient implements StateStore, Outbox {
	readonly #socket: string;
	readonly #timeoutMs: number;

	/** @param timeoutMs per call; the wait of a long poll is added */
	constructor(socket: string, timeoutMs = STATE_CALL_TIMEOUT_MS) {
		this.#socket = socket;
		this.#timeoutMs = timeoutMs;
	}

	async state(after: number, waitMs: number): Promise<State | null> {
		const wait = Math.min(Math.max(0, Math.trunc(waitMs)), STATE_LONG_POLL_MS_MAX);
		const path = `/internal/state?after=${after}&waitMs=${wait}`;
		return (await this.#call<{ state: State | null }>("GET", path, null, wait)).state;
	}

	decide(
		request: NewDecision & { readonly expectedRevision: number },
	): Promise<{ readonly revision: number; readonly decision: Decision }> {
		const { experiment, expectedRevision, by, atMs, input, outcome } = request;
		return this.#call("POST", "/internal/decide", { experiment, expectedRevision, by, atMs, input, outcome });
	}

	async keepPlan(version: string, table: PlanTable): Promise<void> {
		await this.#call("PUT", `/internal/plans/${encodeURIComponent(version)}`, table);
	}

	async plan(version: string): Promise<PlanTable | null> {
		const path = `/internal/plans/${encodeURIComponent(version)}`;
		return (await this.#call<{ table: PlanTable | null }>("GET", path, null)).table;
	}

	/** The last published plan; null = none yet. */
	async newestPlan(): Promise<PlanTable | null> {
		return (await this.#call<{ table: PlanTable | null }>("GET", "/internal/plans", null)).table;
	}

	async acknowledge(revision: number, atMs: number, closed: readonly string[] = []): Promise<void> {
		await this.#call("POST", "/internal/acknowledge", { revision, atMs, closed });
	}

	/** Reports the published revision, repeatedly; 0 = nothing yet. */
	async published(revision: number): Promise<void> {
		await this.#call("POST", "/internal/published", { revision });
	}

	async reportProxies(proxies: readonly ProxyStatus[]): Promise<void> {
		await this.#call("POST", "/internal/proxies", { proxies });
	}

	/** The last report, by this process or another. */
	async reportedProxies(): Promise<readonly ProxyStatus[]> {
		return (await this.#call<{ proxies: readonly ProxyStatus[] }>("GET", "/internal/proxies", null)).proxies;
	}

	/** Adds a refused xDS stream to the operators' audit. @param id authenticated SPIFFE id; null = none */
	async refusedStream(refused: { readonly id: string | null; readonly reason: string; readonly atMs: number }) {
		await this.#call("POST", "/internal/refused-stream", { ...refused, id: refused.id ?? "" });
	}

	/** Adds a NACK of an Envoy or a sidecar to the operators' audit. */
	async refusedConfiguration({ node, type, source, error, sinceMs }: Refusal): Promise<void> {
		await this.#call("POST", "/internal/refused-configuration", { node, type, source, error, atMs: sinceMs });
	}

	async pending(): Promise<readonly PendingNotification[]> {
		return (await this.#call<{ untold: readonly PendingNotification[] }>("GET", "/internal/untold", null)).untold;
	}

	async message(key: string): Promise<NotificationMessage | null> {
		const path = `/internal/untold/${encodeURIComponent(key)}`;
		return (await this.#call<{ message: NotificationMessage | null }>("GET", path, null)).message;
	}

	async delivered(key: string): Promise<void> {
		await this.#call("POST", "/internal/told", { key });
	}

	/** The declared Metrics: ingest refuses outcomes of other names. */
	async metricNames(): Promise<readonly MetricName[]> {
		return (await this.#call<{ metrics: readonly MetricName[] }>("GET", "/internal/metrics-names", null)).metrics;
	}

	async #call<T>(method: string, path: string, body: object | null, waitMs = 0): Promise<T> {
		const json = body === null ? null : { contentType: "application/json", text: JSON.stringify(body) };
		return (
			await exchange({
				at: { socketPath: this.#socket },
				method,
				path,
				body: json,
				timeoutMs: this.#timeoutMs + waitMs,
			})
		).json as T;
	}
}
