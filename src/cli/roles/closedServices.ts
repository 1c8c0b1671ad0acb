/**
 * Services that an Envoy has refused and answers 503 for are an alarm: a line in the log and an audit record for each, and
 * a metric for as long as it stands. What sidecars close is one alarm for each Service, whichever of them tells it: each
 * connects anew every few minutes, and another is then the first to tell.
 */

import { type Closure, closuresOf } from "../../decide/rollout/closedServices.js";
import type { ProxyStatus } from "../../decide/rollout/ports.js";
import { type AlarmOptions, type AlarmWatch, watchAlarms } from "./standingAlarms.js";

/** A client that is away for less is only reconnecting (XDS_CONNECTION_AGE_MS): its alarms continue. */
export const XDS_CLIENT_AWAY_MS = 30_000;

/** The metric's node for what any sidecar has closed. */
const SIDECARS = "weir-sidecar";

interface PlacedClosure extends Closure {
	/** What the alarm is told by, beside the Service. */
	readonly place: string;
}

const isSidecar = ({ types }: ProxyStatus): boolean => Object.keys(types).join() === "tables";

/** @param nowMs of the alarms' ends */
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
				log.info("a Service is closed no more", { node: closure.place, service: closure.service });
				gauge(0, closure);
			},
			// An Envoy that is here says that it has opened it; which sidecar has is not known.
			awayMs: ({ place }, proxies) =>
				place !== SIDECARS && proxies.some(({ node }) => node === place) ? 0 : XDS_CLIENT_AWAY_MS,
		},
		nowMs,
	);
}
