/**
 * Shadow policies that Envoy cannot try. A dry run must change nothing of what is served, so they bring no callout:
 * natively they are left out, and the Plan says so.
 */
import { judgesUser, judgesVariant, nativeObstacle } from "../access/table.js";
import type { TokenIssuer } from "../resources/resource.js";
import type { AccessTable, PolicyTable } from "./plan.js";

export interface EnvoysReach {
	/** Whose tokens are believed there. */
	readonly issuers: readonly TokenIssuer[];
	/** The sidecar chooses the Variant, which it does after Envoy's rules. */
	readonly sidecarAssigns: boolean;
}

/** Each such policy, with the reason. */
export function untriedShadows(
	{ policies }: AccessTable,
	reach: EnvoysReach,
): readonly { readonly policy: PolicyTable; readonly why: string }[] {
	return policies.flatMap((policy) => {
		const why = policy.shadow ? obstacle(policy, reach) : null;
		return why === null ? [] : [{ policy, why }];
	});
}

/** The rules without them. */
export function triedByEnvoy(access: AccessTable, reach: EnvoysReach): AccessTable {
	const untried = untriedShadows(access, reach).map(({ policy }) => policy);
	if (untried.length === 0) return access;
	return { ...access, policies: access.policies.filter((policy) => !untried.includes(policy)) };
}

function obstacle(policy: PolicyTable, { issuers, sidecarAssigns }: EnvoysReach): string | null {
	const native = nativeObstacle(policy);
	if (native !== null) return `it has ${native}`;
	const bound = issuers.find(({ binding }) => binding !== "none");
	if (bound !== undefined && judgesUser(policy)) {
		return `tokens of ${bound.issuer} must come with a proof of possession (${bound.binding}), and Envoy checks none`;
	}
	return sidecarAssigns && judgesVariant(policy) ? "it judges Variants, and the sidecar chooses them" : null;
}
