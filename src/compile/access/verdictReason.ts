/**
 * Why the sidecar decides a Service's access: what Envoy's rules cannot express, or the declaration requires. The
 * compiler selects the execution by it; the checks refuse what it cannot enforce.
 */

import { type Callout, type Gateway, qualifiedName, type TokenIssuer } from "../../declare/resources/resource.js";
import type { AccessTable } from "../plan/compiledPlan.js";
import { isOpen, judgesUsers, judgesVariant, nativeObstacle } from "./rules/accessTable.js";
import type { Eligibility } from "./rules/eligibility.js";
import { tooManyListed } from "./rules/listedValues.js";

export interface VerdictInput {
	readonly access: AccessTable;
	readonly callout: Pick<Callout, "access" | "sign">;
	/** The issuers of all Gateways. */
	readonly issuers: readonly TokenIssuer[];
	/** Qualified name of a Gateway with trusted proxies; null = none has any. */
	readonly proxied: string | null;
	/** null = who may use each arm's Variant does not matter. */
	readonly eligibility: Eligibility | null;
	/** The sidecar chooses the Variant. */
	readonly sidecarAssigns: boolean;
}

/** Every Service is reachable through every Gateway, so one with trusted proxies is enough to need the sidecar. */
export function proxiedGateway(gateways: readonly Gateway[]): string | null {
	const found = gateways.find(({ spec }) => spec.trustedProxies.length > 0);
	return found === undefined ? null : qualifiedName(found.metadata);
}

/** null = Envoy decides, or no rules apply. */
export function verdictReason(input: VerdictInput): string | null {
	const { access, callout, eligibility, sidecarAssigns } = input;
	if (callout.sign) return "the Service wants each decision signed (callout.sign), and Envoy signs none";
	const beyond = beyondEnvoy(input);
	if (beyond !== null) return beyond;
	if (isOpen(access)) return null;
	if (callout.access === "sidecar") return "the Service asks for it (callout.access: sidecar)";
	if (eligibility !== null) {
		const { policy, experiment } = eligibility;
		return `AccessPolicy ${policy} judges the Variants of Experiment ${experiment} apart, and only who may use all takes part`;
	}
	const judging = sidecarAssigns ? enforced(access).find(judgesVariant) : undefined;
	return judging === undefined ? null : `AccessPolicy ${judging.name} judges Variants, and the sidecar chooses them`;
}

/** Why Envoy's own rules cannot express the enforced policies, or not fast enough; null = they can. */
export function beyondEnvoy({
	access,
	issuers,
	proxied,
}: Pick<VerdictInput, "access" | "issuers" | "proxied">): string | null {
	if (proxied !== null && !isOpen(access)) return behindProxies(proxied);
	for (const policy of enforced(access)) {
		const obstacle = nativeObstacle(policy);
		if (obstacle !== null) return `AccessPolicy ${policy.name} has ${obstacle}`;
	}
	// Without a trusted issuer there is no user, so conditions on users never run.
	if (!judgesUsers(access) || issuers.length === 0) return null;
	return usersUnverifiable(issuers) ?? tooManyListed(enforced(access));
}

/** Why Envoy cannot identify callers: one Gateway has trusted proxies. */
export const behindProxies = (gateway: string): string =>
	`Gateway ${gateway} has trusted proxies, and Envoy's rules see the proxy, not the client that it names`;

/** Why Envoy cannot verify users; null = it can. */
export function usersUnverifiable(issuers: readonly TokenIssuer[]): string | null {
	const bound = issuers.find(({ binding }) => binding !== "none");
	return bound === undefined
		? null
		: `tokens of ${bound.issuer} must come with a proof of possession (${bound.binding}), and Envoy checks none`;
}

/** Shadow policies do not change who decides. */
const enforced = ({ policies }: AccessTable) => policies.filter(({ shadow }) => !shadow);
