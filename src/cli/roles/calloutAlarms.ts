/** Alarms of requests that the sidecar fails, by ingest's gauges, for `weir status`. */

import { GAUGES } from "../../observe/events/meter.js";
import { CALLOUT_FAULTS, type CalloutFault } from "../../observe/events/receive/accessRecords/calloutFault.js";
import type { MetricsJson } from "../../observe/telemetry/meter.js";
import { type GatewayAlarm, NO_SIDECAR_KEYS, UNANSWERED } from "../../operate/api/wire.js";
import { gaugesOf } from "./metrics.js";

/** How long the sidecar alarm continues after the last failed request. */
const CALLOUT_FAULT_ALARM_MS = 60_000;

const ALARMS: Readonly<Record<CalloutFault, string>> = { unanswered: UNANSWERED, "no-issuer-keys": NO_SIDECAR_KEYS };

/** @param metrics of ingest; null = it does not answer */
export function calloutAlarms(metrics: MetricsJson | null, nowMs: number): readonly GatewayAlarm[] {
	const last = gaugesOf(metrics).find(({ name }) => name === GAUGES.calloutFault.name)?.values ?? [];
	return last.flatMap(({ value, labels: { gateway = "", fault: reported } }): readonly GatewayAlarm[] => {
		const fault = CALLOUT_FAULTS.find((one) => one === reported);
		const atMs = value * 1_000;
		if (fault === undefined || nowMs - atMs > CALLOUT_FAULT_ALARM_MS) return [];
		return [{ gateway, alarm: ALARMS[fault], why: `the last at ${new Date(atMs).toISOString()}` }];
	});
}
