/** Of the account of one request (account.ts): what was decided about its access, and whether Envoy did so. */
import {
	type AccessRequest,
	compileAccess,
	judgesMethods,
	judgesRegions,
	judgesUsers,
} from "../../access/rules/policy.js";
import type { AccessTable } from "../../compiler/plan.js";
import type { Judgement } from "../decisions/judgement.js";
import { type AccessLogEntry, codeDetailsOf } from "./accessLogEntry.js";
import type { ReadableService } from "./planReader.js";
import { type RequestDetails, requestDetails } from "./requestDetails.js";
import { type SidecarAnswer, sidecarAnswer, sidecarJudged } from "./sidecarAnswer.js";

export interface AccessAccount {
	readonly by: "envoy" | "sidecar";
	/** Version of the plan by which it was judged; null = none was at hand. */
	readonly plan: string | null;
	/** none = nobody gave a verdict. */
	readonly verdict: "allow" | "deny" | "none";
	readonly reason: string;
	/** AccessPolicy that decided; null = none. */
	readonly policy: string | null;
	/** What Envoy did. */
	readonly denied: boolean;
	/** Whether the verdict is what Envoy did; null = it cannot be told. */
	readonly agrees: boolean | null;
}

/** How the request went, as far as it is known by its route. */
export interface Way {
	/** Version of the plan that the route is of. */
	readonly plan: string;
	/** Variant; null = it was sent to none. */
	readonly sentTo: string | null;
	/** Variant that the plan assigns. */
	readonly assigned: string;
}

/** @returns null where the plan is of an earlier Weir, which did not keep the rules in it */
export function accessAccount(
	entry: AccessLogEntry,
	service: ReadableService,
	judgement: Judgement,
	way: Way,
): AccessAccount | null {
	const answer = sidecarAnswer(entry);
	if (judgement.reason === "unanswered") return unanswered(answer, way);
	// Its client left before a verdict took effect, say.
	const cameToNone = judgement.kind === "unjudged" && way.sentTo === null;
	if (isBuiltIn(judgement) || cameToNone) return asEnvoyTells(judgement, way);
	const denied = judgement.kind === "denied";
	const bySidecar = denied ? judgement.by === "sidecar" : sidecarJudged(service.callout, answer);
	if (bySidecar) return sidecarsAccess(answer, entry, denied, way);
	if (service.access === null) return null;
	return envoysAccess(service.access, service.name, entry, judgement, way);
}

/** By a rule, or a bound, of Envoy's that no AccessPolicy has: neither policies nor the sidecar are asked, whoever decides otherwise. */
const isBuiltIn = ({ kind, by, reason, policy }: Judgement): boolean =>
	kind === "denied" && by === "envoy" && policy === null && reason !== "no-policy-allows";

/** It fails closed: without a verdict no Variant has seen the request. */
const unanswered = (answer: SidecarAnswer | null, { sentTo }: Way): AccessAccount => ({
	by: "sidecar",
	plan: answer?.plan ?? null,
	verdict: "none",
	reason: "unanswered",
	policy: null,
	denied: true,
	agrees: sentTo === null,
});

const VERDICTS = { allowed: "allow", denied: "deny", unjudged: "none" } as const;

function asEnvoyTells({ kind, reason, policy }: Judgement, { plan, sentTo }: Way): AccessAccount {
	const denied = kind === "denied";
	const agrees = denied ? sentTo === null : null;
	return { by: "envoy", plan, verdict: VERDICTS[kind], reason, policy, denied, agrees };
}

/** The verdict that the plan's rules give, beside what Envoy did. */
function envoysAccess(
	access: AccessTable,
	service: string,
	entry: AccessLogEntry,
	judgement: Judgement,
	way: Way,
): AccessAccount {
	const details = requestDetails(entry);
	if (!isTold(access, details)) return asEnvoyTells(judgement, way);
	const { plan, sentTo, assigned } = way;
	const request: AccessRequest = {
		principal: details.principal,
		method: details.method ?? "",
		path: details.path,
		variant: sentTo ?? assigned,
		token: null,
		region: null,
		nowMs: entry.startUs / 1e3,
	};
	const { allowed, reason, policy } = compileAccess(access, service)(request);
	const denied = judgement.kind === "denied";
	const agrees = agreement(!allowed, denied, sentTo);
	return { by: "envoy", plan, verdict: allowed ? "allow" : "deny", reason, policy, denied, agrees };
}

/** Whether the log tells all that the rules look at: it holds neither tokens nor places, and not every method. */
const isTold = (access: AccessTable, { method }: RequestDetails): boolean =>
	!judgesUsers(access) && !judgesRegions(access) && (method !== null || !judgesMethods(access));

/** A request that went nowhere for another reason (its client left) neither agrees with a denial nor disagrees. */
function agreement(deny: boolean, denied: boolean, sentTo: string | null): boolean | null {
	return deny && !denied && sentTo === null ? null : deny === denied;
}

function sidecarsAccess(
	answer: SidecarAnswer | null,
	entry: AccessLogEntry,
	denied: boolean,
	{ sentTo }: Way,
): AccessAccount {
	const common = { by: "sidecar", plan: answer?.plan ?? null, policy: answer?.policy ?? null, denied } as const;
	if (answer?.verdict === "allow" || answer?.verdict === "deny") {
		const { verdict, reason } = answer;
		return { ...common, verdict, reason: reason ?? "", agrees: agreement(verdict === "deny", denied, sentTo) };
	}
	return {
		...common,
		verdict: "none",
		reason: answer?.reason ?? (codeDetailsOf(entry) || "no answer"),
		agrees: sentTo === null,
	};
}
