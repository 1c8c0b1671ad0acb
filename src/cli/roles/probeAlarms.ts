/** Alarms of the built-in probe as the log tells them, and what `weir status` is told by gauges of roles. */
import { addressOf } from "../../access/bypass/foreignListeners.js";
import type { ProbeAlarm } from "../../access/bypass/probe.js";
import { GAUGES } from "../../events/meter.js";
import type { GatewayAlarm } from "../../state/api/wire.js";
import type { MetricsJson } from "../../telemetry/meter.js";

/** Whether ingest drops decision records now, by its metrics; null = it does not answer, and so nobody knows. */
export function droppedDecisions(metrics: MetricsJson | null): readonly GatewayAlarm[] {
	const drops = gaugesOf(metrics).some(
		({ name, values }) => name === GAUGES.dropping.name && values.some(({ value }) => value === 1),
	);
	return drops ? [{ gateway: "", alarm: "decisions-dropped", why: null }] : [];
}

export const gaugesOf = (metrics: MetricsJson | null): readonly GaugeJson[] =>
	(metrics?.metrics ?? []) as readonly GaugeJson[];

/** As prom-client tells a gauge. */
export interface GaugeJson {
	readonly name: string;
	readonly values: readonly { readonly value: number; readonly labels: Readonly<Record<string, string>> }[];
}

/** Of an alarm, for the log. */
export function saidOf({ alarm }: ProbeAlarm): string {
	if (alarm === "connections-refused") return "connections of clients are refused";
	if (alarm === "entries-dropped") return "Envoy drops access-log entries";
	if (alarm === "verdicts-uncounted") return "nobody knows whether what is served is judged";
	if (alarm === "probe-memory-lost")
		return "what the built-in probe knew is lost: an alarm that stood may be told no more";
	if (alarm === "probe-memory-unwritten")
		return "what the built-in probe knows cannot be written: a restart would forget it";
	// What nobody answers, or nobody but Envoy with 503, has got past nothing.
	return alarm === "probe-unanswered" ? "the probe was given no verdict" : "requests may get past the verdict";
}

/** Only of scalars, for the log; no request of anybody is in it. */
export function factsOf(alarm: ProbeAlarm): Readonly<Record<string, string | number>> {
	const { alarm: kind, gateway } = alarm;
	if (kind === "served-unjudged") {
		return { alarm: kind, gateway, services: alarm.services.join(","), judgedBy: alarm.judgedBy, served: alarm.served };
	}
	if (kind === "served-past-gateways") return { alarm: kind, service: alarm.service, served: alarm.served };
	if (kind === "foreign-listener") {
		const { listener, more } = alarm;
		return { alarm: kind, listener, address: addressOf(alarm), ...(more === undefined ? {} : { more }) };
	}
	if (kind === "connections-refused") return { alarm: kind, gateway, refused: alarm.refused };
	if (kind === "entries-dropped") return { alarm: kind, gateway, dropped: alarm.dropped };
	if (kind === "verdicts-uncounted") return { alarm: kind, gateway, why: alarm.why };
	if (!("service" in alarm)) return { alarm: kind };
	const facts = { alarm: kind, gateway, service: alarm.service, status: alarm.status ?? "none" };
	return kind === "probe-unanswered" && alarm.why !== null ? { ...facts, why: alarm.why } : facts;
}
