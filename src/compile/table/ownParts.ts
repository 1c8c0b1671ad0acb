/**
 * Envoy shows one SVID to control, to the sidecar and to the endpoints of Services. A Service that named one of the first
 * two would let every client speak to it as this Envoy. Such a declaration is refused where it is made; one that was
 * stored before, or came around that check, has no endpoints here.
 */
import { qualifiedName, type ResourceSet, type Service } from "../../declare/resources/resource.js";
import { isOwnPart } from "../../declare/resources/spiffe.js";

const ownParts = ({ spec }: Service): readonly string[] => (spec.identities ?? []).filter(isOwnPart);

/** The same resources; a Service that names a part of the mesh as its endpoints' identity has none. */
export function withoutOwnParts(resources: ResourceSet): ResourceSet {
	if (resources.services.every((service) => ownParts(service).length === 0)) return resources;
	return { ...resources, services: resources.services.map(severed) };
}

function severed(service: Service): Service {
	if (ownParts(service).length === 0) return service;
	const variants = service.spec.variants.map((variant) => ({ ...variant, endpoints: [] }));
	return { ...service, spec: { ...service.spec, variants } };
}

/** What withoutOwnParts takes endpoints away for. */
export const ownPartsNamed = ({
	services,
}: ResourceSet): readonly { readonly service: string; readonly id: string }[] =>
	services.flatMap((service) => ownParts(service).map((id) => ({ service: qualifiedName(service.metadata), id })));
