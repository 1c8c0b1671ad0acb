/**
 * Evaluates AccessPolicies as a pure function: deny by default, deny wins. The compiler makes the same rules native
 * (compile/envoy/accessControl.ts); the parity suite compares both on a real Envoy.
 */

import {
	type AccessPolicy,
	qualifiedName,
	type ReferenceGrant,
	type Service,
} from "../../../declare/resources/resource.js";
import { finish, type Steps } from "../../../limits/slices.js";
import type { AccessTable, PolicyTable } from "../../plan/compiledPlan.js";
import { isAmbiguous } from "../requests/path.js";
import type { AccessRequest, Verdict } from "../verdict.js";
import { accessTable, isOpen, judgesPath, namesCaller } from "./accessTable.js";
import { Rule } from "./rule.js";
import { RuleIndex } from "./ruleIndex.js";

export { AMBIGUOUS_PATH_PARTS, ESCAPED_UNRESERVED, underPrefix } from "../requests/path.js";
export type { AccessRequest, Verdict } from "../verdict.js";
export {
	accessTable,
	isOfAnyIssuer,
	isOpen,
	judgesMethods,
	judgesPaths,
	judgesRegions,
	judgesUsers,
	judgesVariants,
	namesCaller,
	nativeObstacle,
	readsUsers,
} from "./accessTable.js";

const OPEN: Verdict = { allowed: true, reason: "open", policy: null };
const AMBIGUOUS: Verdict = { allowed: false, reason: "not-canonical", policy: null };
const NOT_ALLOWED: Verdict = { allowed: false, reason: "no-policy-allows", policy: null };

/** Returns the verdict on one request. Equal verdicts of one table are the same object. */
export type Judge = (request: AccessRequest) => Verdict;

/**
 * Compiles the enforced rules. The verdict names the first matching policy. An ambiguous or too long path is refused
 * without a policy name if any of them matches paths.
 * @param service qualified name, for conditions
 * @throws ConditionError or RangeError for a condition or time zone that validation refuses
 */
export const compileAccess = (table: AccessTable, service: string): Judge => finish(accessSteps(table, service));

/** The same in steps. */
export function* accessSteps(table: AccessTable, service: string): Steps<Judge> {
	if (isOpen(table)) return () => OPEN;
	return yield* ruleSteps(
		table.policies.filter(({ shadow }) => !shadow),
		service,
	);
}

/** The verdict as if shadow policies were enforced; null = there are none. */
export const compileShadow = (table: AccessTable, service: string): Judge | null => finish(shadowSteps(table, service));

/** The same in steps. */
export function* shadowSteps(table: AccessTable, service: string): Steps<Judge | null> {
	return table.policies.some(({ shadow }) => shadow) ? yield* ruleSteps(table.policies, service) : null;
}

function* ruleSteps(policies: readonly PolicyTable[], service: string): Steps<Judge> {
	const ambiguityMatters = policies.some(judgesPath);
	const rules: Rule[] = [];
	for (const policy of policies) {
		// An allow without a caller matches no one.
		if (policy.action === "deny" || namesCaller(policy)) rules.push(new Rule(policy, rules.length, service));
		yield;
	}
	const denials = yield* RuleIndex.steps(rules.filter(({ deny }) => deny));
	const grants = yield* RuleIndex.steps(rules.filter(({ deny }) => !deny));
	return (request) => {
		if (ambiguityMatters && isAmbiguous(request.path)) return AMBIGUOUS;
		return (denials.first(request) ?? grants.first(request))?.verdict ?? NOT_ALLOWED;
	};
}

/** The verdict on one request to one Service, for a single use. */
export function authorize(
	service: Service,
	policies: readonly AccessPolicy[],
	request: AccessRequest,
	grants: readonly ReferenceGrant[] = [],
): Verdict {
	return compileAccess(accessTable(service, policies, grants), qualifiedName(service.metadata))(request);
}
