/** Verdicts as the sidecar gives them: those of the rules, and those given before any rule is asked. */
import type { Verdict as RuleVerdict } from "../access/policy.js";

export type Verdict =
	| RuleVerdict
	| {
			readonly allowed: false;
			readonly reason: "not-canonical" | "invalid-token" | "verification-limited";
			readonly policy: null;
	  };

export const OPEN: Verdict = { allowed: true, reason: "open", policy: null };
/** Envoy has judged before it asked. */
export const BY_ENVOY: Verdict = { allowed: true, reason: "allowed", policy: null };
/** The newest plan has no such Service. */
export const GONE: Verdict = { allowed: false, reason: "no-policy-allows", policy: null };
export const NOT_CANONICAL: Verdict = { allowed: false, reason: "not-canonical", policy: null };
/** The built-in probe, which no policy can allow (access/canonical.ts). */
export const PROBED: Verdict = { allowed: false, reason: "forbidden", policy: null };
export const REFUSED: Readonly<Record<"invalid-token" | "verification-limited", Verdict>> = {
	"invalid-token": { allowed: false, reason: "invalid-token", policy: null },
	"verification-limited": { allowed: false, reason: "verification-limited", policy: null },
};
