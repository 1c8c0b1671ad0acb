/** Values of rules that Envoy compares with each item of a token's list, one by one; the sidecar keeps sets. Pure. */

import { LISTED_VALUES_MAX } from "../../../limits/index.js";
import type { PolicyTable } from "../../table/plan.js";

/** Of all these policies together, by whichever issuer: a request shows one token. A claim may be a list, or a text of words. */
export const listedValues = (policies: readonly PolicyTable[]): number =>
	policies.reduce((sum, policy) => sum + listedIn(policy), 0);

/** Whether the policy names any. */
export const namesListed = (policy: PolicyTable): boolean => listedIn(policy) > 0;

/**
 * Why Envoy is not given these; null = it is. Denials may bring it to twice as many: they are urgent, and do not wait until the
 * Service wants nothing that the sidecar cannot do. Not beside shadow policies, by which all are asked twice.
 */
export function tooManyListed(policies: readonly PolicyTable[]): string | null {
	const all = listedValues(policies);
	if (policies.some(({ shadow }) => shadow)) return beyond(LISTED_VALUES_MAX, all, "policies");
	const allows = listedValues(policies.filter(({ action }) => action === "allow"));
	const byAllows = beyond(LISTED_VALUES_MAX, allows, allows === all ? "policies" : "allows");
	return byAllows ?? beyond(2 * LISTED_VALUES_MAX, all, "policies");
}

const beyond = (most: number, count: number, whose: string): string | null =>
	count <= most
		? null
		: `the Service's ${whose} name ${count} groups, tenants, purposes and values of claims, and Envoy, which compares each with each item of a token's list, is given ${most} at most`;

function listedIn({ more }: PolicyTable): number {
	if (more === null) return 0;
	const lists = [more.groups, more.tenants, more.purposes, ...more.claims.map(({ values }) => values)];
	return lists.reduce((sum, { length }) => sum + length, 0);
}
