/**
 * The gates before a promotion that a person asks for, and before its takeover's first step: asked in order before the act,
 * outside of any transaction; the act happens only on what they said yes to. Where approval is needed they are asked with the
 * last one, when it would happen. Asked once: who is told no, or gets no answer, may ask again, or override with a reason as
 * an admin.
 */
import { WeirError } from "../error.js";
import { namespaceOf } from "../resources/resource.js";
import { askedBefore, gateHost } from "../rollout/gate.js";
import type { Webhook } from "../rollout/ports.js";
import { type ActCall, record } from "./actRecord.js";
import type { Acts } from "./acts.js";
import { approvalRecords, fingerprint, isWish, type WaitingRequest } from "./approval.js";
import { isAsked } from "./gatesWeakened.js";
import { type PersonRequest, personOutcome } from "./personRequest.js";
import type { Store } from "./store.js";

export class PromotionGates {
	constructor(
		private readonly store: Store,
		private readonly acts: Acts,
		private readonly webhook: Webhook,
	) {}

	/**
	 * Before a person's act; nothing is asked for any other verb, nor where it has to wait for approval first.
	 * @throws WeirError `failed-precondition` where a gate says no, recorded; `conflict` where the Experiment moved
	 * meanwhile
	 */
	async beforeAct(call: ActCall, experiment: string, said: PersonRequest): Promise<void> {
		if (said.verb !== "promote" || said.overrideGates) return;
		if (this.acts.mustWait(call, experiment, said)) return;
		this.acts.rights.demandTurnLeft(call, "promote", [`Experiment ${experiment}`]);
		await this.#ask(call, experiment, said);
	}

	/** Before an approval that would be the last one; with the same errors, and the request goes on waiting. */
	async beforeApproval(
		call: ActCall,
		{ act, askedBy, approvals, needs, state, effects }: WaitingRequest,
	): Promise<void> {
		if (isWish(act) || act.verb !== "promote" || act.overrideGates || state !== "pending") return;
		if (approvals.length + 1 < needs) return;
		this.acts.rights.demandTurnLeft(call, "approve", effects, approvalRecords(effects));
		await this.#ask(call, act.experiment, { ...act, by: askedBy.subject, nowMs: call.nowMs });
	}

	async #ask(call: ActCall, name: string, said: PersonRequest): Promise<void> {
		const experiment = this.store.experiment(name);
		const { current } = this.store;
		const status = current.status.experiments[name];
		// Without any the act itself says what is wrong with it.
		if (!experiment.spec.rollout.gates.some(isAsked) || status === undefined) return;
		const outcome = this.acts.rights.reading(call, () => personOutcome(current, experiment, said));
		const stood = fingerprint([experiment.spec, status]);
		for (const { at, gate, question } of askedBefore({ experiment, status }, outcome)) {
			const answer = await this.webhook(gate, question);
			if (answer.ok) continue;
			const why = `gate ${at} (${gateHost(gate.url)}) did not let it happen: ${answer.why}`;
			const { revision } = this.store.current;
			this.store.atomically(() =>
				this.store.audit.append(
					record(call, {
						verb: "promote",
						namespaces: [namespaceOf(name)],
						objects: [`Experiment ${name}`],
						revision,
						result: "refused",
						why,
					}),
				),
			);
			throw new WeirError("failed-precondition", why, "ask again later, or as an admin: --override-gates --reason WHY");
		}
		const now = this.store.current;
		if (fingerprint([this.store.experiment(name).spec, now.status.experiments[name]]) !== stood) {
			throw new WeirError(
				"conflict",
				`Experiment ${name} moved while its gates were asked`,
				"look at it, and ask again",
			);
		}
	}
}
