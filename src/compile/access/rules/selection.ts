/**
 * Which AccessPolicies select which Services. Indexed by name: each change needs it for all Services, and comparing each
 * with each policy is quadratic.
 */
import { allNamed, grouping, inNamespace, inOrder } from "../../../declare/resources/lookup.js";
import { mayName, namedIn } from "../../../declare/resources/reference.js";
import {
	type AccessPolicy,
	qualifiedName,
	type ReferenceGrant,
	type Service,
} from "../../../declare/resources/resource.js";

const ALL = "*";

/**
 * Whether the policy selects the Service: by its name (or `*` in the policy's namespace) and DataClass. In another
 * namespace, only with a grant.
 */
export function selects(policy: AccessPolicy, service: Service, grants: readonly ReferenceGrant[]): boolean {
	return namesService(policy, service) && holdsFor(policy, service, grants);
}

/** Whether the policy names the Service, granted or not. */
export function namesService({ metadata, spec }: AccessPolicy, service: Service): boolean {
	const { name, namespace } = service.metadata;
	return spec.services.some((written) => {
		if (written === ALL) return metadata.namespace === namespace;
		const named = namedIn(metadata.namespace, written);
		return named.name === name && named.namespace === namespace;
	});
}

/** The policies that select the Service, enforced and shadow, in their order. */
export function policiesOf(
	service: Service,
	policies: readonly AccessPolicy[],
	grants: readonly ReferenceGrant[],
): readonly AccessPolicy[] {
	return policiesNaming(service, policies).filter((policy) => holdsFor(policy, service, grants));
}

/** The policies that name the Service, granted or not, in their order. */
export function policiesNaming({ metadata }: Service, policies: readonly AccessPolicy[]): readonly AccessPolicy[] {
	const groups = byWritten(policies);
	const found = [qualifiedName(metadata), allOf(metadata.namespace)].flatMap((key) => groups.get(key) ?? []);
	return inOrder(found, policies);
}

/** The Services that the policy selects, in their order. */
export function servicesOf(
	policy: AccessPolicy,
	services: readonly Service[],
	grants: readonly ReferenceGrant[],
): readonly Service[] {
	const { namespace } = policy.metadata;
	const named = policy.spec.services.flatMap((written) =>
		written === ALL ? inNamespace(services, namespace) : allNamed(services, namedIn(namespace, written)),
	);
	return inOrder(named, services).filter((service) => holdsFor(policy, service, grants));
}

/** For a policy that names the Service. */
function holdsFor(policy: AccessPolicy, service: Service, grants: readonly ReferenceGrant[]): boolean {
	const { dataClasses } = policy.spec;
	return (
		mayName(policy, service, grants) &&
		(dataClasses.length === 0 || dataClasses.some((written) => isClassOf(policy, written, service)))
	);
}

/** Compares with the Service's own reference: use of a class is granted to the Service, not to the policy. */
function isClassOf({ metadata }: AccessPolicy, written: string, service: Service): boolean {
	if (service.spec.dataClass === null) return false;
	const [asked, own] = [
		namedIn(metadata.namespace, written),
		namedIn(service.metadata.namespace, service.spec.dataClass),
	];
	return asked.name === own.name && asked.namespace === own.namespace;
}

/** Not a valid qualified name of a Service. */
const allOf = (namespace: string): string => `${namespace}/${ALL}`;

const byWritten = grouping<AccessPolicy>(({ metadata: { namespace }, spec }) =>
	spec.services.map((written) => (written === ALL ? allOf(namespace) : qualifiedName(namedIn(namespace, written)))),
);
