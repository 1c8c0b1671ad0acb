/**
 * What the sidecar answered about a request: dynamic metadata of its access-log entry. Periodic and end entries carry it, also
 * of denied requests; a start entry never does.
 */
import type { CalloutTable } from "../../../compile/table/plan.js";

/** As the sidecar says it; null where it says nothing. Its word alone: who counts by it checks it against the plan. */
export interface SidecarAnswer {
	/** Version of the table by which it answered. */
	readonly plan: string;
	readonly service: string | null;
	readonly experiment: string | null;
	readonly arm: string | null;
	readonly variant: string | null;
	/** Raw, and so never to be shown. */
	readonly unit: string | null;
	readonly verdict: string | null;
	readonly reason: string | null;
	readonly policy: string | null;
	/** What at the sidecar makes honest callers be refused (sidecar/question.ts, NO_ISSUER_KEYS). */
	readonly fault: string | null;
	/** Client that was judged on the word of the trusted proxy `via`; null = that named none, or there was no such proxy. */
	readonly principal: string | null;
	readonly via: string | null;
	/** Verdict that shadow policies would give where it differs (`allow`, `deny`), why, and the policy that would give it. */
	readonly shadow: string | null;
	readonly shadowReason: string | null;
	readonly shadowPolicy: string | null;
}

/** @param said text fields of the metadata. @returns null where they are no answer */
export function answerOf(said: ReadonlyMap<string, string>): SidecarAnswer | null {
	// An absent field and an empty text both say nothing.
	const word = (name: string): string | null => said.get(name) || null;
	const plan = word("plan");
	if (plan === null) return null;
	return {
		plan,
		service: word("service"),
		experiment: word("experiment"),
		arm: word("arm"),
		variant: word("variant"),
		unit: word("unit"),
		verdict: word("verdict"),
		reason: word("reason"),
		policy: word("policy"),
		fault: word("fault"),
		principal: word("principal"),
		via: word("via"),
		shadow: word("shadow"),
		shadowReason: word("shadowReason"),
		shadowPolicy: word("shadowPolicy"),
	};
}

/**
 * Whether the sidecar has judged a request that it did not refuse: it was to, or it knew newer rules than the route's, by which a
 * policy allowed. Else its `allow` says that Envoy had judged before it asked (sidecar/verdict.ts, BY_ENVOY), or that nobody needs to.
 */
export const sidecarJudged = (callout: CalloutTable | null, answer: SidecarAnswer | null): boolean =>
	callout?.verdict === true || (answer !== null && (answer.verdict === "deny" || answer.policy !== null));

/** Who called, and the trusted proxy that spoke for them; null = none did. */
export interface CalledBy {
	readonly principal: string | null;
	readonly via: string | null;
}

/** @param peer SPIFFE id that the connection has proved to Envoy: the sidecar may only speak of that very proxy. */
export function calledBy(peer: string | null, answer: SidecarAnswer | null): CalledBy {
	if (answer === null || answer.via === null || answer.via !== peer) return { principal: peer, via: null };
	return { principal: answer.principal, via: answer.via };
}
