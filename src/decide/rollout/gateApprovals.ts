/**
 * Asks gates in the background, so that the loop can still detect harm and roll back. An approval is valid for the same
 * question and for GATE_APPROVAL_MS. After a rejection or no answer, the gate is asked again with growing pauses. State is
 * in memory: after a restart the gate is asked again with the same idempotency id.
 */

import type { Gate } from "../../declare/resources/resource.js";
import { GATE_RETRY_MS } from "../../limits/index.js";
import type { DecisionInput, GateAnswer, Outcome } from "./decision.js";
import { type GateRequest, gateHost, gateRequests } from "./gate.js";
import type { Clock, Webhook, WebhookAnswer } from "./ports.js";

/**
 * How long a gate's approval is valid; the rollout may have changed since. The next tick, a second later, first
 * evaluates Experiments whose gates have approved.
 */
const GATE_APPROVAL_MS = 30_000;

/** What a gate answered, for logs and metrics. */
export interface GateReport {
	readonly experiment: string;
	readonly at: Gate["at"];
	readonly where: string;
	readonly ok: boolean;
	/** Empty if approved. */
	readonly why: string;
	/** As in WebhookAnswer. */
	readonly cause?: string;
}

interface Asked {
	/** The question's id. Another question starts a new entry. */
	readonly id: string;
	asking: boolean;
	yesAtMs: number | null;
	no: GateAnswer | null;
	failures: number;
	againAtMs: number;
}

export class GateApprovals {
	/** By Experiment. */
	readonly #asked = new Map<string, Asked>();

	constructor(
		private readonly webhook: Webhook,
		private readonly clock: Clock,
		private readonly report: (answer: GateReport) => void,
	) {}

	/** Whether the decision may be applied now; asks the gates if due. A GateAnswer is a rejection. */
	pass(experiment: string, input: DecisionInput, outcome: Outcome): "yes" | "asking" | GateAnswer {
		const questions = gateRequests(input, outcome);
		if (questions.length === 0) {
			this.#asked.delete(experiment);
			return "yes";
		}
		const id = questions.map(({ gate, question }) => `${question.id} ${gate.url}`).join("\n");
		let asked = this.#asked.get(experiment);
		if (asked?.id !== id) {
			asked = { id, asking: false, yesAtMs: null, no: null, failures: 0, againAtMs: 0 };
			this.#asked.set(experiment, asked);
		}
		if (this.#holds(asked)) return "yes";
		if (!asked.asking && this.clock.nowMs() >= asked.againAtMs) void this.#ask(experiment, asked, questions);
		return asked.no ?? "asking";
	}

	#holds({ yesAtMs }: Asked): boolean {
		return yesAtMs !== null && this.clock.nowMs() - yesAtMs <= GATE_APPROVAL_MS;
	}

	/** Asks the gates in order, until the first rejection. */
	async #ask(experiment: string, asked: Asked, questions: readonly GateRequest[]): Promise<void> {
		asked.asking = true;
		asked.yesAtMs = null;
		let no: GateAnswer | null = null;
		for (const { at, gate, question } of questions) {
			const answer = await this.webhook(gate, question);
			const where = gateHost(gate.url);
			this.report({ experiment, at, where, ...reported(answer) });
			if (answer.ok) continue;
			no = { at, where, why: answer.why, ...(answer.status === undefined ? {} : { status: answer.status }) };
			break;
		}
		asked.asking = false;
		asked.no = no;
		if (no === null) {
			asked.yesAtMs = this.clock.nowMs();
			return;
		}
		asked.againAtMs = this.clock.nowMs() + retryPause(asked.failures);
		asked.failures += 1;
	}
}

/** The answer's part of a GateReport. */
export function reported(answer: WebhookAnswer): Pick<GateReport, "ok" | "why" | "cause"> {
	if (answer.ok) return { ok: true, why: "" };
	const { why, cause } = answer;
	return { ok: false, why, ...(cause === undefined ? {} : { cause }) };
}

/** Doubles from the minimum to the maximum. */
export function retryPause(failures: number): number {
	return Math.min(GATE_RETRY_MS.max, GATE_RETRY_MS.first * 2 ** Math.min(failures, 30));
}
