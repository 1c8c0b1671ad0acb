/**
 * Declarations that take a host from a Service that is under another's rule: its DataClass, or an enforced policy of
 * another namespace. Whoever has the host then is not, so that this takes what it takes to drop the class, or the grant
 * that the policy rests on. A host that nobody has then counts too: the next declaration could give it to anyone. Pure.
 */
import { policiesOf, selects } from "../access/selection.js";
import { hostOwners } from "../resources/hostOwner.js";
import { namedIn } from "../resources/reference.js";
import { qualifiedName, type Resource, type ResourceSet, type Service } from "../resources/resource.js";
import { keyOf } from "./resourceSet.js";

export interface HostTaken {
	readonly namespace: string;
	/** `takes host a.example from Service records, which has a DataClass` */
	readonly effect: string;
}

type Rules = Pick<ResourceSet, "services" | "accessPolicies" | "referenceGrants">;

/** @param changed before null = created, after null = deleted */
export function hostsTaken(
	resources: Rules,
	changed: readonly { readonly before: Resource | null; readonly after: Resource | null }[],
): readonly HostTaken[] {
	const hosts = new Set(changed.flatMap(({ before, after }) => moving(before, after)));
	if (hosts.size === 0) return [];
	const next = after(resources, changed);
	const services = new Map(next.services.map((one) => [keyOf(one), one]));
	const [was, is] = [hostOwners(resources.services), hostOwners(next.services)];
	return [...hosts].flatMap((host): HostTaken[] => {
		// Some name under a wildcard, which no Service has as its own.
		const name = host.replace(/^\*/, "?");
		const [from, to] = [was(name), is(name)];
		if (from === null || (to !== null && keyOf(to) === keyOf(from))) return [];
		const { namespace } = from.metadata;
		const left = services.get(keyOf(from));
		// Refused by the checks, and none of its author's business (resources/check.ts).
		if (to !== null && to.metadata.namespace !== namespace && left !== undefined && hostOwners([left])(name) !== null)
			return [];
		const lost = from.spec.dataClass !== null && classOf(from) !== (to === null ? null : classOf(to));
		const rule = lost ? "has a DataClass" : isFreed(from, to, next) ? "a policy of another namespace judges" : null;
		return rule === null
			? []
			: [{ namespace, effect: `takes host ${host} from Service ${qualifiedName(from.metadata)}, which ${rule}` }];
	});
}

/** Hosts that only one of both forms has. */
function moving(from: Resource | null, to: Resource | null): readonly string[] {
	const [had, has] = [from, to].map((one) => (one?.kind === "Service" ? one.spec.hosts : [])) as [
		readonly string[],
		readonly string[],
	];
	const [before, now] = [new Set(had), new Set(has)];
	return [...had.filter((host) => !now.has(host)), ...has.filter((host) => !before.has(host))];
}

function after(resources: Rules, changed: Parameters<typeof hostsTaken>[1]): Rules {
	const gone = new Set(changed.flatMap(({ before }) => (before === null ? [] : [keyOf(before)])));
	const fresh = changed.flatMap(({ after: one }) => (one === null ? [] : [one]));
	const merged = <Item extends Resource>(stored: readonly Item[], kind: Item["kind"]): readonly Item[] => [
		...stored.filter((one) => !gone.has(keyOf(one))),
		...fresh.filter((one): one is Item => one.kind === kind),
	];
	return {
		services: merged(resources.services, "Service"),
		accessPolicies: merged(resources.accessPolicies, "AccessPolicy"),
		referenceGrants: merged(resources.referenceGrants, "ReferenceGrant"),
	};
}

function classOf({ metadata, spec }: Service): string | null {
	return spec.dataClass === null ? null : qualifiedName(namedIn(metadata.namespace, spec.dataClass));
}

/** Whether a policy of another namespace that stands then would judge the one, and does not judge the other. */
function isFreed(from: Service, to: Service | null, { accessPolicies, referenceGrants }: Rules): boolean {
	return policiesOf(from, accessPolicies, referenceGrants).some(
		(policy) =>
			policy.spec.mode === "enforce" &&
			policy.metadata.namespace !== from.metadata.namespace &&
			(to === null || !selects(policy, to, referenceGrants)),
	);
}
