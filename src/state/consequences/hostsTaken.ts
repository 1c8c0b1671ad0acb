/**
 * Declarations that take a host from a Service that is under another's rule: its DataClass, or an enforced policy of
 * another namespace. Whoever has the host then is not, so that this takes what it takes to drop the class, or the grant
 * that the policy rests on. A host that nobody has then counts too: the next declaration could give it to anyone. Pure.
 */
import { policiesOf, selects } from "../../access/rules/selection.js";
import { hostMoves } from "../../resources/hostMoves.js";
import { once } from "../../resources/once.js";
import { namedIn } from "../../resources/reference.js";
import { qualifiedName, type Resource, type ResourceSet, type Service } from "../../resources/resource.js";
import { keyOf } from "../store/resourceSet.js";

export interface HostTaken {
	readonly namespace: string;
	/** `takes host a.example from Service records, which has a DataClass` */
	readonly effect: string;
}

type Rules = Pick<ResourceSet, "accessPolicies" | "referenceGrants">;

/** @param changed before null = created, after null = deleted */
export function hostsTaken(
	resources: Rules & Pick<ResourceSet, "services">,
	changed: readonly { readonly before: Resource | null; readonly after: Resource | null }[],
): readonly HostTaken[] {
	const moves = hostMoves(resources.services, changed);
	if (moves.length === 0) return [];
	const freed = freedFrom(rulesAfter(resources, changed));
	return moves.flatMap(({ host, from, to }): HostTaken[] => {
		const lost = from.spec.dataClass !== null && classOf(from) !== (to === null ? null : classOf(to));
		const rule = lost ? "has a DataClass" : freed(from)(to) ? "a policy of another namespace judges" : null;
		if (rule === null) return [];
		const { namespace } = from.metadata;
		return [{ namespace, effect: `takes host ${host} from Service ${qualifiedName(from.metadata)}, which ${rule}` }];
	});
}

function rulesAfter(resources: Rules, changed: Parameters<typeof hostsTaken>[1]): Rules {
	const gone = new Set(changed.flatMap(({ before }) => (before === null ? [] : [keyOf(before)])));
	const fresh = changed.flatMap(({ after }) => (after === null ? [] : [after]));
	const merged = <Item extends Resource>(stored: readonly Item[], kind: Item["kind"]): readonly Item[] => [
		...stored.filter((one) => !gone.has(keyOf(one))),
		...fresh.filter((one): one is Item => one.kind === kind),
	];
	return {
		accessPolicies: merged(resources.accessPolicies, "AccessPolicy"),
		referenceGrants: merged(resources.referenceGrants, "ReferenceGrant"),
	};
}

function classOf({ metadata, spec }: Service): string | null {
	return spec.dataClass === null ? null : qualifiedName(namedIn(metadata.namespace, spec.dataClass));
}

/** Whether a policy of another namespace that stands then would judge the one, and not the other; once for each two. */
function freedFrom({ accessPolicies, referenceGrants }: Rules): (from: Service) => (to: Service | null) => boolean {
	return once((from) => {
		const foreign = policiesOf(from, accessPolicies, referenceGrants).filter(
			({ spec, metadata }) => spec.mode === "enforce" && metadata.namespace !== from.metadata.namespace,
		);
		const isLost = once((to: Service) => foreign.some((policy) => !selects(policy, to, referenceGrants)));
		return (to) => (to === null ? foreign.length > 0 : isLost(to));
	});
}
