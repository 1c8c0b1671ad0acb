/**
 * Shadow policies that Envoy can evaluate. A dry run must not change how requests are served, so the other ones do not cause
 * a callout: natively they are left out, with all results that they could change, and the Plan reports it.
 */

import type { TokenIssuer } from "../../declare/resources/resource.js";
import { LISTED_VALUES_MAX } from "../../limits/index.js";
import type { AccessTable, PolicyTable } from "../plan/compiledPlan.js";
import { isOpen, judgesPath, judgesUser, judgesVariant, nativeObstacle } from "./rules/accessTable.js";
import { listedValues, namesListed, tooManyListed } from "./rules/listedValues.js";
import { behindProxies, usersUnverifiable } from "./verdictReason.js";

export interface NativeScope {
	/** Issuers of all Gateways. */
	readonly issuers: readonly TokenIssuer[];
	/** Qualified name of a Gateway with trusted proxies; null = none has any. */
	readonly proxied: string | null;
	/** The sidecar chooses the Variant, after Envoy's rules. */
	readonly sidecarAssigns: boolean;
}

/** Which results of the allows are valid, whatever the untried policies would decide. Denials of a tried policy always are. */
export interface ReportedResults {
	/** No policy would allow. */
	readonly denied: boolean;
	/** All of them together would allow. */
	readonly allowed: boolean;
}

export interface DryRun {
	/** The rules without the untried policies. */
	readonly rules: AccessTable;
	readonly untried: readonly UntriedPolicy[];
	readonly reported: ReportedResults;
}

/** A shadow policy that Envoy cannot evaluate. */
export interface UntriedPolicy {
	/** Qualified name. */
	readonly name: string;
	readonly why: string;
}

/** Unreported results of a Service's shadow policies, if Envoy cannot evaluate all of them. */
export interface ShadowGap {
	/** Qualified name. */
	readonly service: string;
	readonly untried: readonly UntriedPolicy[];
	/** Policies that are tried beside them, by qualified name. */
	readonly tried: readonly string[];
	/** Results of the tried policies that the untried ones could change, so they are not reported either. */
	readonly hidden: readonly string[];
	/** The sidecar gives no verdicts on an open Service, whatever callout declares. */
	readonly open: boolean;
}

export function dryRunOf(access: AccessTable, scope: NativeScope): DryRun {
	// Enforced policies are within the limit, or the sidecar decides.
	const tooMany = scope.issuers.length === 0 ? null : tooManyListed(access.policies);
	// With denials there may be twice as many, and a dry run would evaluate all again.
	const full = listedValues(access.policies.filter(({ shadow }) => !shadow)) > LISTED_VALUES_MAX;
	const reasons = new Map(
		access.policies.flatMap((policy): readonly (readonly [PolicyTable, string])[] => {
			const why = policy.shadow ? (obstacle(policy, scope) ?? (full || namesListed(policy) ? tooMany : null)) : null;
			return why === null ? [] : [[policy, why]];
		}),
	);
	const untried = [...reasons.keys()];
	return {
		rules: { ...access, policies: access.policies.filter((policy) => !reasons.has(policy)) },
		untried: [...reasons].map(([{ name }, why]) => ({ name, why })),
		reported: {
			denied: untried.every(({ action }) => action === "deny"),
			allowed: !untried.some(mayRefuse),
		},
	};
}

/** @returns null if all are tried, or there is none */
export function shadowGapOf(service: string, { rules, untried, reported }: DryRun): ShadowGap | null {
	if (untried.length === 0) return null;
	const tried = rules.policies.filter(({ shadow }) => shadow).map(({ name }) => name);
	const open = isOpen(rules);
	const hidden =
		tried.length === 0
			? []
			: [
					...(reported.denied ? [] : ["requests that no policy would allow"]),
					...(reported.allowed || open ? [] : ["requests that would be allowed"]),
				];
	return { service, untried, tried, hidden, open };
}

/** As a sentence with a remedy. */
export function gapMessage({ service, untried, tried, hidden, open }: ShadowGap): string {
	const hides =
		hidden.length === 0 ? "" : `; so of ${tried.join(", ")} this is not reported either: ${hidden.join(", ")}`;
	const cure = open
		? "the sidecar, which could, judges no open Service"
		: "declare callout: {access: sidecar} on the Service, and all are tried";
	return `Service ${service}: Envoy cannot try ${untried.map(untriedText).join(", ")}${hides}; ${cure}`;
}

export const untriedText = ({ name, why }: UntriedPolicy): string => `${name} (${why})`;

/** An allow can refuse too, because of invalid tokens or ambiguous paths. */
const mayRefuse = (policy: PolicyTable): boolean =>
	policy.action === "deny" || judgesUser(policy) || judgesPath(policy);

function obstacle(policy: PolicyTable, { issuers, proxied, sidecarAssigns }: NativeScope): string | null {
	if (proxied !== null) return behindProxies(proxied);
	const native = nativeObstacle(policy);
	if (native !== null) return `it has ${native}`;
	const why = judgesUser(policy) ? usersUnverifiable(issuers) : null;
	if (why !== null) return why;
	return sidecarAssigns && judgesVariant(policy) ? "it judges Variants, and the sidecar chooses them" : null;
}
