/** The most rule values that Envoy compares for one request to a Service, one by one. Pure. */
import type { AccessTable, PolicyTable } from "../../plan/compiledPlan.js";
import { claimPath, isSpaceDelimited } from "../users/claim.js";

export interface Tried {
	readonly values: number;
	/** How many of the values are path prefixes and templates: each one reads the whole path. */
	readonly paths: number;
}

/** A word in a space-delimited text may be alone, first, last or in between, and the claim may be a list. */
const WORD_MATCHERS = 5;

/**
 * For the Variant with the most; with shadow policies all are compared twice.
 * @param issuers number of issuers of the Gateway with the most of them
 */
export function comparedValues({ policies }: AccessTable, issuers: number): Tried {
	const times = policies.some(({ shadow }) => shadow) ? 2 : 1;
	const ofAll = { values: 0, paths: 0 };
	const own = new Map<string, { values: number; paths: number }>();
	for (const policy of policies) {
		const asked = policy.shadow ? 1 : times;
		const sums = policy.variants.map((variant) => {
			const sum = own.get(variant) ?? { values: 0, paths: 0 };
			own.set(variant, sum);
			return sum;
		});
		for (const sum of sums.length === 0 ? [ofAll] : sums) {
			sum.values += asked * namedValues(policy, issuers);
			sum.paths += asked * namedPaths(policy);
		}
	}
	const most = (of: "values" | "paths") => [...own.values()].reduce((all, one) => Math.max(all, one[of]), 0);
	return { values: ofAll.values + most("values"), paths: ofAll.paths + most("paths") };
}

const namedPaths = ({ pathPrefixes, more }: PolicyTable): number =>
	pathPrefixes.length + (more?.pathTemplates.length ?? 0);

/**
 * A rule without values counts as one. Conditions for any issuer are repeated per issuer (policyRule.ts); a user belongs
 * to one issuer.
 */
function namedValues(policy: PolicyTable, issuers: number): number {
	const { principals, methods, more } = policy;
	const { users = [], groups = [], tenants = [], purposes = [], claims = [] } = more ?? {};
	const count = (lists: readonly (readonly string[])[]) => lists.reduce((sum, { length }) => sum + length, 0);
	const [anyUser, user] = [users.filter((one) => one === "*"), users.filter((one) => one !== "*")];
	const ofClaims = claims.reduce(
		(sum, { claim, values }) => sum + values.length * (isSpaceDelimited(claimPath(claim)) ? WORD_MATCHERS : 1),
		0,
	);
	const tokenValues = count([anyUser, groups, tenants, purposes]) + ofClaims;
	return Math.max(1, count([principals, methods, user]) + namedPaths(policy) + tokenValues * Math.max(1, issuers));
}
