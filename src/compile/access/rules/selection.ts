/**
 * Which AccessPolicies are about which Services. What is asked of one against all is answered by the names that they give:
 * each change asks it of all Services, and each of them against each policy is quadratic.
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
 * Whether the policy is about the Service: its name (or `*` in the policy's namespace) and DataClass. A Service of another
 * namespace is selected while that namespace grants it.
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

/** Of one that names the Service. */
function holdsFor(policy: AccessPolicy, service: Service, grants: readonly ReferenceGrant[]): boolean {
	const { dataClasses } = policy.spec;
	return (
		mayName(policy, service, grants) &&
		(dataClasses.length === 0 || dataClasses.some((written) => isClassOf(policy, written, service)))
	);
}

/** A comparison with what the Service says of itself: that its class may be used is the Service's grant, not the policy's. */
function isClassOf({ metadata }: AccessPolicy, written: string, service: Service): boolean {
	if (service.spec.dataClass === null) return false;
	const [asked, own] = [
		namedIn(metadata.namespace, written),
		namedIn(service.metadata.namespace, service.spec.dataClass),
	];
	return asked.name === own.name && asked.namespace === own.namespace;
}

/** No qualified name of a Service. */
const allOf = (namespace: string): string => `${namespace}/${ALL}`;

const byWritten = grouping<AccessPolicy>(({ metadata: { namespace }, spec }) =>
	spec.services.map((written) => (written === ALL ? allOf(namespace) : qualifiedName(namedIn(namespace, written)))),
);
