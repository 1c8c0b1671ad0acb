/**
 * Whether approvals can still be had: a policy that asks for more people than there are would let everything wait for
 * good, also its own end. Pure.
 */
import { WeirError } from "../../error.js";
import { qualifiedName, type Resource, type ResourceSet } from "../../resources/resource.js";
import type { WishPlan } from "../acts/wishes.js";
import { ALL_NAMESPACES, type Permissions } from "../rights/permissions.js";
import { keyOf, resourceKey } from "../store/resourceSet.js";
import { requirement } from "./approval.js";

type Rules = Pick<ResourceSet, "roleBindings" | "approvalPolicies">;

/**
 * Whoever makes the change may leave by it: what counts is which admin could ask for the next one, and how many others
 * could approve that.
 * @throws WeirError `failed-precondition` where a policy would want more others than could approve, and more than
 * before
 */
export function demandApprovers(permissions: Permissions, before: Rules, after: Rules): void {
	for (const policy of after.approvalPolicies) {
		const { needsIn } = requirement(after.approvalPolicies, "apply", [], policy.spec.namespaces);
		for (const namespace of policy.spec.namespaces) {
			const others = permissions.approvers(namespace, after);
			const missing = (needsIn[namespace] ?? 0) - others;
			const former = requirement(before.approvalPolicies, "apply", [], [namespace]).needsIn[namespace] ?? 0;
			if (missing <= 0 || missing <= former - permissions.approvers(namespace, before)) continue;
			const everywhere = namespace === ALL_NAMESPACES;
			const where = everywhere ? "all namespaces" : `namespace ${namespace}`;
			const found = everywhere ? `${others} could, groups not counted` : `${others} could`;
			const then = everywhere
				? "nothing there could be changed any more"
				: "only an admin in all namespaces could free it";
			const subjects = `${missing} more ${missing === 1 ? "subject" : "subjects"}`;
			throw new WeirError(
				"failed-precondition",
				`ApprovalPolicy ${qualifiedName(policy.metadata)} wants ${needsIn[namespace]} others to approve in ${where}, and ${found}: ${then}`,
				`bind ${everywhere ? `${subjects} by name` : `${subjects}, or a group,`} with approve in ${where} first, or take the policy away`,
			);
		}
	}
}

/** Who may do what and what waits, once the plan is carried out. */
export function rulesAfter(
	{ roleBindings, approvalPolicies }: Rules,
	{ upserts, deletions }: Pick<WishPlan, "upserts" | "deletions">,
): Rules {
	const written = upserts.map(({ resource }) => resource);
	const gone = new Set([...written.map(keyOf), ...deletions.map(({ kind, name }) => resourceKey(kind, name))]);
	const left = <Kept extends Resource>(before: readonly Kept[], kind: Kept["kind"]): readonly Kept[] => [
		...before.filter((one) => !gone.has(keyOf(one))),
		...written.filter((one): one is Kept => one.kind === kind),
	];
	return {
		roleBindings: left(roleBindings, "RoleBinding"),
		approvalPolicies: left(approvalPolicies, "ApprovalPolicy"),
	};
}
