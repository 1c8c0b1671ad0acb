/**
 * Changes that shadow policies would make. Envoy's RBAC writes the result of its shadow rules to the entry's metadata; the
 * sidecar adds its own. Counted by caller, service, method and path, because a shadow policy may change every request.
 */
import { NO_RULE, policyOf, ruleDenial } from "../../../../compile/envoy/denial.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { denialOf } from "../accessLog/verdict.js";
import { type AccessRecord, shownText } from "./accessRecord.js";

/**
 * Label sets (policy, caller, method, path) of shadow policy counts between two commits; the rest is counted by policy
 * only.
 */
export const SHADOW_KEYS_MAX = 2_000;

export interface ShadowChange {
	/** would-deny: allowed, but would be refused. would-allow: refused, but would be allowed. */
	readonly change: "would-deny" | "would-allow";
	/** The policy that would decide; null = none. */
	readonly policy: string | null;
	/** Reason code of the refusal; null = it would be allowed, or unknown. */
	readonly reason: string | null;
}

export interface ShadowCount extends ShadowChange {
	readonly service: string | null;
	readonly principal: string | null;
	readonly method: string | null;
	readonly path: string | null;
	/** Identifies the Service's rules that applied (planReader.ts, triedRules); null = not known. */
	readonly rules: string | null;
	readonly count: number;
}

/** Prefixes of the two filters with rules (compile/envoy/accessControl.ts). */
const DENY = "weir_deny_";
/** Allow prefixes, with the results that count if not all shadow policies are tried. */
const ALLOWS = [
	["weir_allow_", ["denied", "allowed"]],
	["weir_would_allow_", ["allowed"]],
	["weir_would_deny_", ["denied"]],
] as const;
const RESULT = "shadow_engine_result";
const POLICY = "shadow_effective_policy_id";

/** From an end entry; null = no change, or no shadow policies. */
export function shadowIn(entry: AccessLogEntry): ShadowChange | null {
	const { rbac, sidecar } = entry;
	const would = (rbac === null ? null : rbacShadow(rbac)) ?? sidecarShadow(sidecar);
	if (would === null) return null;
	const denial = denialOf(entry);
	// Refusals not made by a policy (an invalid token, a non-canonical path) stay as they are.
	if (
		denial !== null &&
		denial.reason !== null &&
		denial.reason !== "forbidden" &&
		denial.reason !== "no-policy-allows"
	)
		return null;
	const denied = denial !== null;
	if (would.denied === denied) return null;
	const { policy, reason } = would;
	return { change: would.denied ? "would-deny" : "would-allow", policy, reason };
}

interface ShadowVerdict extends Pick<ShadowChange, "policy" | "reason"> {
	readonly denied: boolean;
}

/** Either filter would refuse, or the allow filter would allow; a pass of the deny filter decides nothing. */
function rbacShadow(metadata: ReadonlyMap<string, string>): ShadowVerdict | null {
	if (metadata.get(DENY + RESULT) === "denied") return wouldDeny(metadata, DENY);
	for (const [prefix, results] of ALLOWS) {
		const result = results.find((one) => one === metadata.get(prefix + RESULT));
		if (result === "denied") return wouldDeny(metadata, prefix);
		if (result === "allowed")
			return { denied: false, policy: shownText(policyOf(ruleIn(metadata, prefix))), reason: null };
	}
	return null;
}

function wouldDeny(metadata: ReadonlyMap<string, string>, prefix: string): ShadowVerdict {
	const { policy, reason } = ruleDenial(ruleIn(metadata, prefix));
	return { denied: true, policy: policy === null ? null : shownText(policy), reason };
}

const ruleIn = (metadata: ReadonlyMap<string, string>, prefix: string): string =>
	metadata.get(prefix + POLICY) || NO_RULE;

function sidecarShadow(answer: AccessLogEntry["sidecar"]): ShadowVerdict | null {
	if (answer?.shadow !== "allow" && answer?.shadow !== "deny") return null;
	const denied = answer.shadow === "deny";
	const policy = answer.shadowPolicy === null ? null : shownText(answer.shadowPolicy);
	const reason = denied && answer.shadowReason !== null ? shownText(answer.shadowReason) : null;
	return { denied, policy, reason };
}

/** Counts between two commits, in bounded memory. */
export class ShadowCounts {
	#counts = new Map<string, { of: ShadowCount; count: number }>();

	get size(): number {
		return this.#counts.size;
	}

	add(
		{ change, policy, reason }: ShadowChange,
		{ service, principal, method, path }: AccessRecord,
		rules: string | null,
	): void {
		const whole: ShadowCount = { change, policy, reason, service, principal, method, path, rules, count: 0 };
		// Above the limit the count stays right, but loses the caller and path.
		const short: ShadowCount = { ...whole, principal: null, method: null, path: null };
		const known = this.#counts.get(key(whole));
		const of = known !== undefined || this.#counts.size < SHADOW_KEYS_MAX ? whole : short;
		this.#count(of, 1);
	}

	take(): readonly ShadowCount[] {
		const all = [...this.#counts.values()].map(({ of, count }) => ({ ...of, count }));
		this.#counts.clear();
		return all;
	}

	/** Puts back what could not be stored. */
	giveBack(counts: readonly ShadowCount[]): void {
		for (const one of counts) this.#count(one, one.count);
	}

	#count(of: ShadowCount, by: number): void {
		const known = this.#counts.get(key(of));
		if (known === undefined) this.#counts.set(key(of), { of, count: by });
		else known.count += by;
	}
}

const key = ({ change, policy, reason, service, principal, method, path, rules }: ShadowCount): string =>
	JSON.stringify([change, policy, reason, service, principal, method, path, rules]);
