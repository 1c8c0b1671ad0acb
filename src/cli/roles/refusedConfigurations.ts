/**
 * Alarms of published configuration that an Envoy or sidecar refuses: it keeps its previous configuration, so later
 * changes have no effect there, for any Service. A log line, an audit record, and a metric while it lasts.
 */
import { type Refusal, refusalsOf } from "../../decide/rollout/refusal.js";
import { type AlarmOptions, type AlarmWatch, watchAlarms } from "./alarmWatch.js";

export function watchRefusals({ log, meter, audit }: AlarmOptions): AlarmWatch {
	const gauge = (value: 0 | 1, { node, type }: Refusal): void =>
		meter.gauge("weir_xds_refused", "1 while that client refuses what is published.", value, { node, type });
	return watchAlarms<Refusal>({
		of: refusalsOf,
		keyOf: ({ node, type }) => `${type} ${node}`,
		// An empty error means that something is being retried: the earlier refusal continues.
		isSame: (before, { error, source }) => error === "" || (before.error === error && before.source === source),
		begun: (refusal) => {
			const { node, type, source, error, revision } = refusal;
			log.error("a client refused its configuration", { node, type, source, why: error, revision: revision ?? "none" });
			audit(refusal);
			gauge(1, refusal);
		},
		ended: (refusal) => {
			log.info("a client accepts its configuration again", { node: refusal.node, type: refusal.type });
			gauge(0, refusal);
		},
	});
}
