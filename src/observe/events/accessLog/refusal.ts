/**
 * Requests that no Variant was asked for: refused on the way, or left by their client before. Whoever can reach a
 * Gateway can send such ones, under any unit's id; so they say nothing of an arm, unless its Variant is what they were
 * refused for.
 */
import type { AccessRequest } from "../../../compile/access/rules/policy.js";
import { denialOf } from "../decisions/verdict.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import type { ReadableExperiment, ReadableService } from "./planReader.js";
import { calledBy } from "./sidecarAnswer.js";

/** What a policy refuses for; anything else has another cause than the Variant. */
const BY_POLICY: ReadonlySet<string | null> = new Set(["forbidden", "no-policy-allows"]);

/**
 * Whether the Variant is what the caller was refused for: the rules allow it that of another arm whose units count. What
 * they would say by a token or a region, or of a method that Envoy's log has no word for, is not known here; then it is
 * taken for a refusal of another cause.
 * @param variant its arm's
 */
export function isRefusedForVariant(
	entry: AccessLogEntry,
	{ judgeVariant }: ReadableService,
	{ table, livePoints }: ReadableExperiment,
	variant: string,
): boolean {
	if (judgeVariant === null) return false;
	const denial = denialOf(entry);
	if (denial === null) return false;
	const { principal, method, path, sidecar, startUs } = entry;
	if (!BY_POLICY.has(denial.reason ?? sidecar?.reason ?? null) || method === null) return false;
	const request: Omit<AccessRequest, "variant"> = {
		principal: calledBy(principal, sidecar).principal,
		method,
		path,
		token: null,
		region: null,
		nowMs: startUs / 1e3,
	};
	const allows = (of: string): boolean => judgeVariant({ ...request, variant: of }).allowed;
	return !allows(variant) && table.arms.some((arm) => livePoints[arm.name] !== undefined && allows(arm.variant));
}
