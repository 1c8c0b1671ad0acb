/** References to other namespaces that no grant lets through, in words: who wrote one may still count on it. */
import { resourcesOf } from "../resources/kinds.js";
import { resourceTitle } from "../resources/position.js";
import { isFollowed, mayName, referencesOf } from "../resources/reference.js";
import type { ResourceSet } from "../resources/resource.js";
import type { RuleExecution } from "./plan.js";

/** What does not count, because its grant is gone; nothing is compiled of it. */
export function severedRules(declared: ResourceSet): readonly RuleExecution[] {
	return resourcesOf(declared)
		.flatMap(referencesOf)
		.filter((one) => isFollowed(one) && !mayName(one.from, one.to, declared.referenceGrants))
		.map(({ from, to }) => ({
			rule: `${resourceTitle(from)}: ${resourceTitle(to)}`,
			execution: "native",
			because: `left out: no ReferenceGrant of namespace ${to.metadata.namespace} lets it be named`,
			cost: null,
		}));
}
