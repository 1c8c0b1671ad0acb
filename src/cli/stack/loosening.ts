/** What files would allow that a state denies. Pure. */
import { loosened, openings } from "../../access/review/policyLoosened.js";
import { changedSettings } from "../../access/review/policySettings.js";
import { accessTable, isOpen } from "../../access/rules/table.js";
import { resourcesOf } from "../../resources/kinds.js";
import { findNamed } from "../../resources/lookup.js";
import {
	type Kind,
	type Metric,
	qualifiedName,
	type ReferenceGrant,
	type Resource,
	type ResourceSet,
	type RoleBinding,
} from "../../resources/resource.js";
import { keyOf, sortedSet } from "../../state/store/resourceSet.js";

/** What says who is let in, where, and who may do what. */
const DECIDING: ReadonlySet<Kind> = new Set([
	"AccessPolicy",
	"ApprovalPolicy",
	"DataClass",
	"Gateway",
	"Metric",
	"ReferenceGrant",
	"RoleBinding",
	"Service",
]);

export const isDeciding = (kind: Kind): boolean => DECIDING.has(kind);

/** Files as they would change a state. */
export interface Change {
	readonly state: ResourceSet;
	readonly given: ResourceSet;
}

/** Somebody who would be let do what the state denies. */
export interface NewlyAllowed {
	readonly words: string;
	/** Of the resource that alone lets them; null = the rules of a Service, all together. */
	readonly key: string | null;
}

/** Whom the rules of Services that stand would let in and did not; who would operate, send outcomes and name what is another's. */
export function newlyAllowed({ state, given }: Change): readonly NewlyAllowed[] {
	return [
		...letIn(state, merged(state, resourcesOf(given))).map((words) => ({ words, key: null })),
		...given.roleBindings.flatMap((is) => of(is, operators(is, state.roleBindings))),
		...given.referenceGrants.flatMap((is) => of(is, grantees(is, state.referenceGrants))),
		...given.metrics.flatMap((is) => of(is, senders(is, findNamed(state.metrics, is.metadata)))),
	];
}

const of = (resource: Resource, words: string | null): readonly NewlyAllowed[] =>
	words === null ? [] : [{ words, key: keyOf(resource) }];

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

/**
 * What files would put back of what others have changed and newlyAllowed does not tell: who approves, and what decides verdicts
 * beside access rules.
 * @param isByOthers by key: whether somebody else has changed it, or taken it away
 */
export function putBack({ state, given }: Change, isByOthers: (key: string) => boolean): readonly string[] {
	const changed = resourcesOf(given).filter((one) => one.kind !== "Metric" && isByOthers(keyOf(one)));
	const approvals = changed.filter(({ kind }) => kind === "ApprovalPolicy");
	return [
		...changedSettings(state, merged(state, changed)),
		...approvals.map((one) => `${keyOf(one)} as the files have it`),
	];
}

function merged(state: ResourceSet, given: readonly Resource[]): ResourceSet {
	const replaced = new Set(given.map(keyOf));
	return sortedSet([...resourcesOf(state).filter((one) => !replaced.has(keyOf(one))), ...given]);
}
