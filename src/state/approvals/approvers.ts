/** Whether enough people may approve: a policy that asks for more would block every change, its own removal included. */
import { WeirError } from "../../error.js";
import { qualifiedName, type ResourceSet } from "../../resources/resource.js";
import { ALL_NAMESPACES, type Permissions } from "../rights/permissions.js";
import { approvalsOf } from "./required.js";

type Rules = Pick<ResourceSet, "roleBindings" | "approvalPolicies">;

/** @throws WeirError `failed-precondition` if a policy would want more approvers than there are, and more are missing than before */
export function demandApprovers(permissions: Permissions, before: Rules, after: Rules): void {
	const missingIn = (rules: Rules, namespace: string): number =>
		(approvalsOf(rules.approvalPolicies, "any", [namespace]).needsIn[namespace] ?? 0) -
		permissions.approvers(namespace, rules);
	for (const policy of after.approvalPolicies) {
		for (const namespace of policy.spec.namespaces) {
			const missing = missingIn(after, namespace);
			if (missing <= 0 || missing <= missingIn(before, namespace)) continue;
			const everywhere = namespace === ALL_NAMESPACES;
			const where = everywhere ? "all namespaces" : `namespace ${namespace}`;
			throw new WeirError(
				"failed-precondition",
				`ApprovalPolicy ${qualifiedName(policy.metadata)}: too few people may approve in ${where}, ${missing} more ${missing === 1 ? "is" : "are"} needed${everywhere ? ", groups not counted" : ""}`,
				`bind more subjects with approve in ${where} first, or remove the policy`,
			);
		}
	}
}
