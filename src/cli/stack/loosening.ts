/** What files would allow that a state denies. Pure. */
import { loosened, openings } from "../../access/review/policyLoosened.js";
import { changedSettings } from "../../access/review/policySettings.js";
import { accessTable, isOpen } from "../../access/rules/table.js";
import { resourcesOf } from "../../resources/kinds.js";
import { findNamed } from "../../resources/lookup.js";
import { type Kind, qualifiedName, type Resource, type ResourceSet } from "../../resources/resource.js";
import { keyOf, sortedSet } from "../../state/store/resourceSet.js";

/** Who may operate, and who may name whose: each change of them may give somebody something. */
const TRUST: ReadonlySet<Kind> = new Set(["RoleBinding", "ApprovalPolicy", "ReferenceGrant"]);
/** What says who is let in, and where. */
const DECIDING: ReadonlySet<Kind> = new Set([...TRUST, "AccessPolicy", "DataClass", "Gateway", "Service"]);

export const isDeciding = (kind: Kind): boolean => DECIDING.has(kind);

/** Files as they would change a state. */
export interface Change {
	readonly state: ResourceSet;
	readonly given: ResourceSet;
}

/** Whom the rules of Services that stand would let in and did not, in words. */
export function newlyAllowed({ state, given }: Change): readonly string[] {
	const after = merged(state, resourcesOf(given));
	return state.services.flatMap((was) => {
		const is = findNamed(after.services, was.metadata) ?? was;
		const table = accessTable(is, after.accessPolicies, after.referenceGrants);
		const [first] = openings(accessTable(was, state.accessPolicies, state.referenceGrants), table);
		if (first === undefined) return [];
		if (isOpen(table)) return [`anyone, of Service ${qualifiedName(is.metadata)}`];
		return loosened({ ...state, services: [was] }, { ...after, services: [is] });
	});
}

/**
 * What files would put back of what others have changed: rules of operators, and what decides verdicts beside access rules.
 * @param isForeign by key: whether somebody else has changed it, or taken it away
 */
export function putBack({ state, given }: Change, isForeign: (key: string) => boolean): readonly string[] {
	const foreign = resourcesOf(given).filter((one) => isForeign(keyOf(one)));
	const trusted = foreign.filter(({ kind }) => TRUST.has(kind)).map((one) => `${keyOf(one)} as the files have it`);
	return [...changedSettings(state, merged(state, foreign)), ...trusted];
}

function merged(state: ResourceSet, given: readonly Resource[]): ResourceSet {
	const replaced = new Set(given.map(keyOf));
	return sortedSet([...resourcesOf(state).filter((one) => !replaced.has(keyOf(one))), ...given]);
}
