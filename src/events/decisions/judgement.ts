/** What became of a request at the rules, in README's words: for the decision log, and for who asks about the one request. */
import { parseRouteName } from "../../compiler/plan.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { type Ending, endingOf } from "../accessLog/ending.js";
import { sidecarAnswer } from "../accessLog/sidecarAnswer.js";
import { type Denial, denialOf } from "./denial.js";

export interface Judgement extends Ending {
	/** AccessPolicy that decided; null = none, or not told: Envoy does not log by which one it let a request through. */
	readonly policy: string | null;
	readonly by: "envoy" | "sidecar";
}

/** Texts are as they came. */
export function judgementOf(entry: AccessLogEntry): Judgement {
	const denial = denialOf(entry);
	return denial === null ? judgedOtherwise(entry) : denied(entry, denial);
}

function denied(entry: AccessLogEntry, { by, reason, policy }: Denial): Judgement {
	const answer = by === "sidecar" ? sidecarAnswer(entry) : null;
	// A host that is no Service's: the route is none of Weir's.
	const unknown = reason === "no-policy-allows" && parseRouteName(entry.routeName) === null;
	return {
		kind: "denied",
		reason: unknown ? "unknown-service" : (answer?.reason ?? reason ?? "forbidden"),
		policy: answer?.policy ?? policy,
		by,
	};
}

/** No access rule refused it. */
function judgedOtherwise(entry: AccessLogEntry): Judgement {
	const { kind, reason } = endingOf(entry);
	const answer = kind === "allowed" ? sidecarAnswer(entry) : null;
	return answer?.verdict === "allow"
		? { kind, reason: answer.reason ?? reason, policy: answer.policy, by: "sidecar" }
		: { kind, reason, policy: null, by: "envoy" };
}
