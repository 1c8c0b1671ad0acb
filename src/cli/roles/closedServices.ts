/**
 * Services that an Envoy has refused and answers 503 for are an alarm: a line in the log and an audit record for each, and
 * a metric for as long as it stands.
 */
import { type Closure, closuresOf } from "../../rollout/closedServices.js";
import type { ProxyStatus } from "../../rollout/ports.js";
import type { Refusal } from "../../rollout/refusal.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";

export interface ClosuresOptions {
	readonly log: Pick<Log, "error" | "info">;
	readonly meter: Pick<Meter, "gauge">;
	/** Whether it succeeds is its own matter. */
	readonly audit: (refused: Refusal) => void;
}

export interface ClosureWatch {
	look(proxies: readonly ProxyStatus[]): void;
}

export function watchClosures({ log, meter, audit }: ClosuresOptions): ClosureWatch {
	/** What stands, by client and Service. */
	let standing: ReadonlyMap<string, Closure> = new Map();
	return {
		look: (proxies) => {
			const now = new Map(closuresOf(proxies).map((one) => [`${one.node} ${one.service}`, one]));
			for (const [key, closure] of now) {
				const { node, service, why, sinceMs } = closure;
				if (standing.get(key)?.why === why) continue;
				log.error("a Service is closed: its configuration was refused", { node, service, why });
				audit({ node, type: "configuration", source: `Service ${service}`, error: why, sinceMs, revision: null });
				gauge(1, closure);
			}
			for (const [key, closure] of standing) {
				if (now.has(key)) continue;
				log.info("a Service is closed no more", { node: closure.node, service: closure.service });
				gauge(0, closure);
			}
			standing = now;
		},
	};

	function gauge(value: 0 | 1, { node, service }: Closure): void {
		const help = "1 while that client refuses the Service's configuration, so that it answers 503 there.";
		meter.gauge("weir_xds_closed", help, value, { node, service });
	}
}
