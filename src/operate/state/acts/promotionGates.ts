/**
 * The gates before a promotion that a person asks for, and before its takeover's first step: asked in order before the act,
 * outside of any transaction; the act happens only on what they said yes to. Where approval is needed they are asked with the
 * last one, when it would happen, and not for what cannot happen any more. Asked once: who is told no, or gets no answer, may
 * ask again, or override with a reason as an admin. Who has gone meanwhile gets nothing done, for it would be told to nobody.
 */

import { type GateRequest, gateHost, gateRequests } from "../../../decide/rollout/gate.js";
import type { Webhook } from "../../../decide/rollout/ports.js";
import { namespaceOf } from "../../../declare/resources/resource.js";
import { WeirError } from "../../../error.js";
import { type PersonRequest, personOutcome } from "../../approvals/personRequest.js";
import { isChange, type WaitingRequest } from "../../approvals/request.js";
import { fingerprint } from "../../approvals/required.js";
import { type ActCall, record } from "../../audit/actRecord.js";
import type { Store } from "../store/store.js";
import type { Operations } from "./operations.js";

/** Who asks, and whether nobody is there any more to be answered. */
export interface Asker {
	readonly call: ActCall;
	readonly isGone: () => boolean;
}

/** Gives back what is found; what it throws says that the act cannot happen. */
type WhilePossible = <Found>(find: () => Found) => Found;

export class PromotionGates {
	constructor(
		private readonly store: Store,
		private readonly operations: Operations,
		private readonly webhook: Webhook,
		private readonly now: () => number,
	) {}

	/**
	 * Before a person's act; null: nothing is asked, as for any other verb, or where it has to wait for approval first. Then it
	 * must follow at once: what was judged here may be otherwise after any wait.
	 * @throws WeirError `failed-precondition` where a gate says no, or who asks has gone, recorded; `conflict` where the
	 * Experiment moved meanwhile
	 */
	beforeAct(asker: Asker, experiment: string, said: PersonRequest): Promise<void> | null {
		if (said.verb !== "promote" || said.overrideGates) return null;
		if (this.operations.mustWait(asker.call, experiment, said)) return null;
		return this.#asking(asker, experiment, said);
	}

	/**
	 * Before an approval that completes the request; with the same errors, and the request goes on waiting.
	 * @param whilePossible Approvals' own: what cannot happen any more is void, and no gate is asked
	 */
	beforeApproval(
		asker: Asker,
		{ operation, askedBy, state }: WaitingRequest,
		whilePossible: WhilePossible,
	): Promise<void> | null {
		if (isChange(operation) || operation.verb !== "promote" || operation.overrideGates || state !== "pending")
			return null;
		const said = { ...operation, by: askedBy.subject, nowMs: asker.call.nowMs };
		return this.#asking(asker, operation.experiment, said, whilePossible);
	}

	#asking(
		asker: Asker,
		name: string,
		said: PersonRequest,
		whilePossible: WhilePossible = (find) => find(),
	): Promise<void> | null {
		const asked = whilePossible(() => {
			const experiment = this.store.experiment(name);
			const { current } = this.store;
			const status = current.status.experiments[name];
			// Without any the act itself says what is wrong with it.
			if (!experiment.spec.rollout.gates.some(({ at }) => at !== "after-rollback") || status === undefined) return null;
			return gateRequests({ experiment, status }, personOutcome(current, experiment, said));
		});
		return asked && this.#ask(asker, name, asked);
	}

	async #ask(asker: Asker, name: string, asked: readonly GateRequest[]): Promise<void> {
		const stood = this.#standing(name);
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
		if (this.#standing(name) !== stood) {
			throw new WeirError(
				"conflict",
				`Experiment ${name} moved while its gates were asked`,
				"look at it, and ask again",
			);
		}
	}

	#standing(name: string): string {
		return fingerprint([this.store.experiment(name).spec, this.store.current.status.experiments[name]]);
	}

	/** Recorded, as of now: the call may be older by minutes. */
	#refused({ call }: Asker, name: string, why: string, hint: string): WeirError {
		const { revision } = this.store.current;
		const what = { verb: "promote", namespaces: [namespaceOf(name)], objects: [`Experiment ${name}`] };
		const made = record({ ...call, nowMs: this.now() }, { ...what, revision, result: "refused", why });
		this.store.atomically(() => this.store.audit.append(made));
		return new WeirError("failed-precondition", why, hint);
	}
}
