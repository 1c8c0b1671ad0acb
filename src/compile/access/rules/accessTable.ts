/** Access rules per Service as data, from AccessPolicies, and the inputs that they need. */

import { memoize } from "../../../declare/resources/memoize.js";
import {
	type AccessPolicy,
	qualifiedName,
	type ReferenceGrant,
	type Service,
} from "../../../declare/resources/resource.js";
import type { AccessTable, MoreConditions, PolicyTable } from "../../plan/compiledPlan.js";
import { type Condition, compileCondition } from "../conditions/condition.js";
import { ANYONE, patternsAround } from "../requests/principal.js";
import { policiesOf } from "./selection.js";

/**
 * The access rules of one Service, from the policies and grants of the whole set. Sorted by name, as in Envoy's RBAC: of
 * several matching denials, every execution names the same one.
 */
export function accessTable(
	service: Service,
	policies: readonly AccessPolicy[],
	grants: readonly ReferenceGrant[] = [],
): AccessTable {
	return {
		open: service.spec.access === "open",
		policies: policiesOf(service, policies, grants)
			.map(policyTable)
			.sort((one, other) => (one.name < other.name ? -1 : 1)),
	};
}

/** Cached by policy, so that derived values can be cached by table. */
const policyTable = memoize(
	({ metadata, spec }: AccessPolicy): PolicyTable => ({
		name: qualifiedName(metadata),
		action: spec.action,
		principals: spec.principals,
		methods: spec.methods,
		pathPrefixes: spec.pathPrefixes,
		variants: spec.variants,
		shadow: spec.mode === "shadow",
		more: moreConditions(spec),
	}),
);

/** Without any of these conditions. */
export const NO_MORE: MoreConditions = {
	users: [],
	groups: [],
	tenants: [],
	purposes: [],
	claims: [],
	pathTemplates: [],
	regions: [],
	schedule: null,
	validFromMs: null,
	validUntilMs: null,
	condition: null,
};

/** null if none of them is used, so that a table of plain rules stays small. */
function moreConditions(spec: AccessPolicy["spec"]): MoreConditions | null {
	const { users, groups, tenants, purposes, claims, pathTemplates, regions } = spec;
	const { schedule, validFromMs, validUntilMs, condition } = spec;
	const none =
		[users, groups, tenants, purposes, claims, pathTemplates, regions].every((list) => list.length === 0) &&
		[schedule, validFromMs, validUntilMs, condition].every((one) => one === null);
	if (none) return null;
	return {
		users,
		groups,
		tenants,
		purposes,
		claims,
		pathTemplates,
		regions,
		schedule,
		validFromMs,
		validUntilMs,
		condition,
	};
}

/** Anyone may call: it is declared open, and no enforced policy selects the Service. */
export function isOpen({ open, policies }: AccessTable): boolean {
	return open && policies.every(({ shadow }) => shadow);
}

/** Whether the policy restricts callers. An allow that does not matches no one, a deny that does not matches everyone. */
export function namesCaller({ principals, more }: Pick<PolicyTable, "principals" | "more">): boolean {
	return principals.length > 0 || hasUserConditions(more);
}

const hasUserConditions = (more: MoreConditions | null): boolean =>
	more !== null && (more.users.length > 0 || hasAttributeConditions(more));

const hasAttributeConditions = ({ groups, tenants, purposes, claims }: MoreConditions): boolean =>
	[groups, tenants, purposes, claims].some((list) => list.length > 0);

/** Whether some request of this principal could be allowed. If not, it is refused whatever token it carries. */
export type CouldAllow = (principal: string | null) => boolean;

/** Considers enforced and shadow allow policies; may overestimate. A lookup by name, so that a flood of requests is cheap. */
export function couldAllow({ open, policies }: AccessTable): CouldAllow {
	let named: Named | null = null;
	return (principal) => {
		if (open) return true;
		named ??= namedBy(policies.filter(({ action }) => action === "allow"));
		const { patterns, charsMax } = named;
		for (const pattern of patternsAround(principal ?? ANYONE, charsMax)) if (patterns.has(pattern)) return true;
		return false;
	};
}

/** Principals in policies. */
interface Named {
	readonly patterns: ReadonlySet<string>;
	/** Length of the longest pattern. */
	readonly charsMax: number;
}

function namedBy(policies: readonly PolicyTable[]): Named {
	const patterns = policies.flatMap(({ principals }) => (principals.length === 0 ? [ANYONE] : principals));
	const charsMax = patterns.reduce((most, { length }) => Math.max(most, length), 0);
	return { patterns: new Set(patterns), charsMax };
}

/** The inputs of the policy's condition; null = it has none. */
function reads({ more }: PolicyTable): Condition["reads"] | null {
	const text = more?.condition ?? null;
	return text === null ? null : compileCondition(text).reads;
}

/** Whether the enforced policies match paths, and so must not get an ambiguous one. */
export function judgesPaths({ policies }: AccessTable): boolean {
	return policies.some((policy) => !policy.shadow && judgesPath(policy));
}

/** Whether the policy matches paths. */
export function judgesPath(policy: PolicyTable): boolean {
	return (
		policy.pathPrefixes.length > 0 ||
		(policy.more !== null && policy.more.pathTemplates.length > 0) ||
		reads(policy)?.path === true
	);
}

/** Whether the verdict (enforced or shadow) depends on the Variant, so that it follows the assignment. */
export function judgesVariants({ policies }: AccessTable): boolean {
	return policies.some(judgesVariant);
}

/** Whether the enforced verdict depends on the user, so that an invalid token is refused. */
export function judgesUsers({ policies }: AccessTable): boolean {
	return policies.some((policy) => !policy.shadow && judgesUser(policy));
}

/** Whether any verdict, also a shadow one, depends on the user, so that tokens are verified. */
export function readsUsers({ policies }: AccessTable): boolean {
	return policies.some(judgesUser);
}

/** Whether the policy matches users. */
export function judgesUser(policy: PolicyTable): boolean {
	return hasUserConditions(policy.more) || reads(policy)?.user === true;
}

/** Whether the policy's user conditions match tokens of any issuer. */
export function isOfAnyIssuer(policy: PolicyTable): boolean {
	const { more } = policy;
	if (more === null || (more.users.length > 0 && !more.users.includes("*"))) return false;
	const read = reads(policy);
	return (hasAttributeConditions(more) || read?.user === true) && read?.issuer !== true;
}

/** Whether the policy matches Variants. */
export function judgesVariant(policy: PolicyTable): boolean {
	return policy.variants.length > 0 || reads(policy)?.variant === true;
}

/** Whether the enforced verdict depends on the method, without CEL conditions, which Envoy does not evaluate. */
export function judgesMethods({ policies }: AccessTable): boolean {
	return policies.some(({ shadow, methods }) => !shadow && methods.length > 0);
}

/** Whether the verdict (enforced or shadow) depends on the Gateway's region. */
export function judgesRegions({ policies }: AccessTable): boolean {
	return policies.some((policy) => (policy.more?.regions.length ?? 0) > 0 || reads(policy)?.region === true);
}

/** What Envoy's own rules cannot express of the policy, as in "callout because of …"; null = all is native. */
export function nativeObstacle({ more }: PolicyTable): string | null {
	if (more === null) return null;
	if (more.condition !== null) return "a CEL condition";
	if (more.schedule !== null) return "a schedule: Envoy's rules have no clock";
	return more.validFromMs !== null || more.validUntilMs !== null
		? "a time of validity: Envoy's rules have no clock"
		: null;
}
