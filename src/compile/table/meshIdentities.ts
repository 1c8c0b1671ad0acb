/**
 * Envoy uses one SVID with control, with the sidecar and with the endpoints of Services. If a Service named control or the
 * sidecar as its identity, clients could reach these as this Envoy. Such a declaration is refused on apply. One that was
 * stored earlier has no endpoints.
 */
import { qualifiedName, type ResourceSet, type Service } from "../../declare/resources/resource.js";
import { isOwnPart } from "../../declare/resources/spiffe.js";

const meshIdentitiesOf = ({ spec }: Service): readonly string[] => (spec.identities ?? []).filter(isOwnPart);

/** The same resources, without endpoints of Services whose identity is a part of the mesh. */
export function withoutMeshIdentities(resources: ResourceSet): ResourceSet {
	if (resources.services.every((service) => meshIdentitiesOf(service).length === 0)) return resources;
	return { ...resources, services: resources.services.map(severed) };
}

function severed(service: Service): Service {
	if (meshIdentitiesOf(service).length === 0) return service;
	const variants = service.spec.variants.map((variant) => ({ ...variant, endpoints: [] }));
	return { ...service, spec: { ...service.spec, variants } };
}

/** Identities because of which withoutMeshIdentities removes endpoints. */
export const meshIdentitiesNamed = ({
	services,
}: ResourceSet): readonly { readonly service: string; readonly id: string }[] =>
	services.flatMap((service) =>
		meshIdentitiesOf(service).map((id) => ({ service: qualifiedName(service.metadata), id })),
	);
