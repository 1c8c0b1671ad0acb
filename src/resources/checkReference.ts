/** What names a resource of another namespace needs that namespace's word for it. */
import { resourcesOf } from "./kinds.js";
import { resourceTitle } from "./position.js";
import { isFollowed, mayName, referencesOf } from "./reference.js";
import type { Check } from "./report.js";

/** What a name without a grant is told. */
export const NOT_GRANTED = "is of another namespace, which grants no";

/** The answer is the same whether the other one exists: what stands in another namespace is not told by asking. */
export function referenceProblems({ set, positions, report, isStored }: Check): void {
	if (positions.hasBroken("ReferenceGrant")) return;
	for (const { from, path, to } of resourcesOf(set).flatMap(referencesOf).filter(isFollowed)) {
		if (mayName(from, to, set.referenceGrants) || isStored(from)) continue;
		const { name, namespace } = to.metadata;
		const message = `${resourceTitle(to)} ${NOT_GRANTED} ${from.kind} of namespace ${from.metadata.namespace} to name it`;
		const grant = `spec: {from: [{kind: ${from.kind}, namespace: ${from.metadata.namespace}}], to: [{kind: ${to.kind}, name: ${name}}]}`;
		report(from, path, message, `its owners may declare, in namespace ${namespace}, kind: ReferenceGrant, ${grant}`);
	}
}
