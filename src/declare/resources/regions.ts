/** Where a Service's data may be processed, by the DataClass that it names. Pure. */
import { findNamed } from "./lookup.js";
import { mayName, namedIn } from "./reference.js";
import type { ResourceSet, Service } from "./resource.js";

/**
 * null = anywhere: it names none. A class that is not declared, or not granted any more, allows no region: nothing leaks
 * meanwhile.
 */
export function regionsOf(
	{ dataClasses, referenceGrants }: Pick<ResourceSet, "dataClasses" | "referenceGrants">,
	service: Service,
): readonly string[] | null {
	if (service.spec.dataClass === null) return null;
	const named = namedIn(service.metadata.namespace, service.spec.dataClass);
	const found = findNamed(dataClasses, named);
	return found !== undefined && mayName(service, found, referenceGrants) ? found.spec.regions : [];
}
