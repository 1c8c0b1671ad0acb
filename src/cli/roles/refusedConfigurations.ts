/**
 * What Envoys and sidecars refuse of what is published is an alarm: they go on with what they had, so nothing that was
 * changed since holds there, for no Service. A line in the log, a metric for as long as it stands, and an audit record.
 */
import { type Refusal, refusalsOf } from "../../decide/rollout/refusal.js";
import { type AlarmOptions, type AlarmWatch, watchAlarms } from "./standingAlarms.js";

export function watchRefusals({ log, meter, audit }: AlarmOptions): AlarmWatch {
	const gauge = (value: 0 | 1, { node, type }: Refusal): void =>
		meter.gauge("weir_xds_refused", "1 while that client refuses what is published.", value, { node, type });
	return watchAlarms<Refusal>({
		of: refusalsOf,
		keyOf: ({ node, type }) => `${type} ${node}`,
		// Without words something is just being tried again: what was refused before stands.
		isSame: (before, { error, source }) => error === "" || (before.error === error && before.source === source),
		begun: (refusal) => {
			const { node, type, source, error, revision } = refusal;
			log.error("what is published was refused", { node, type, source, why: error, revision: revision ?? "none" });
			audit(refusal);
			gauge(1, refusal);
		},
		ended: (refusal) => {
			log.info("what is published is refused no more", { node: refusal.node, type: refusal.type });
			gauge(0, refusal);
		},
	});
}
