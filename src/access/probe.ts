/**
 * Whether anything gets past the verdict (the lesson of envoyproxy/ai-gateway#2560: a filter that is not in the chain
 * leaves no trace of its own). Two signs, both pure functions here: a built-in probe, which nobody may allow, was not
 * refused by the filter that must, in that one's own words; and a listener served requests of a protected Service while
 * nothing gave verdicts. The second is the only sign that weir.allow is gone: no request is refused there for certain.
 */
import type { PlanTable } from "../compiler/plan.js";
import { isOpen } from "./policy.js";

/** What is to be watched: protected Services by Gateway, as the Plan declares them. */
export interface WatchedListener {
	/** Qualified name of the Gateway. */
	readonly gateway: string;
	readonly services: readonly WatchedService[];
}

export interface WatchedService {
	/** Qualified name. */
	readonly name: string;
	/** A host at which it is reached. */
	readonly host: string;
	/** Of those that it has by a wildcard: another Service that declares it takes it away. */
	readonly wild: boolean;
	readonly judgedBy: "envoy" | "sidecar";
}

/**
 * By what a probe is to be refused: weir.gate, which comes first, or the rules behind it (weir.deny, or the sidecar).
 * Each has a reason that the other has not, so that one cannot stand in for the other unseen.
 */
export type Guard = "gate" | "rules";

export const GUARDS: readonly Guard[] = ["gate", "rules"];

/**
 * Headers of the probe for that guard. The gate refuses an override of the method; no sidecar is shown that header, and
 * no other filter looks at it, so where the gate is gone the probe is refused as `forbidden`.
 */
export const probeHeaders = (guard: Guard): Readonly<Record<string, string>> =>
	guard === "gate" ? { "x-http-method-override": "OPTIONS" } : {};

export interface ProbeResult {
	readonly gateway: string;
	readonly service: string;
	readonly guard: Guard;
	/** HTTP status; null = no answer came (refused connection, TLS, time). */
	readonly status: number | null;
	/** Of the answer, as far as it was read. */
	readonly body: string;
	/** Why no answer came. */
	readonly why?: string;
	/** Whether Envoy may have been given the Service closed: else nothing of ours answers so. */
	readonly mayBeClosed: boolean;
}

/** Envoy's counters, and gauges, by full name, as its admin shows them (`/stats`). */
export type Counters = ReadonlyMap<string, number>;

export type ProbeAlarm =
	| {
			/** The probe was answered by something else than a verdict. */
			readonly alarm: "probe-passed";
			readonly gateway: string;
			readonly service: string;
			readonly status: number;
	  }
	| {
			/** The guard that must refuse the probe did not; another one did. */
			readonly alarm: "probe-misjudged";
			readonly gateway: string;
			readonly service: string;
			readonly guard: Guard;
			readonly status: number;
	  }
	| {
			/** No verdict can be had, or the probe cannot reach the listener. */
			readonly alarm: "probe-unanswered";
			readonly gateway: string;
			readonly service: string;
			readonly status: number | null;
			/** Why no answer came; null where one did. */
			readonly why: string | null;
	  }
	| UnjudgedAlarm
	| RefusedConnections
	| DroppedEntries;

/** A Gateway closed connections of clients at once: it held as many as it may, or its Envoy did. */
export interface RefusedConnections {
	readonly alarm: "connections-refused";
	readonly gateway: string;
	/** Since the reading before. */
	readonly refused: number;
}

/** The Envoy of a Gateway could not hand over all access-log entries, and dropped some: of whichever Gateway of its. */
export interface DroppedEntries {
	readonly alarm: "entries-dropped";
	readonly gateway: string;
	/** Since the reading before. */
	readonly dropped: number;
}

/** Requests of protected Services were served, and none was judged. */
export interface UnjudgedAlarm {
	readonly alarm: "served-unjudged";
	readonly gateway: string;
	/** Protected Services that were served, by qualified name. */
	readonly services: readonly string[];
	readonly judgedBy: "envoy" | "sidecar";
	readonly served: number;
}

export function watchedListeners({ gateways, services }: PlanTable): readonly WatchedListener[] {
	const declared = new Set(services.flatMap(({ hosts }) => hosts));
	const watched = services
		.filter(({ access }) => !isOpen(access))
		.map(
			({ name, hosts, callout }): WatchedService => ({
				name,
				host: hostAmong(declared, hosts[0] ?? ""),
				wild: hosts[0]?.startsWith("*.") === true,
				judgedBy: callout?.verdict ? "sidecar" : "envoy",
			}),
		);
	return watched.length === 0 ? [] : gateways.map((gateway) => ({ gateway: gateway.name, services: watched }));
}

/** The host itself; of a wildcard one that it has, as no other Service has declared it. */
function hostAmong(declared: ReadonlySet<string>, host: string): string {
	if (!host.startsWith("*.")) return host;
	let label = "weir-probe";
	for (let count = 2; declared.has(host.replace("*", label)); count++) label = `weir-probe-${count}`;
	return host.replace("*", label);
}

/** Answers in our own words, native or from the sidecar. Anything else may be the upstream's, whatever its status. */
const DENIED = /^access denied: ([a-z-]+)\n$/;
const DENIED_STATUSES = new Set([401, 403, 429]);

const REASONS: Readonly<Record<Guard, readonly string[]>> = {
	gate: ["not-canonical"],
	rules: ["forbidden"],
};

/** Of a Service whose configuration that Envoy refuses (compiler/closed.ts): nothing of it is there to be got past to. */
const CLOSED = "closed: configuration-refused\n";
const CLOSED_REASON = "configuration-refused";
const LIMITED_REASON = "rate-limited";

/** All reasons that a probe which raises no alarm is refused for. */
export const PROBE_REASONS: ReadonlySet<string> = new Set([...Object.values(REASONS).flat(), CLOSED_REASON]);

/** The reason in our own words; null for any other answer, of which nothing is told. */
export function deniedReason({ status, body }: Pick<ProbeResult, "status" | "body">): string | null {
	if (status === 503 && body === CLOSED) return CLOSED_REASON;
	return status !== null && DENIED_STATUSES.has(status) ? (DENIED.exec(body)?.[1] ?? null) : null;
}

/** @returns null where the probe was refused as it must be */
export function probeAlarm(result: ProbeResult): ProbeAlarm | null {
	const { gateway, service, guard, status } = result;
	const reason = deniedReason(result);
	if (reason === CLOSED_REASON) {
		// Of a Service that is not closed it is the upstream's own answer.
		return result.mayBeClosed ? null : { alarm: "probe-passed", gateway, service, status: 503 };
	}
	if (guard === "rules" && reason === LIMITED_REASON) {
		// Limits come before the rules: what they refuse says nothing of those, and probes have a bucket of their own.
		return { alarm: "probe-unanswered", gateway, service, status, why: "others use up what probes may" };
	}
	if (status !== null && reason !== null) {
		if (REASONS[guard].includes(reason)) return null;
		return { alarm: "probe-misjudged", gateway, service, guard, status };
	}
	if (status === null || status === 503) {
		return { alarm: "probe-unanswered", gateway, service, status, why: result.why ?? null };
	}
	return { alarm: "probe-passed", gateway, service, status };
}

/**
 * Alarms of one listener over the time between two readings of its counters. A counter that fell was reset with its
 * Envoy: it counts from 0. Requests that are under way at either reading can be counted on one side only, so that a
 * single unjudged one beside judged ones is not seen; the probe sees that. Nor are tries of requests that were judged
 * before the first reading unjudged ones: no request came since, or they are retries and tries that were owed.
 * @param standing alarms of earlier readings. Silence proves nothing: one of this listener stands until requests were
 *   served and judged again, or nothing is left there for that judge to judge
 * @param owed what triesOwed() said at the first reading
 */
export function unjudgedAlarms(
	listener: WatchedListener,
	before: Counters,
	after: Counters,
	standing: readonly UnjudgedAlarm[] = [],
	owed: Owed = triesOwed(listener, null, before),
): readonly UnjudgedAlarm[] {
	const { gateway } = listener;
	const routed = routedCounter(gateway);
	const came = !after.has(routed) || movedBy(routed, before, after) > 0;
	const anyUnderWay = underWay(gateway, before) > 0;
	return JUDGES.flatMap((judgedBy): readonly UnjudgedAlarm[] => {
		const { judged, tries } = movedOf(listener, judgedBy, before, after);
		if (tries.length === 0) return [];
		const served = tries
			// Where none was under way, retries are of requests that came since. A retry that finds no connection is no try.
			.map(({ name, count, retried }) => ({ name, fresh: anyUnderWay ? Math.max(0, count - retried) : count }))
			.filter(({ fresh }) => came && fresh > 0);
		if (served.length > 0 && judged > 0) return [];
		const fresh = served.reduce((sum, one) => sum + one.fresh, 0);
		if (fresh <= owed[judgedBy]) return standing.filter((one) => one.gateway === gateway && one.judgedBy === judgedBy);
		return [{ alarm: "served-unjudged", gateway, services: served.map(({ name }) => name), judgedBy, served: fresh }];
	});
}

/** By judge: how many tries, at most, requests that were judged may still be sent on in. */
export type Owed = Readonly<Record<WatchedService["judgedBy"], number>>;

/**
 * Of one listener at a reading. Requests wait for their connection, in the back-off before a retry or in a callout, and
 * only those under way do. A try is owed by a verdict or a retry, and paid once: streams that stay open hide nothing for
 * long, for without verdicts each unjudged request uses up one.
 * @param earlier what the reading before said, and its counters; null = there was none
 */
export function triesOwed(
	listener: WatchedListener,
	earlier: { readonly owed: Owed; readonly counters: Counters } | null,
	now: Counters,
): Owed {
	const most = underWay(listener.gateway, now);
	const of = (judgedBy: WatchedService["judgedBy"]): number => {
		const { judged, tries } = movedOf(listener, judgedBy, earlier?.counters ?? new Map(), now);
		// Tries since Envoy's start may be of a time when that Service was open.
		if (earlier === null) return Math.min(most, judged);
		const paid = tries.reduce((sum, { count, retried }) => sum + count - retried, 0);
		return Math.min(most, Math.max(0, earlier.owed[judgedBy] + judged - paid));
	};
	return { envoy: of("envoy"), sidecar: of("sidecar") };
}

const JUDGES = ["envoy", "sidecar"] as const;

/** Verdicts of that judge between two readings, and how its Services were tried. */
function movedOf(
	{ gateway, services }: WatchedListener,
	judge: "envoy" | "sidecar",
	before: Counters,
	after: Counters,
) {
	const moved = (name: string): number => movedBy(name, before, after);
	return {
		judged: verdictCounters(gateway, judge).reduce((sum, name) => sum + moved(name), 0),
		tries: services
			.filter(({ judgedBy }) => judgedBy === judge)
			.map(({ name }) => ({
				name,
				count: moved(servedCounter(name, gateway)),
				retried: moved(retriedCounter(name, gateway)),
			})),
	};
}

/** How far a counter has moved between two readings. */
export function movedBy(name: string, before: Counters, after: Counters): number {
	const [from, to] = [before.get(name) ?? 0, after.get(name) ?? 0];
	return to >= from ? to - from : to;
}

/** Of one listener's bound and of the whole Envoy's (compiler/listener.ts, bootstrap.ts), as each listener counts them. */
const REFUSED = [
	/^listener\.gateway\.(.+)\.downstream_global_cx_overflow$/,
	/^connection_limit\.gateway\.(.+)\.limited_connections$/,
];

/** Gateways that refused connections between two readings of the counters of their Envoy. */
export function refusedConnections(before: Counters, after: Counters): readonly RefusedConnections[] {
	const refused = new Map<string, number>();
	for (const name of after.keys()) {
		const moved = movedBy(name, before, after);
		if (moved === 0) continue;
		for (const counter of REFUSED) {
			const gateway = counter.exec(name)?.[1];
			if (gateway !== undefined) refused.set(gateway, (refused.get(gateway) ?? 0) + moved);
		}
	}
	return [...refused].map(([gateway, count]) => ({ alarm: "connections-refused", gateway, refused: count }));
}

/** Entries for ingest that Envoy had no room for: what its stream does not take is kept up to a bound, then dropped. */
export const DROPPED_COUNTER = "access_logs.grpc_access_log.logs_dropped";

/** Gateways whose Envoy dropped access-log entries between two readings of its counters. */
export function droppedEntries(before: Counters, after: Counters): readonly DroppedEntries[] {
	const dropped = movedBy(DROPPED_COUNTER, before, after);
	if (dropped === 0) return [];
	const gateways = new Set(
		[...after.keys()].flatMap((name) => REFUSED.flatMap((counter) => counter.exec(name)?.[1] ?? [])),
	);
	return [...gateways].map((gateway) => ({ alarm: "entries-dropped", gateway, dropped }));
}

/** Requests of that Gateway that have not ended. */
const underWay = (gateway: string, at: Counters): number => at.get(`http.gateway.${gateway}.downstream_rq_active`) ?? 0;

/** Requests that came to the router of that Gateway, each once, of whichever Service. */
const routedCounter = (gateway: string): string => `http.gateway.${gateway}.rq_total`;

/** Retries of the Service's requests, sent on or not. */
const retriedCounter = (service: string, gateway: string): string =>
	`vhost.${service}.route.${gateway}.upstream_rq_retry`;

/** Tries of the Service's requests that the router has sent on through that Gateway (Route.stat_prefix, routeAction.ts). */
const servedCounter = (service: string, gateway: string): string =>
	`vhost.${service}.route.${gateway}.upstream_rq_total`;

/** Counters that each request moves which a verdict lets pass: of the last native filter, or of the callouts. */
function verdictCounters(gateway: string, judgedBy: "envoy" | "sidecar"): readonly string[] {
	const prefix = `http.gateway.${gateway}`;
	return judgedBy === "envoy"
		? [`${prefix}.rbac.weir_allow_.allowed`]
		: [`${prefix}.ext_authz.weir_verdict.ok`, `${prefix}.ext_proc.weir_process.streams_started`];
}

/** All counters that these functions read, as a regular expression for Envoy's `/stats?filter=`. */
export const COUNTERS_FILTER =
	"^(access_logs\\.grpc_access_log\\.logs_dropped|listener\\.gateway\\..+\\.downstream_global_cx_overflow|connection_limit\\.gateway\\..+\\.limited_connections|vhost\\..+\\.route\\..+\\.upstream_rq_(total|retry)|http\\.gateway\\..+\\.(downstream_rq_active|rq_total|rbac\\.weir_allow_\\.allowed|ext_authz\\.weir_verdict\\.ok|ext_proc\\.weir_process\\.streams_started))$";
