/**
 * Whether anything gets past the verdict (the lesson of envoyproxy/ai-gateway#2560: a filter that is not in the chain
 * leaves no trace of its own). Two signs, both pure functions: here, a built-in probe, which nobody may allow, was not
 * refused by the filter that must, in that one's own words; and a listener served more requests of protected Services than
 * were judged (unjudged.ts). The second is the only sign that weir.allow is gone: no request is refused there for certain.
 */
import { type Counters, movedBy } from "./counters.js";
import type { ForeignListener } from "./foreignListeners.js";
import { gatewaysAt, type PastAlarm } from "./servedPast.js";
import { TRIES, type UnjudgedAlarm } from "./unjudged.js";

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
	| PastAlarm
	| ForeignListener
	| RefusedConnections
	| DroppedEntries
	| UncountedVerdicts
	| ForgottenAlarms;

/** Counters of a Gateway's Envoy cannot be read, so that nobody knows whether what is served there is judged. */
export interface UncountedVerdicts {
	readonly alarm: "verdicts-uncounted";
	readonly gateway: string;
	/** In few words. */
	readonly why: string;
}

/** What the probe knew, alarms that stood among it, was lost over a restart, or would be lost over the next one. */
export interface ForgottenAlarms {
	readonly alarm: "probe-memory-lost" | "probe-memory-unwritten";
	/** It is of none. */
	readonly gateway: "";
}

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
	/** Empty = of none that is known. */
	readonly gateway: string;
	/** Since the reading before. */
	readonly dropped: number;
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
	const gateways = gatewaysAt(after);
	return (gateways.length === 0 ? [""] : gateways).map((gateway) => ({ alarm: "entries-dropped", gateway, dropped }));
}

/**
 * Counters have what names an Envoy pleases: alarms of them have no other than those of its Gateways. Connections to another
 * listener are nobody's matter, and that it is there is an alarm of its own (foreign-listener); dropped entries are the Envoy's.
 */
export function underOwnNames(
	alarms: readonly ProbeAlarm[],
	isGateway: (gateway: string) => boolean,
): readonly ProbeAlarm[] {
	const isOwn = ({ alarm, gateway }: ProbeAlarm): boolean =>
		(alarm !== "connections-refused" && alarm !== "entries-dropped") || isGateway(gateway);
	const own = alarms.filter(isOwn);
	const dropped = alarms.find((one) => one.alarm === "entries-dropped");
	return dropped === undefined || own.some(({ alarm }) => alarm === "entries-dropped")
		? own
		: [...own, { ...dropped, gateway: "" }];
}

/** What these functions read, and tries, as a regular expression for Envoy's `/stats?filter=`. */
export const COUNTERS_FILTER = `^(access_logs\\.grpc_access_log\\.logs_dropped|listener\\.gateway\\..+\\.downstream_global_cx_overflow|connection_limit\\.gateway\\..+\\.limited_connections|${TRIES})$`;
