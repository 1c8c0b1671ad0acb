/**
 * The gates before a person's promotion and before its takeover's first step, called in order and outside of any transaction.
 * The promotion happens only if all allow it. With an ApprovalPolicy they are called at the last approval. Each gate is called
 * once: the person can try again, or override with a reason as an admin. If the client disconnects, nothing is done.
 */

import { type GateRequest, gateHost, gateRequests } from "../../decide/rollout/gate.js";
import type { Webhook } from "../../decide/rollout/ports.js";
import { namespaceOf } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { type PersonRequest, personOutcome } from "../approvals/personRequest.js";
import { isChange, type WaitingRequest } from "../approvals/request.js";
import { fingerprint } from "../approvals/required.js";
import { type AuditedCall, record } from "../audit/actRecord.js";
import type { Store } from "../state/store/store.js";
import type { Operations } from "./operations.js";

/** The call, and whether its client has disconnected. */
export interface Asker {
	readonly call: AuditedCall;
	readonly isGone: () => boolean;
}

/** Returns the result of `find`; throws if the operation is impossible. */
type WhilePossible = <Found>(find: () => Found) => Found;

export class PromotionGates {
	constructor(
		private readonly store: Store,
		private readonly operations: Operations,
		private readonly webhook: Webhook,
		private readonly now: () => number,
	) {}

	/**
	 * Calls the gates of a promotion; null = no gates: another verb, or approval is needed first. The caller must then act at
	 * once, because the state may change during any wait.
	 * @throws WeirError `failed-precondition`, recorded, if a gate refuses or the client has disconnected; `conflict` if the
	 * Experiment changed meanwhile
	 */
	beforeAct(asker: Asker, experiment: string, promotion: PersonRequest): Promise<void> | null {
		if (promotion.verb !== "promote" || promotion.overrideGates) return null;
		if (this.operations.mustWait(asker.call, experiment, promotion)) return null;
		return this.#asking(asker, experiment, promotion);
	}

	/**
	 * The same before the last approval of a request, which stays pending on an error.
	 * @param whilePossible of Approvals: makes an impossible request void, so that no gate is called
	 */
	beforeApproval(
		asker: Asker,
		{ operation, askedBy, state }: WaitingRequest,
		whilePossible: WhilePossible,
	): Promise<void> | null {
		if (isChange(operation) || operation.verb !== "promote" || operation.overrideGates || state !== "pending")
			return null;
		const promotion = { ...operation, by: askedBy.subject, nowMs: asker.call.nowMs };
		return this.#asking(asker, operation.experiment, promotion, whilePossible);
	}

	#asking(
		asker: Asker,
		name: string,
		promotion: PersonRequest,
		whilePossible: WhilePossible = (find) => find(),
	): Promise<void> | null {
		const asked = whilePossible(() => {
			const experiment = this.store.experiment(name);
			const { current } = this.store;
			const status = current.status.experiments[name];
			// Without gates the operation itself reports its errors.
			if (!experiment.spec.rollout.gates.some(({ at }) => at !== "after-rollback") || status === undefined) return null;
			return gateRequests({ experiment, status }, personOutcome(current, experiment, promotion));
		});
		return asked && this.#ask(asker, name, asked);
	}

	async #ask(asker: Asker, name: string, asked: readonly GateRequest[]): Promise<void> {
		const before = this.#snapshot(name);
		for (const { at, gate, question } of asked) {
			const answer = await this.webhook(gate, question);
			if (!answer.ok) {
				const why = `gate ${at} (${gateHost(gate.url)}) did not let it happen: ${answer.why}`;
				const hint = "ask again later, or as an admin: --override-gates --reason WHY";
				throw this.#refused(asker, name, why, hint);
			}
			if (asker.isGone())
				throw this.#refused(asker, name, "who asked had gone before its gates had answered", "ask again");
		}
		if (this.#snapshot(name) !== before) {
			throw new WeirError(
				"conflict",
				`Experiment ${name} moved while its gates were asked`,
				"look at it, and ask again",
			);
		}
	}

	#snapshot(name: string): string {
		return fingerprint([this.store.experiment(name).spec, this.store.current.status.experiments[name]]);
	}

	/** Recorded with the current time: the call may be minutes old. */
	#refused({ call }: Asker, name: string, why: string, hint: string): WeirError {
		const { revision } = this.store.current;
		const what = { verb: "promote", namespaces: [namespaceOf(name)], objects: [`Experiment ${name}`] };
		const made = record({ ...call, nowMs: this.now() }, { ...what, revision, result: "refused", why });
		this.store.atomically(() => this.store.audit.append(made));
		return new WeirError("failed-precondition", why, hint);
	}
}
