/** Resources that must not be deleted. */
import { policiesOf } from "../../compile/access/rules/selection.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { type Named, type Positions, resourceTitle } from "../../declare/resources/position.js";
import { mayName, referencesOf } from "../../declare/resources/reference.js";
import type { AccessPolicy, Problem, Resource, ResourceSet, Service } from "../../declare/resources/resource.js";

/**
 * Refuses to delete a resource that another one names, and the last AccessPolicy of a Service: operators open a Service
 * that no one can call in a hurry. Both can be deleted together with the other resource.
 */
export function deletionProblems(
	deleted: readonly Resource[],
	after: ResourceSet,
	positions: Positions,
): readonly Problem[] {
	const titles = new Set(deleted.map(resourceTitle));
	const named = resourcesOf(after)
		.flatMap(referencesOf)
		.flatMap(({ from, path, to }): readonly Problem[] => {
			const isAnothersClass = to.kind === "DataClass" && from.metadata.namespace !== to.metadata.namespace;
			// A reference without a grant, and another namespace's use of a DataClass, do not block the owner.
			if (!titles.has(resourceTitle(to)) || isAnothersClass || !mayName(from, to, after.referenceGrants)) return [];
			return [
				{
					position: positions.at(from, path),
					message: `${resourceTitle(from)} names ${resourceTitle(to)}`,
					hint: `delete or change that first, or delete both at once: weir delete ${both(to, from)}`,
				},
			];
		});
	const policies = deleted.filter(
		(one): one is AccessPolicy => one.kind === "AccessPolicy" && one.spec.mode === "enforce",
	);
	const hasRules = (service: Service): boolean =>
		service.spec.access === "open" ||
		policiesOf(service, after.accessPolicies, after.referenceGrants).some(({ spec }) => spec.mode === "enforce");
	const closed = (policies.length === 0 ? [] : after.services).flatMap((service): readonly Problem[] => {
		const last = policiesOf(service, policies, after.referenceGrants)[0];
		if (last === undefined || hasRules(service)) return [];
		return [
			{
				position: positions.at(service, ["spec"]),
				message: `${resourceTitle(last)} is the last one about ${resourceTitle(service)}, which no one could call any more`,
				hint: `apply the policy that takes its place first (one with action: deny closes it), or delete both at once: weir delete ${both(last, service)}`,
			},
		];
	});
	return [...named, ...closed];
}

/** As command arguments. */
const both = (...named: readonly Named[]): string => named.map(resourceTitle).join(" ");
