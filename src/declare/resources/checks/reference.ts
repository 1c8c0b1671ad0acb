/** References to other namespaces need a grant, and lose effect when it is revoked. */
import { resourcesOf } from "../kinds.js";
import { resourceTitle } from "../position.js";
import { isFollowed, mayName, type Reference, referencesOf } from "../reference.js";
import type { Resource, ResourceSet } from "../resource.js";
import type { Check } from "./report.js";

/** The error of a reference without a grant. */
export const NOT_GRANTED = "is of another namespace, which grants no";

/** A Service whose DataClass is no longer available to it. */
export const CLOSED = "it has no endpoint that its data may go to, and is closed to everyone";

/** The error is the same if the target does not exist, so that it reveals nothing about another namespace. */
export function referenceProblems({ set, positions, report, isStored }: Check): void {
	if (positions.hasBroken("ReferenceGrant")) return;
	for (const reference of resourcesOf(set).flatMap((one) => ungranted(one, set))) {
		const { from, path, to } = reference;
		if (isStored(from)) continue;
		const { name, namespace } = to.metadata;
		const message = notGranted(reference);
		const grant = `spec: {from: [{kind: ${from.kind}, namespace: ${from.metadata.namespace}}], to: [{kind: ${to.kind}, name: ${name}}]}`;
		report(from, path, message, `its owners may declare, in namespace ${namespace}, kind: ReferenceGrant, ${grant}`);
	}
}

/** References of stored resources whose grant was revoked, as text for readers of the referring namespace. */
export function revokedReferences(
	set: ResourceSet,
): readonly { readonly resource: Resource; readonly message: string }[] {
	return resourcesOf(set).flatMap((resource) =>
		ungranted(resource, set).map((reference) => {
			const lost = resource.kind === "Service" ? CLOSED : "this policy does not count there";
			return { resource, message: `${notGranted(reference)}: ${lost}` };
		}),
	);
}

const ungranted = (from: Resource, { referenceGrants }: ResourceSet): readonly Reference[] =>
	referencesOf(from).filter((one) => isFollowed(one) && !mayName(one.from, one.to, referenceGrants));

const notGranted = ({ from, to }: Reference): string =>
	`${resourceTitle(to)} ${NOT_GRANTED} ${from.kind} of namespace ${from.metadata.namespace} to name it`;
