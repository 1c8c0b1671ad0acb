/** What a round of the built-in probe came to, as `weir probe` prints it. */
import type { ForeignListener } from "../../access/bypass/foreignListeners.js";
import {
	type DroppedEntries,
	deniedReason,
	type ForgottenAlarms,
	type Guard,
	type ProbeAlarm,
	type ProbeResult,
	probeAlarm,
	type RefusedConnections,
	type UncountedVerdicts,
} from "../../access/bypass/probe.js";
import type { PastAlarm } from "../../access/bypass/servedPast.js";

/** Name of an Envoy of another machine; left out = this machine's. */
interface OfEnvoy {
	readonly envoy?: string;
}

/** Nothing of an answer's body but our own reason is in it. */
export interface ProbeReport {
	readonly answers: readonly (OfEnvoy & {
		readonly gateway: string;
		readonly service: string;
		readonly guard: Guard;
		readonly status: number | null;
		readonly reason: string | null;
		/** null = refused as it must be. */
		readonly alarm: ProbeAlarm["alarm"] | null;
	})[];
	/** Alarms of Envoy's counters. */
	readonly unjudged: readonly (OfEnvoy & Extract<ProbeAlarm, { alarm: "served-unjudged" }>)[];
	readonly refused: readonly (OfEnvoy & RefusedConnections)[];
	readonly dropped: readonly (OfEnvoy & DroppedEntries)[];
	/** Gateways whose Envoy's counters could not be read, in how many rounds up to this one; an alarm from UNCOUNTED_ROUNDS on. */
	readonly uncounted: readonly (OfEnvoy & UncountedVerdicts & { readonly rounds: number })[];
	/** Protected Services that were served by no Gateway. */
	readonly past: readonly (OfEnvoy & PastAlarm)[];
	/** Listeners of an Envoy that are no Gateway's. */
	readonly foreign: readonly (OfEnvoy & ForeignListener)[];
	readonly forgotten: readonly (OfEnvoy & ForgottenAlarms)[];
	/** Alarms of Services that were not probed now, from when they were. */
	readonly standing: readonly StandingAlarm[];
	/** Gateways that were left out; with `services`: those alone. */
	readonly unprobed: readonly Unprobed[];
}

/** Rounds in a row in which counters could not be read, from which on that is an alarm: one may be slow. */
export const UNCOUNTED_ROUNDS = 2;

export type StandingAlarm = OfEnvoy & Pick<Extract<ProbeAlarm, { service: string }>, "alarm" | "gateway" | "service">;

export interface Unprobed extends OfEnvoy {
	readonly gateway: string;
	readonly why: string;
	/** Qualified names of Services, where the Gateway's others are probed. */
	readonly services?: readonly string[];
}

/** Those that the report has a place for each of. */
export const byKind = (
	alarms: readonly ProbeAlarm[],
): Pick<ProbeReport, "unjudged" | "refused" | "dropped" | "past"> => ({
	unjudged: alarms.filter((one) => one.alarm === "served-unjudged"),
	refused: alarms.filter((one) => one.alarm === "connections-refused"),
	dropped: alarms.filter((one) => one.alarm === "entries-dropped"),
	past: alarms.filter((one) => one.alarm === "served-past-gateways"),
});

export const answersOf = (results: readonly ProbeResult[]): ProbeReport["answers"] =>
	results.map((result) => {
		const { gateway, service, guard, status } = result;
		const alarm = probeAlarm(result)?.alarm ?? null;
		return { gateway, service, guard, status, reason: deniedReason(result), alarm };
	});

export const standingOf = (alarms: Iterable<ProbeAlarm>): readonly StandingAlarm[] =>
	[...alarms].flatMap((one) =>
		"service" in one ? [{ alarm: one.alarm, gateway: one.gateway, service: one.service }] : [],
	);

/**
 * One of all Envoys, each entry with the name of its own.
 * @param envoy name; empty = this machine's
 * @returns null = no Envoy is there to be asked yet
 */
export function mergeReports(
	reports: readonly { readonly envoy: string; readonly report: ProbeReport | null }[],
): ProbeReport | null {
	const known = reports.flatMap(({ envoy, report }) => (report === null ? [] : [{ envoy, report }]));
	if (known.length === 0) return null;
	const all = <Name extends keyof ProbeReport>(name: Name): ProbeReport[Name] =>
		known.flatMap(({ envoy, report }) =>
			(report[name] as readonly object[]).map((one) => (envoy === "" ? one : { envoy, ...one })),
		) as unknown as ProbeReport[Name];
	return {
		answers: all("answers"),
		unjudged: all("unjudged"),
		refused: all("refused"),
		dropped: all("dropped"),
		uncounted: all("uncounted"),
		past: all("past"),
		foreign: all("foreign"),
		forgotten: all("forgotten"),
		standing: all("standing"),
		unprobed: all("unprobed"),
	};
}
