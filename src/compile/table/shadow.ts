/**
 * Shadow policies as Envoy tries them. A dry run must change nothing of what is served, so those that Envoy cannot try
 * bring no callout: natively they are left out, with all results that they could turn, and the Plan says so.
 */

import type { TokenIssuer } from "../../declare/resources/resource.js";
import { LISTED_VALUES_MAX } from "../../limits/index.js";
import { listedValues, namesListed, tooManyListed } from "../access/rules/listedValues.js";
import { isOpen, judgesPath, judgesUser, judgesVariant, nativeObstacle } from "../access/rules/table.js";
import { behindProxies, unproved } from "../access/verdictReason.js";
import type { AccessTable, PolicyTable } from "./plan.js";

export interface EnvoysReach {
	/** Whose tokens are believed, at any Gateway. */
	readonly issuers: readonly TokenIssuer[];
	/** Qualified name of a Gateway with trusted proxies; null = none has any. */
	readonly proxied: string | null;
	/** The sidecar chooses the Variant, which it does after Envoy's rules. */
	readonly sidecarAssigns: boolean;
}

/** Which results of the allows hold, whatever the untried policies would say; what a forbid that is tried denies always does. */
export interface Told {
	/** That no policy would allow. */
	readonly denied: boolean;
	/** That all of them together would allow. */
	readonly allowed: boolean;
}

export interface DryRun {
	/** The rules without untried ones. */
	readonly rules: AccessTable;
	readonly untried: readonly UntriedPolicy[];
	readonly told: Told;
}

/** A shadow policy that Envoy cannot try. */
export interface UntriedPolicy {
	/** Qualified name. */
	readonly name: string;
	readonly why: string;
}

/** What is not told of a Service's shadow policies, since Envoy cannot try them all. */
export interface ShadowGap {
	/** Qualified name. */
	readonly service: string;
	readonly untried: readonly UntriedPolicy[];
	/** Those that are tried beside them, by qualified names. */
	readonly tried: readonly string[];
	/** Results of the tried ones that the untried could turn, and so are not told either. */
	readonly hidden: readonly string[];
	/** Of an open Service no verdict is asked of the sidecar, whatever callout says. */
	readonly open: boolean;
}

export function dryRunOf(access: AccessTable, reach: EnvoysReach): DryRun {
	// The enforced ones are within the bound, or the sidecar decides.
	const dear = reach.issuers.length === 0 ? null : tooManyListed(access.policies);
	// By denials they may be twice as many; any dry run would have them all asked again.
	const full = listedValues(access.policies.filter(({ shadow }) => !shadow)) > LISTED_VALUES_MAX;
	const reasons = new Map(
		access.policies.flatMap((policy): readonly (readonly [PolicyTable, string])[] => {
			const why = policy.shadow ? (obstacle(policy, reach) ?? (full || namesListed(policy) ? dear : null)) : null;
			return why === null ? [] : [[policy, why]];
		}),
	);
	const untried = [...reasons.keys()];
	return {
		rules: { ...access, policies: access.policies.filter((policy) => !reasons.has(policy)) },
		untried: [...reasons].map(([{ name }, why]) => ({ name, why })),
		told: {
			denied: untried.every(({ action }) => action === "deny"),
			allowed: !untried.some(mayRefuse),
		},
	};
}

/** @returns null where all are tried, or there is none */
export function shadowGapOf(service: string, { rules, untried, told }: DryRun): ShadowGap | null {
	if (untried.length === 0) return null;
	const tried = rules.policies.filter(({ shadow }) => shadow).map(({ name }) => name);
	const open = isOpen(rules);
	const hidden =
		tried.length === 0
			? []
			: [
					...(told.denied ? [] : ["requests that no policy would allow"]),
					...(told.allowed || open ? [] : ["requests that would be allowed"]),
				];
	return { service, untried, tried, hidden, open };
}

/** In a sentence, with what to do about it. */
export function gapWords({ service, untried, tried, hidden, open }: ShadowGap): string {
	const hides = hidden.length === 0 ? "" : `; so of ${tried.join(", ")} this is not told either: ${hidden.join(", ")}`;
	const cure = open
		? "the sidecar, which could, judges no open Service"
		: "declare callout: {access: sidecar} on the Service, and all are tried";
	return `Service ${service}: Envoy cannot try ${untried.map(untriedText).join(", ")}${hides}; ${cure}`;
}

export const untriedText = ({ name, why }: UntriedPolicy): string => `${name} (${why})`;

/** An allow too, where it makes tokens that do not hold, or ambiguous paths, be refused. */
const mayRefuse = (policy: PolicyTable): boolean =>
	policy.action === "deny" || judgesUser(policy) || judgesPath(policy);

function obstacle(policy: PolicyTable, { issuers, proxied, sidecarAssigns }: EnvoysReach): string | null {
	if (proxied !== null) return behindProxies(proxied);
	const native = nativeObstacle(policy);
	if (native !== null) return `it has ${native}`;
	const why = judgesUser(policy) ? unproved(issuers) : null;
	if (why !== null) return why;
	return sidecarAssigns && judgesVariant(policy) ? "it judges Variants, and the sidecar chooses them" : null;
}
