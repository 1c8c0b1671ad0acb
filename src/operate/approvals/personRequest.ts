/** A person's request to change an Experiment, and its outcome. */

import { accessLosses } from "../../decide/rollout/accessLosses.js";
import type { Outcome } from "../../decide/rollout/decision.js";
import { gateRequests } from "../../decide/rollout/gate.js";
import { otherPromotions } from "../../decide/rollout/otherPromotion.js";
import { commandOutcome } from "../../decide/rollout/person.js";
import type { State } from "../../decide/rollout/ports.js";
import { type Experiment, qualifiedName } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";

export const PERSON_VERBS = ["pause", "resume", "promote", "abort"] as const;
export type PersonVerb = (typeof PERSON_VERBS)[number];

export interface PersonRequest {
	readonly verb: PersonVerb;
	/** Subject; recorded with the decision. */
	readonly by: string;
	/** The person's reason; empty = none given. */
	readonly reason: string;
	/** The arm to promote; null = the only challenger. Only for promote. */
	readonly arm: string | null;
	readonly nowMs: number;
	/** Promote without calling the gates: for admins, with a reason. */
	readonly overrideGates?: boolean;
	/** Promote although callers lose access (rollout/accessLosses.ts), with a reason. */
	readonly shutOut?: boolean;
	/** Approvers, if an ApprovalPolicy requires them. */
	readonly approvedBy?: readonly string[];
}

/** The caller is the one that the listener has authenticated. */
export const BY_HINT = "leave it out: who calls is recorded, by certificate, token or socket";

/**
 * The outcome of the request, with the person's reason appended.
 * @throws WeirError `failed-precondition` if the phase or the access rules do not allow it, `not-found` for an unknown arm.
 */
export function personOutcome(
	state: Pick<State, "resources" | "status">,
	experiment: Experiment,
	request: PersonRequest,
): Outcome {
	const { verb, by, arm, nowMs, reason, shutOut = false } = request;
	const name = qualifiedName(experiment.metadata);
	const status = state.status.experiments[name];
	if (status === undefined) throw new WeirError("internal", `Experiment '${name}' has no status`);
	const act = verb === "promote" ? { verb, arm, shutOut } : { verb };
	const others = otherPromotions(state, experiment, status);
	const outcome = commandOutcome(
		{ experiment, status, by, nowMs, accessLosses: accessLosses(state, experiment), ...others },
		act,
	);
	const approved = (request.approvedBy ?? []).join(", ");
	const gates = request.overrideGates && gateRequests({ experiment, status }, outcome).length > 0;
	const unasked = gates ? ` Its gates were not asked: overridden by ${by}.` : "";
	const notes =
		unasked + (approved === "" ? "" : ` Approved by ${approved}.`) + (reason === "" ? "" : ` Reason: ${reason}`);
	return { ...outcome, reason: `${outcome.reason}${notes}` };
}
