/**
 * Alarms of Services whose configuration an Envoy refuses, so that it answers 503: a log line, an audit record, and a
 * metric while it lasts. All sidecars share one alarm for each Service: they reconnect every few minutes, so another one
 * may be the first to report it.
 */

import { type Closure, closuresOf } from "../../decide/rollout/closedServices.js";
import type { ProxyStatus } from "../../decide/rollout/ports.js";
import { type AlarmOptions, type AlarmWatch, watchAlarms } from "./alarmWatch.js";

/** A client that is absent for less is only reconnecting (XDS_CONNECTION_AGE_MS): its alarms continue. */
export const XDS_CLIENT_AWAY_MS = 30_000;

/** The metric's node label for all sidecars. */
const SIDECARS = "weir-sidecar";

interface PlacedClosure extends Closure {
	/** Identifies the alarm, together with the Service. */
	readonly place: string;
}

const isSidecar = ({ types }: ProxyStatus): boolean => Object.keys(types).join() === "tables";

/** @param nowMs clock for the end of alarms */
export function watchClosures({ log, meter, audit }: AlarmOptions, nowMs?: () => number): AlarmWatch {
	const gauge = (value: 0 | 1, { place, service }: PlacedClosure): void => {
		const help = "1 while that client refuses the Service's configuration, so that it answers 503 there.";
		meter.gauge("weir_xds_closed", help, value, { node: place, service });
	};
	return watchAlarms<PlacedClosure>(
		{
			of: (proxies) =>
				proxies.flatMap((proxy) => {
					const place = isSidecar(proxy) ? SIDECARS : proxy.node;
					return closuresOf([proxy]).map((closure) => ({ ...closure, place }));
				}),
			keyOf: ({ place, service }) => `${place} ${service}`,
			isSame: (before, now) => before.place === SIDECARS || before.why === now.why,
			begun: (closure) => {
				const { node, service, why, sinceMs } = closure;
				log.error("a Service is closed: its configuration was refused", { node, service, why });
				audit({ node, type: "configuration", source: `Service ${service}`, error: why, sinceMs, revision: null });
				gauge(1, closure);
			},
			ended: (closure) => {
				log.info("a Service is open again", { node: closure.place, service: closure.service });
				gauge(0, closure);
			},
			// A connected Envoy reports that its Service is open again; for sidecars it is unknown which one does.
			awayMs: ({ place }, proxies) =>
				place !== SIDECARS && proxies.some(({ node }) => node === place) ? 0 : XDS_CLIENT_AWAY_MS,
		},
		nowMs,
	);
}
