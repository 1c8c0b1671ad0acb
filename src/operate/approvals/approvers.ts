/** Whether enough people may approve: a policy that requires more would block every change, even its own removal. */

import { qualifiedName, type ResourceSet } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { ALL_NAMESPACES, type Permissions } from "../state/rights/permissions.js";
import { approvalsOf } from "./required.js";

type Rules = Pick<ResourceSet, "roleBindings" | "approvalPolicies">;

/** @throws WeirError `failed-precondition` if a change makes a policy lack approvers, or more of them than before */
export function demandApprovers(permissions: Permissions, before: Rules, after: Rules): void {
	for (const policy of after.approvalPolicies) {
		for (const namespace of policy.spec.namespaces) {
			const { wanted, others } = approversIn(permissions, namespace, after);
			const previous = approversIn(permissions, namespace, before);
			const missing = wanted - others;
			if (missing <= 0 || missing <= previous.wanted - previous.others) continue;
			const everywhere = namespace === ALL_NAMESPACES;
			const where = everywhere ? "all namespaces" : `namespace ${namespace}`;
			throw new WeirError(
				"failed-precondition",
				`ApprovalPolicy ${qualifiedName(policy.metadata)} wants ${wanted} others to approve in ${where}, and ${others} could${everywhere ? ", groups not counted" : ""}`,
				`bind ${missing} more ${missing === 1 ? "subject" : "subjects"} with approve in ${where} first, or remove the policy`,
			);
		}
	}
}

const approversIn = (permissions: Permissions, namespace: string, rules: Rules) => ({
	wanted: approvalsOf(rules.approvalPolicies, "any", [namespace]).needsIn[namespace] ?? 0,
	others: permissions.approvers(namespace, rules),
});
