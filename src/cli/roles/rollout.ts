/** The rollout role: evidence → decision → state, over the other roles' sockets. */
import { ingestClient } from "../../events/client.js";
import { PPM } from "../../limits.js";
import { type LoopEvent, RolloutLoop } from "../../rollout/loop.js";
import type { Clock } from "../../rollout/ports.js";
import { StateClient } from "../../state/client.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";
import { serveMetrics } from "./metrics.js";
import type { RoleContext, RunningRole } from "./role.js";

export async function startRolloutRole({ at, log, meter }: RoleContext): Promise<RunningRole> {
	const loop = new RolloutLoop({
		evidence: ingestClient(at.ingestSocket),
		store: new StateClient(at.apiSocket),
		clock: systemClock,
		report: (event) => report(event, log, meter),
		intervalMs: null,
	});
	const metrics = await serveMetrics(at.rolloutMetricsSocket, meter);
	loop.start();
	return {
		ready: {},
		close: async () => {
			metrics.close();
			await loop.stop();
		},
	};
}

const systemClock: Clock = {
	nowMs: Date.now,
	after: (ms, run) => {
		const timer = setTimeout(run, ms);
		return () => clearTimeout(timer);
	},
};

function report(event: LoopEvent, log: Log, meter: Meter): void {
	switch (event.type) {
		case "decided": {
			const { experiment, outcome } = event.decision;
			meter.count("weir_rollout_decisions_total", "Decisions recorded.", {
				experiment,
				action: outcome.action,
				rule: outcome.rule,
			});
			log.info("decision", { experiment, action: outcome.action, rule: outcome.rule, reason: outcome.reason });
			return;
		}
		case "evaluated": {
			const { experiment, outcome } = event;
			meter.gauge("weir_rollout_allocation_ratio", "Live share of the slot.", outcome.status.allocationPpm / PPM, {
				experiment,
			});
			return;
		}
		case "holding":
			meter.count("weir_rollout_holds_total", "Times that a dead owner stopped decisions.");
			log.warn("holding: no decision without evidence", {
				experiment: event.experiment ?? "all",
				why: event.error.message,
			});
			return;
		case "recovered":
			log.info("deciding again", { experiment: event.experiment ?? "all" });
			return;
		case "conflict":
			meter.count("weir_rollout_conflicts_total", "Decisions made again because the state had changed.");
	}
}
