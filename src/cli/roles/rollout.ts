/** The rollout loop of control: evidence → decision → state. */

import type { GateReport } from "../../decide/rollout/gateApprovals.js";
import { type LoopEvent, RolloutLoop } from "../../decide/rollout/loop.js";
import type { Clock, Outbox, StateStore } from "../../decide/rollout/ports.js";
import { RollbackNotifier } from "../../decide/rollout/rollbackNotifier.js";
import { PPM } from "../../limits/index.js";
import { ingestClient } from "../../observe/events/client.js";
import type { Log } from "../../observe/telemetry/log.js";
import type { Meter } from "../../observe/telemetry/meter.js";
import { postWebhook } from "../../operate/webhooks/webhook.js";
import type { RoleContext } from "./role.js";

/** @returns stops both loops */
export function startRollout({ at, log, meter }: RoleContext, store: StateStore & Outbox): () => Promise<void> {
	const loop = new RolloutLoop({
		evidence: ingestClient(at.ingestSocket),
		store,
		clock: systemClock,
		webhook: postWebhook,
		report: (event) => report(event, log, meter),
		intervalMs: null,
	});
	const rollbackNotifier = new RollbackNotifier({
		outbox: store,
		webhook: postWebhook,
		clock: systemClock,
		report: (answer) => reportGate(answer, log, meter),
		holding: (error) =>
			log.warn("the state is unavailable: gates are notified of rollbacks later", { why: error.message }),
	});
	loop.start();
	rollbackNotifier.start();
	return () => {
		rollbackNotifier.stop();
		return loop.stop();
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
		case "gate":
			reportGate(event, log, meter);
			return;
		case "conflict":
			meter.count("weir_rollout_conflicts_total", "Decisions made again because the state had changed.");
	}
}

/** Logs only the gate's host: path and query may contain secrets. */
function reportGate({ experiment, at, where, ok, why, cause }: GateReport, log: Log, meter: Meter): void {
	meter.count("weir_rollout_gate_answers_total", "Answers of gates.", { at, answer: ok ? "yes" : "no" });
	if (ok) log.info("a gate agreed", { experiment, at, where });
	else log.warn("a gate refused", { experiment, at, where, why, ...(cause === undefined ? {} : { cause }) });
}
