/** Envoys' load reports as metrics of each Variant: requests by outcome, and those under way. */

import type { Meter } from "../../observe/telemetry/meter.js";
import type { ClusterLoad } from "../../publish/xds/loadReports.js";

/** @returns records an Envoy's report; an empty one means that the Envoy is gone, with its requests */
export function loadMetrics(
	meter: Pick<Meter, "count" | "gauge">,
): (node: string, loads: readonly ClusterLoad[]) => void {
	/** By Envoy and cluster. */
	const underWay = new Map<string, Map<string, number>>();
	return (node, loads) => {
		const before = underWay.get(node) ?? new Map<string, number>();
		const now = new Map(loads.map(({ cluster, inProgress }) => [cluster, inProgress]));
		if (loads.length === 0) underWay.delete(node);
		else underWay.set(node, now);
		for (const { cluster, succeeded, failed, dropped } of loads) {
			for (const [outcome, count] of Object.entries({ succeeded, failed, dropped })) {
				if (count === 0) continue;
				const help = "Requests to a Variant as Envoys report them: succeeded, failed, or dropped by a circuit breaker.";
				meter.count("weir_load_requests_total", help, { variant: cluster, outcome }, count);
			}
		}
		for (const cluster of new Set([...before.keys(), ...now.keys()])) {
			const total = [...underWay.values()].reduce((sum, one) => sum + (one.get(cluster) ?? 0), 0);
			meter.gauge("weir_load_in_progress", "Requests under way to a Variant, when Envoys last reported.", total, {
				variant: cluster,
			});
		}
	};
}
