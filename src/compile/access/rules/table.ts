/** Access rules as data: out of AccessPolicies, per Service, and what a verdict by them needs to know. */

import { once } from "../../../declare/resources/memoize.js";
import {
	type AccessPolicy,
	qualifiedName,
	type ReferenceGrant,
	type Service,
} from "../../../declare/resources/resource.js";
import type { AccessTable, MoreConditions, PolicyTable } from "../../table/plan.js";
import { type Condition, compileCondition } from "../conditions/condition.js";
import { ANYONE, patternsAround } from "../requests/principal.js";
import { policiesOf } from "./selection.js";

/**
 * The access rules of one Service, out of the policies and the grants of the whole set. By name, as Envoy's RBAC takes
 * them: of several denials that match, every execution names the same one.
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

/** The same wherever it is asked for: what is worked out of one is kept by it. */
const policyTable = once(
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

/** As if none of them were used. */
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

/** null where none of them is used, so that a table of plain rules stays small. */
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

/** Anyone may call: said so, and no enforced policy selects the Service. */
export function isOpen({ open, policies }: AccessTable): boolean {
	return open && policies.every(({ shadow }) => shadow);
}

/** Whether the policy says whom it is about. An allow that does not is for nobody, a deny that does not for everyone. */
export function namesCaller({ principals, more }: Pick<PolicyTable, "principals" | "more">): boolean {
	return principals.length > 0 || namesUser(more);
}

const namesUser = (more: MoreConditions | null): boolean =>
	more !== null && (more.users.length > 0 || saysOfUser(more));

const saysOfUser = ({ groups, tenants, purposes, claims }: MoreConditions): boolean =>
	[groups, tenants, purposes, claims].some((list) => list.length > 0);

/** Whether rules could let a principal in, whatever else its request says. Who else comes is refused with any token. */
export type CouldAllow = (principal: string | null) => boolean;

/** By allow policies, in force or tried out. Who floods costs no walk over them: what they name is looked up. */
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

/** Whom policies name. */
interface Named {
	readonly patterns: ReadonlySet<string>;
	/** Of the longest. */
	readonly charsMax: number;
}

function namedBy(policies: readonly PolicyTable[]): Named {
	const patterns = policies.flatMap(({ principals }) => (principals.length === 0 ? [ANYONE] : principals));
	const charsMax = patterns.reduce((most, { length }) => Math.max(most, length), 0);
	return { patterns: new Set(patterns), charsMax };
}

/** What the policy's condition reads; null = it has none. */
function reads({ more }: PolicyTable): Condition["reads"] | null {
	const text = more?.condition ?? null;
	return text === null ? null : compileCondition(text).reads;
}

/** Whether the Service's enforced policies look at the path, and so must not be asked about an ambiguous one. */
export function judgesPaths({ policies }: AccessTable): boolean {
	return policies.some((policy) => !policy.shadow && judgesPath(policy));
}

/** Whether the policy looks at the path. */
export function judgesPath(policy: PolicyTable): boolean {
	return (
		policy.pathPrefixes.length > 0 ||
		(policy.more !== null && policy.more.pathTemplates.length > 0) ||
		reads(policy)?.path === true
	);
}

/** Whether the verdict (enforced or shadow) depends on the Variant, and so can only be given after the assignment. */
export function judgesVariants({ policies }: AccessTable): boolean {
	return policies.some(judgesVariant);
}

/** Whether the enforced verdict depends on the user, so that a token that does not hold is refused. */
export function judgesUsers({ policies }: AccessTable): boolean {
	return policies.some((policy) => !policy.shadow && judgesUser(policy));
}

/** Whether any verdict, the shadow one too, depends on the user, so that tokens are looked at. */
export function readsUsers({ policies }: AccessTable): boolean {
	return policies.some(judgesUser);
}

/** Whether the policy looks at the user. */
export function judgesUser(policy: PolicyTable): boolean {
	return namesUser(policy.more) || reads(policy)?.user === true;
}

/** Whether what the policy says of the user holds for tokens of whichever issuer. */
export function isOfAnyIssuer(policy: PolicyTable): boolean {
	const { more } = policy;
	if (more === null || (more.users.length > 0 && !more.users.includes("*"))) return false;
	const read = reads(policy);
	return (saysOfUser(more) || read?.user === true) && read?.issuer !== true;
}

/** Whether the policy looks at the Variant. */
export function judgesVariant(policy: PolicyTable): boolean {
	return policy.variants.length > 0 || reads(policy)?.variant === true;
}

/** Whether the enforced verdict depends on the method, of rules that Envoy can judge: it judges no conditions, which may read it too. */
export function judgesMethods({ policies }: AccessTable): boolean {
	return policies.some(({ shadow, methods }) => !shadow && methods.length > 0);
}

/** Whether the verdict (enforced or shadow) depends on the Gateway's region. */
export function judgesRegions({ policies }: AccessTable): boolean {
	return policies.some((policy) => (policy.more?.regions.length ?? 0) > 0 || reads(policy)?.region === true);
}

/** What Envoy's own rules cannot express of the policy, as in "callout because of …"; null = all of it is native. */
export function nativeObstacle({ more }: PolicyTable): string | null {
	if (more === null) return null;
	if (more.condition !== null) return "a CEL condition";
	if (more.schedule !== null) return "a schedule: Envoy's rules have no clock";
	return more.validFromMs !== null || more.validUntilMs !== null
		? "a time of validity: Envoy's rules have no clock"
		: null;
}
