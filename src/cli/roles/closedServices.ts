/**
 * Services that an Envoy has refused and answers 503 for are an alarm: a line in the log and an audit record for each, and
 * a metric for as long as it stands.
 */
import { type Closure, closuresOf } from "../../rollout/closedServices.js";
import { type AlarmOptions, type AlarmWatch, watchAlarms } from "./standingAlarms.js";

export function watchClosures({ log, meter, audit }: AlarmOptions): AlarmWatch {
	const gauge = (value: 0 | 1, { node, service }: Closure): void => {
		const help = "1 while that client refuses the Service's configuration, so that it answers 503 there.";
		meter.gauge("weir_xds_closed", help, value, { node, service });
	};
	return watchAlarms<Closure>({
		of: closuresOf,
		keyOf: ({ node, service }) => `${node} ${service}`,
		isSame: (before, now) => before.why === now.why,
		begun: (closure) => {
			const { node, service, why, sinceMs } = closure;
			log.error("a Service is closed: its configuration was refused", { node, service, why });
			audit({ node, type: "configuration", source: `Service ${service}`, error: why, sinceMs, revision: null });
			gauge(1, closure);
		},
		ended: (closure) => {
			log.info("a Service is closed no more", { node: closure.node, service: closure.service });
			gauge(0, closure);
		},
	});
}
