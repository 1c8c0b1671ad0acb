/** Regions where a Service's data may be processed, by its DataClass. Pure. */
import { findNamed } from "./lookup.js";
import { mayName, namedIn } from "./reference.js";
import type { ResourceSet, Service } from "./resource.js";

/** null = anywhere, without a DataClass. A class that is missing or no longer granted allows no region. */
export function regionsOf(
	{ dataClasses, referenceGrants }: Pick<ResourceSet, "dataClasses" | "referenceGrants">,
	service: Service,
): readonly string[] | null {
	if (service.spec.dataClass === null) return null;
	const named = namedIn(service.metadata.namespace, service.spec.dataClass);
	const found = findNamed(dataClasses, named);
	return found !== undefined && mayName(service, found, referenceGrants) ? found.spec.regions : [];
}
