/** Failed writes to control's disk, for `weir status`. */

import { GAUGES } from "../../observe/events/meter.js";
import type { MetricsJson } from "../../observe/telemetry/meter.js";
import { EVENTS_UNWRITTEN, type GatewayAlarm, STATE_UNWRITTEN } from "../../operate/api/wire.js";
import type { StateDatabase } from "../../operate/state/store/database.js";
import { DISK_FULL } from "../../trust/local/diskFault.js";
import { gaugesOf } from "./metrics.js";

/** How long a failed commit raises the alarm: longer than the pause before it is retried. */
const COMMIT_FAULT_ALARM_MS = 15_000;

export function unwrittenState(database: Pick<StateDatabase, "unwritten">): readonly GatewayAlarm[] {
	const why = database.unwritten();
	return why === null ? [] : [{ gateway: "", alarm: STATE_UNWRITTEN, why }];
}

/** @param metrics of ingest; null = it does not answer */
export function unwrittenEvents(metrics: MetricsJson | null, nowMs: number = Date.now()): readonly GatewayAlarm[] {
	const failing = gaugesOf(metrics)
		.filter(({ name }) => name === GAUGES.commitFailed.name)
		.flatMap(({ values }) => values)
		.filter(({ value }) => value * 1_000 > nowMs - COMMIT_FAULT_ALARM_MS);
	if (failing.length === 0) return [];
	const whats = [...new Set(failing.map(({ labels }) => labels.of))].join(", ");
	const why = failing.some(({ labels }) => labels.reason === "disk-full") ? DISK_FULL : "see ingest's log";
	return [{ gateway: "", alarm: EVENTS_UNWRITTEN, why: `${whats}: ${why}` }];
}

/** Whether ingest drops access records now. @param metrics null = ingest does not answer */
export function droppedDecisions(metrics: MetricsJson | null): readonly GatewayAlarm[] {
	const drops = gaugesOf(metrics).some(
		({ name, values }) => name === GAUGES.dropping.name && values.some(({ value }) => value === 1),
	);
	return drops ? [{ gateway: "", alarm: "decisions-dropped", why: null }] : [];
}
