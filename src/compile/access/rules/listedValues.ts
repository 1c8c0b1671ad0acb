/** Values in rules that Envoy compares with each item of a token's list; the sidecar uses sets. Pure. */

import { LISTED_VALUES_MAX } from "../../../limits/index.js";
import type { PolicyTable } from "../../plan/compiledPlan.js";

/** For all these policies and any issuer: a request has one token. A claim may be a list or a space-delimited text. */
export const listedValues = (policies: readonly PolicyTable[]): number =>
	policies.reduce((sum, policy) => sum + listedIn(policy), 0);

/** Whether the policy has any. */
export const namesListed = (policy: PolicyTable): boolean => listedIn(policy) > 0;

/**
 * Why Envoy does not get these; null = it does. Denials may double the number: they are urgent and must not wait for a
 * Service that can use the sidecar. Not beside shadow policies, which evaluate all rules twice.
 */
export function tooManyListed(policies: readonly PolicyTable[]): string | null {
	const all = listedValues(policies);
	if (policies.some(({ shadow }) => shadow)) return beyond(LISTED_VALUES_MAX, all, "policies");
	const allows = listedValues(policies.filter(({ action }) => action === "allow"));
	const byAllows = beyond(LISTED_VALUES_MAX, allows, allows === all ? "policies" : "allows");
	return byAllows ?? beyond(2 * LISTED_VALUES_MAX, all, "policies");
}

const beyond = (most: number, count: number, what: string): string | null =>
	count <= most
		? null
		: `the Service's ${what} name ${count} groups, tenants, purposes and values of claims, and Envoy, which compares each with each item of a token's list, is given ${most} at most`;

function listedIn({ more }: PolicyTable): number {
	if (more === null) return 0;
	const lists = [more.groups, more.tenants, more.purposes, ...more.claims.map(({ values }) => values)];
	return lists.reduce((sum, { length }) => sum + length, 0);
}
