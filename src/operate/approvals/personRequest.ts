/** A person's request to change an Experiment, and its outcome. */

import { accessLosses } from "../../decide/rollout/accessLosses.js";
import type { Outcome } from "../../decide/rollout/decision.js";
import { gateRequests } from "../../decide/rollout/gate.js";
import { otherPromotions } from "../../decide/rollout/otherPromotion.js";
import { commandOutcome } from "../../decide/rollout/person.js";
import type { State } from "../../decide/rollout/ports.js";
import { type Experiment, qualifiedName } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { PERSON_TEXT_CHARS_MAX } from "../../limits/index.js";

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

export function isPersonVerb(text: string): text is PersonVerb {
	return (PERSON_VERBS as readonly string[]).includes(text);
}

/** Reads the body of a verb. @throws WeirError `invalid-argument`, also for an unknown field. */
export function parsePersonRequest(
	verb: PersonVerb,
	body: Readonly<Record<string, unknown>>,
	by: string,
	nowMs: number,
): PersonRequest {
	const known = verb === "promote" ? ["reason", "arm", "overrideGates", "shutOut"] : ["reason"];
	for (const field of Object.keys(body)) {
		if (field === "by") throw new WeirError("invalid-argument", "'by' is not believed", BY_HINT);
		if (!known.includes(field)) {
			throw new WeirError("invalid-argument", `unknown field '${field}'`, `${verb} takes ${known.join(", ")}`);
		}
	}
	const arm = body.arm === undefined || body.arm === null ? null : personText("arm", body.arm);
	const reason = body.reason === undefined ? "" : personText("reason", body.reason);
	const { overrideGates = false, shutOut = false } = body;
	if (typeof overrideGates !== "boolean")
		throw new WeirError("invalid-argument", "overrideGates must be true or false");
	if (overrideGates && reason === "") {
		throw new WeirError("invalid-argument", "gates are overridden with a reason only", "say it with --reason");
	}
	if (typeof shutOut !== "boolean") throw new WeirError("invalid-argument", "shutOut must be true or false");
	if (shutOut && reason === "") {
		throw new WeirError("invalid-argument", "shutOut needs a reason", "add --reason");
	}
	return { verb, by, reason, arm, nowMs, ...(overrideGates ? { overrideGates } : {}), ...(shutOut ? { shutOut } : {}) };
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
		unasked + (approved === "" ? "" : ` Approved by ${approved}.`) + (reason === "" ? "" : ` Said: ${reason}`);
	return { ...outcome, reason: `${outcome.reason}${notes}` };
}

/** One line of text by a person. @throws WeirError `invalid-argument`. */
export function personText(field: string, value: unknown): string {
	// Control characters could forge lines of a log or a terminal.
	if (typeof value !== "string" || value.length > PERSON_TEXT_CHARS_MAX || /\p{Cc}/u.test(value)) {
		throw new WeirError(
			"invalid-argument",
			`${field} must be a text of one line, at most ${PERSON_TEXT_CHARS_MAX} characters`,
		);
	}
	return value.trim();
}
