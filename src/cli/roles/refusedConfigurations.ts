/**
 * What Envoys and sidecars refuse of what is published is an alarm: they go on with what they had, so nothing that was
 * changed since holds there, for no Service. A line in the log, a metric for as long as it stands, and an audit record.
 */

import type { ProxyStatus } from "../../rollout/ports.js";
import { type Refusal, refusalsOf } from "../../rollout/refusal.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";

export interface RefusalsOptions {
	readonly log: Pick<Log, "error" | "info">;
	readonly meter: Pick<Meter, "gauge">;
	/** Whether it succeeds is its own matter. */
	readonly audit: (refused: Refusal) => void;
}

export interface RefusalWatch {
	look(proxies: readonly ProxyStatus[]): void;
}

export function watchRefusals({ log, meter, audit }: RefusalsOptions): RefusalWatch {
	/** What stands, by client and type. */
	let standing: ReadonlyMap<string, Refusal> = new Map();
	return {
		look: (proxies) => {
			const now = new Map(
				refusalsOf(proxies).map((one) => {
					const key = `${one.type} ${one.node}`;
					// Without words something is just being tried again: what was refused before stands.
					return [key, one.error === "" ? (standing.get(key) ?? one) : one];
				}),
			);
			for (const [key, refusal] of now) {
				const before = standing.get(key);
				if (before?.error === refusal.error && before.source === refusal.source) continue;
				const { node, type, source, error, revision } = refusal;
				log.error("what is published was refused", { node, type, source, why: error, revision: revision ?? "none" });
				audit(refusal);
				gauge(1, refusal);
			}
			for (const [key, refusal] of standing) {
				if (now.has(key)) continue;
				log.info("what is published is refused no more", { node: refusal.node, type: refusal.type });
				gauge(0, refusal);
			}
			standing = now;
		},
	};

	function gauge(value: 0 | 1, { node, type }: Refusal): void {
		meter.gauge("weir_xds_refused", "1 while that client refuses what is published.", value, { node, type });
	}
}
