/**
 * The sidecar's answer about a request: dynamic metadata of its access-log entry. Periodic and end entries carry it, also
 * for denied requests; a start entry never does.
 */
import type { CalloutTable } from "../../../../compile/plan/compiledPlan.js";

/** Unverified: check it against the plan before counting by it. null = not set. */
export interface SidecarAnswer {
	/** Version of the table that it used. */
	readonly plan: string;
	readonly service: string | null;
	readonly experiment: string | null;
	readonly arm: string | null;
	readonly variant: string | null;
	/** Raw, so it must never be shown. */
	readonly unit: string | null;
	readonly verdict: string | null;
	readonly reason: string | null;
	readonly policy: string | null;
	/** A fault at the sidecar that causes refusals of honest callers (sidecar/question.ts, NO_ISSUER_KEYS). */
	readonly fault: string | null;
	/** Client named by the trusted proxy `via` and judged in its place; null = none named, or no trusted proxy. */
	readonly principal: string | null;
	readonly via: string | null;
	/** Verdict of shadow policies if it differs (`allow`, `deny`), its reason, and the deciding policy. */
	readonly shadow: string | null;
	readonly shadowReason: string | null;
	readonly shadowPolicy: string | null;
}

/** @param fields text fields of the metadata. @returns null if they are not an answer */
export function answerOf(fields: ReadonlyMap<string, string>): SidecarAnswer | null {
	// An absent field and an empty text mean the same.
	const text = (name: string): string | null => fields.get(name) || null;
	const plan = text("plan");
	if (plan === null) return null;
	return {
		plan,
		service: text("service"),
		experiment: text("experiment"),
		arm: text("arm"),
		variant: text("variant"),
		unit: text("unit"),
		verdict: text("verdict"),
		reason: text("reason"),
		policy: text("policy"),
		fault: text("fault"),
		principal: text("principal"),
		via: text("via"),
		shadow: text("shadow"),
		shadowReason: text("shadowReason"),
		shadowPolicy: text("shadowPolicy"),
	};
}

/**
 * Whether the sidecar judged a request that it did not refuse: the route requires it, or a policy allowed by newer rules.
 * Otherwise its `allow` means that Envoy had judged before (sidecar/verdict.ts, BY_ENVOY), or that no rules apply.
 */
export const sidecarJudged = (callout: CalloutTable | null, answer: SidecarAnswer | null): boolean =>
	callout?.verdict === true || (answer !== null && (answer.verdict === "deny" || answer.policy !== null));

/** The caller, and the trusted proxy that called on its behalf; null = none. */
export interface CalledBy {
	readonly principal: string | null;
	readonly via: string | null;
}

/** @param peer SPIFFE id proved to Envoy by the connection: the sidecar may only name this proxy */
export function calledBy(peer: string | null, answer: SidecarAnswer | null): CalledBy {
	if (answer === null || answer.via === null || answer.via !== peer) return { principal: peer, via: null };
	return { principal: answer.principal, via: answer.via };
}
