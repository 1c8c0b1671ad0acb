/**
 * Requests that reached no Variant: refused, or left by their client. Any client of a Gateway can send such requests with
 * any unit's id, so they count for no arm unless the Variant caused the refusal.
 */
import type { AccessRequest } from "../../../../compile/access/rules/policy.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { calledBy } from "../accessLog/sidecarAnswer.js";
import { denialOf } from "../accessLog/verdict.js";
import type { ReadableExperiment, ReadableService } from "./planReader.js";

/** Refusal reasons of policies; other reasons are not caused by the Variant. */
const BY_POLICY: ReadonlySet<string | null> = new Set(["forbidden", "no-policy-allows"]);

/**
 * Whether the Variant caused the refusal: the rules would allow the caller another arm's Variant. Rules on tokens, regions
 * or methods that Envoy does not log are unknown here; such a refusal is not attributed to the Variant.
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
