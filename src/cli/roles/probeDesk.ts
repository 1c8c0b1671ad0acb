/**
 * Control's side of the bypass probe: starts rounds, and keeps each Envoy's last report in memory for `weir probe`,
 * `weir status` and a metric.
 */
import type { ProbeReport, ProbeResult, ProbeTargets } from "../../compile/access/bypass/probe.js";
import { NONE } from "../../compile/access/bypass/served.js";
import type { ProxyStatus } from "../../decide/rollout/ports.js";
import { within } from "../../limits/within.js";
import type { Log } from "../../observe/telemetry/log.js";
import type { Meter } from "../../observe/telemetry/meter.js";
import { type GatewayAlarm, PROBE_FAILED } from "../../operate/api/wire.js";
import type { Probes } from "../../publish/xds/probes.js";

/** Pause between two rounds of probes, with two requests per Service. */
const PROBE_INTERVAL_MS = 30_000;

/** An Envoy without a verdict or report for three intervals has failed the probe. */
export const PROBE_LATE_MS = 3 * PROBE_INTERVAL_MS;

/** How long `weir probe` waits for an Envoy's report. */
const PROBE_WAIT_MS = 20_000;

export interface ProbeDeskOptions {
	/** Envoys and sidecars that are connected to xDS. */
	readonly proxies: () => readonly ProxyStatus[];
	readonly log: Log;
	readonly meter: Pick<Meter, "gauge">;
	readonly nowMs?: () => number;
}

/** The last report of one Envoy, as `weir probe` prints it. */
export interface ProbedEnvoy {
	readonly envoy: string;
	/** null = no report yet. */
	readonly report: ProbeReport | null;
	/** Whether the report is from the requested round. */
	readonly fresh: boolean;
}

interface Agent {
	report: ProbeReport | null;
	reportedAtMs: number;
	/** Start time of each Service's missing verdicts, by Gateway and name. */
	unansweredSinceMs: ReadonlyMap<string, number>;
	/** Starts a round; null = one is under way. */
	start: (() => void) | null;
	/** Callbacks for the next round, and for the one under way. */
	waiting: (() => void)[];
	running: (() => void)[];
}

export class ProbeDesk implements Probes {
	readonly #options: Required<ProbeDeskOptions>;
	/** By node. */
	readonly #agents = new Map<string, Agent>();
	#targets: ProbeTargets | null = null;

	constructor(options: ProbeDeskOptions) {
		this.#options = { nowMs: Date.now, ...options };
	}

	publish(targets: ProbeTargets): void {
		const isFirst = this.#targets === null;
		this.#targets = targets;
		if (isFirst) for (const agent of this.#agents.values()) agent.start?.();
	}

	next(
		{ node, gateways }: { readonly node: string; readonly gateways: readonly string[] | null },
		report: ProbeReport | null,
		gone: AbortSignal,
	): Promise<ProbeTargets> {
		const agent = this.#agents.get(node) ?? unknown();
		this.#forgetGone();
		this.#agents.set(node, agent);
		// A report for an older plan is ignored.
		const isCurrent = report !== null && report.version === this.#targets?.version;
		if (isCurrent) {
			this.#keep(node, agent, report);
			for (const done of agent.running.splice(0)) done();
		}
		return new Promise((resolve, reject) => {
			const over = (): void => {
				clearTimeout(timer);
				if (agent.start === start) agent.start = null;
			};
			const start = (): void => {
				if (this.#targets === null) return;
				over();
				agent.running.push(...agent.waiting.splice(0));
				const { gateways: all, ...targets } = this.#targets;
				resolve({ ...targets, gateways: all.filter(({ name }) => gateways === null || gateways.includes(name)) });
			};
			const timer = setTimeout(start, PROBE_INTERVAL_MS).unref();
			agent.start = start;
			gone.addEventListener("abort", () => {
				over();
				reject(gone.reason);
			});
			if (!isCurrent || agent.waiting.length > 0) start();
		});
	}

	/** Starts a round at every connected Envoy now; null = none is connected. */
	async ask(): Promise<readonly ProbedEnvoy[] | null> {
		const envoys = this.#envoys();
		if (envoys.length === 0) return null;
		return Promise.all(
			envoys.map(async ({ node }) => {
				// An agent may be about to connect.
				const agent = this.#agents.get(node) ?? unknown();
				this.#agents.set(node, agent);
				let fresh = false;
				const done = new Promise<void>((resolve) => {
					agent.waiting.push(() => {
						fresh = true;
						resolve();
					});
				});
				agent.start?.();
				await within(PROBE_WAIT_MS, done);
				return { envoy: node, report: agent.report, fresh };
			}),
		);
	}

	alarms(): readonly GatewayAlarm[] {
		if (this.#targets === null || this.#targets.services.length === 0) return [];
		const lateMs = this.#options.nowMs() - PROBE_LATE_MS;
		return this.#envoys().flatMap(({ node, connectedAtMs }): readonly GatewayAlarm[] => {
			const agent = this.#agents.get(node);
			const alarm = (gateway: string, why: string) => ({ gateway, alarm: PROBE_FAILED, why, envoy: node });
			const reportedAtMs = Math.max(connectedAtMs, agent?.reportedAtMs ?? 0);
			if (reportedAtMs <= lateMs)
				return [alarm("", `its weir envoy has reported no probe since ${new Date(reportedAtMs).toISOString()}`)];
			if (agent === undefined) return [];
			const failed = failures(agent, lateMs);
			const counts = new Map<string, number>();
			for (const { gateway, outcome } of failed) {
				const key = JSON.stringify([gateway, outcome]);
				counts.set(key, (counts.get(key) ?? 0) + 1);
			}
			const unjudged = unjudgedOf(agent.report);
			return [
				...[...counts].map(([key, count]) => {
					const [gateway, outcome] = JSON.parse(key) as [string, ProbeResult["outcome"]];
					return alarm(gateway, `Services ${outcome}: ${count}`);
				}),
				...(unjudged === 0 ? [] : [alarm("", `requests that were served without a verdict: ${unjudged}`)]),
			];
		});
	}

	/** Envoys that have accepted a listener. */
	#envoys(): readonly ProxyStatus[] {
		const accepted = this.#options.proxies().filter(({ types }) => (types.listeners?.acceptedVersion ?? "") !== "");
		return [...new Map(accepted.map((one) => [one.node, one])).values()];
	}

	#forgetGone(): void {
		const here = new Set(this.#options.proxies().map(({ node }) => node));
		for (const node of this.#agents.keys()) if (!here.has(node)) this.#agents.delete(node);
	}

	#keep(node: string, agent: Agent, report: ProbeReport): void {
		const { nowMs, meter, log } = this.#options;
		const before = agent.unansweredSinceMs;
		const unanswered = report.results.filter(({ outcome }) => outcome === "unanswered").map(keyOf);
		agent.unansweredSinceMs = new Map(unanswered.map((key) => [key, before.get(key) ?? nowMs()]));
		const known = new Set(failures(agent, nowMs() - PROBE_LATE_MS).map(keyOf));
		const wasUnjudged = unjudgedOf(agent.report) > 0;
		agent.report = report;
		agent.reportedAtMs = nowMs();
		const failed = failures(agent, nowMs() - PROBE_LATE_MS);
		for (const one of failed) {
			if (!known.has(keyOf(one))) log.error("a probe that no policy allows was not denied", { envoy: node, ...one });
		}
		const unjudged = unjudgedOf(report);
		if (unjudged > 0 && !wasUnjudged)
			log.error("requests were served without a verdict", { envoy: node, requests: unjudged });
		meter.gauge(
			"weir_bypass_probe_failures",
			"Services, by Gateway, at which the last bypass probe failed, and requests that were served without a verdict.",
			failed.length + unjudged,
			{ envoy: node },
		);
	}
}

const keyOf = ({ gateway, service }: ProbeResult): string => `${gateway} ${service}`;

const unjudgedOf = (report: ProbeReport | null): number => {
	const { envoy, sidecar } = report?.unjudged ?? NONE;
	return envoy + sidecar;
};

const unknown = (): Agent => ({
	...{ report: null, reportedAtMs: 0, unansweredSinceMs: new Map(), start: null, waiting: [], running: [] },
});

/** @param lateMs Services without a verdict since then have failed; a single missing verdict may be a restart */
const failures = ({ report, unansweredSinceMs }: Agent, lateMs: number): readonly ProbeResult[] =>
	(report?.results ?? []).filter(
		(one) =>
			one.outcome === "bypassed" ||
			(one.outcome === "unanswered" && (unansweredSinceMs.get(keyOf(one)) ?? Infinity) <= lateMs),
	);
