/** What files would change of a state, and whom they would let do what it denies. Pure. */
import { hostsText, movedHosts } from "../../access/review/movedHosts.js";
import { loosened, openings } from "../../access/review/policyLoosened.js";
import { changedSettings } from "../../access/review/policySettings.js";
import { accessTable, isOpen } from "../../access/rules/table.js";
import { resourcesOf } from "../../resources/kinds.js";
import { findNamed } from "../../resources/lookup.js";
import {
	type Metric,
	qualifiedName,
	type ReferenceGrant,
	type Resource,
	type ResourceSet,
	type RoleBinding,
} from "../../resources/resource.js";
import { keyOf, sortedSet } from "../../state/store/resourceSet.js";

/** Files as they would change a state. */
export interface Change {
	readonly state: ResourceSet;
	readonly given: ResourceSet;
}

/** Whom the rules of Services that stand would let in and did not, at hosts that are taken from them too; who would operate, send outcomes and name what is another's. */
export function newlyAllowed({ state, given }: Change): readonly string[] {
	const after = merged(state, resourcesOf(given));
	return [
		...letIn(state, after),
		...letInAtHosts(state, after),
		...given.roleBindings.flatMap((is) => operators(is, state.roleBindings) ?? []),
		...given.referenceGrants.flatMap((is) => grantees(is, state.referenceGrants) ?? []),
		...given.metrics.flatMap((is) => senders(is, findNamed(state.metrics, is.metadata)) ?? []),
	];
}

function letIn(state: ResourceSet, after: ResourceSet): readonly string[] {
	return state.services.flatMap((was) => {
		const is = findNamed(after.services, was.metadata) ?? was;
		const table = accessTable(is, after.accessPolicies, after.referenceGrants);
		const [first] = openings(accessTable(was, state.accessPolicies, state.referenceGrants), table);
		if (first === undefined) return [];
		if (isOpen(table)) return [`anyone, of Service ${qualifiedName(is.metadata)}`];
		return loosened({ ...state, services: [was] }, { ...after, services: [is] });
	});
}

/** At hosts that another Service takes: whom its rules let in, and those of the one that had them did not. */
function letInAtHosts(state: ResourceSet, after: ResourceSet): readonly string[] {
	return movedHosts(state, after).flatMap((moved) => {
		const table = accessTable(moved.to, after.accessPolicies, after.referenceGrants);
		if (openings(accessTable(moved.from, state.accessPolicies, state.referenceGrants), table).length === 0) return [];
		const [to, from] = [moved.to, moved.from].map(({ metadata }) => `Service ${qualifiedName(metadata)}`);
		return [
			isOpen(table)
				? `anyone, at ${hostsText(moved)}, which ${to} takes from ${from}`
				: `whom ${to} lets in, at ${hostsText(moved)}, which it takes from ${from}`,
		];
	});
}

/** null = one RoleBinding gives all of it already. */
function operators({ metadata, spec }: RoleBinding, had: readonly RoleBinding[]): string | null {
	const isGiven = had.some(
		({ spec: { verbs, subjects, namespaces } }) =>
			isWithin(spec.verbs, verbs) && isWithin(spec.subjects, subjects) && isWithin(spec.namespaces, namespaces),
	);
	if (isGiven) return null;
	return `${spec.verbs.join(", ")} in ${spec.namespaces.join(", ")} by ${spec.subjects.join(", ")}, by RoleBinding ${qualifiedName(metadata)}`;
}

/** null = one grant of that namespace gives all of it already. */
function grantees({ metadata, spec }: ReferenceGrant, had: readonly ReferenceGrant[]): string | null {
	const from = spec.from.map(({ kind, namespace }) => `${kind} of namespace ${namespace}`);
	const to = spec.to.map(({ kind, name }) => (name === null ? `any ${kind}` : `${kind} ${name}`));
	const isGiven = had.some(
		(one) =>
			one.metadata.namespace === metadata.namespace &&
			spec.from.every((each) =>
				one.spec.from.some((was) => was.kind === each.kind && was.namespace === each.namespace),
			) &&
			spec.to.every((each) =>
				one.spec.to.some((was) => was.kind === each.kind && (was.name ?? each.name) === each.name),
			),
	);
	return isGiven ? null : `${to.join(", ")} to ${from.join(", ")}, by ReferenceGrant ${qualifiedName(metadata)}`;
}

function senders({ metadata, spec }: Metric, had: Metric | undefined): string | null {
	const come = spec.senders.filter((one) => !had?.spec.senders.includes(one));
	return come.length === 0 ? null : `outcomes of Metric ${qualifiedName(metadata)} from ${come.join(", ")}`;
}

const isWithin = <Item>(all: readonly Item[], of: readonly Item[]): boolean => all.every((one) => of.includes(one));

/** What decides verdicts beside access rules: hosts, endpoints, issuers, limits. Whose outcomes count newlyAllowed tells. */
export function changedOtherwise({ state, given }: Change): readonly string[] {
	const others = resourcesOf(given).filter(({ kind }) => kind !== "Metric");
	// That something is created is told of all kinds.
	return changedSettings(state, merged(state, others)).filter((words) => !words.endsWith(": new"));
}

function merged(state: ResourceSet, given: readonly Resource[]): ResourceSet {
	const replaced = new Set(given.map(keyOf));
	return sortedSet([...resourcesOf(state).filter((one) => !replaced.has(keyOf(one))), ...given]);
}
