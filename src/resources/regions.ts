/** Where a Service's data may be processed, by the DataClass that it names. Pure. */
import { findNamed } from "./lookup.js";
import type { Named } from "./position.js";
import { mayName, namedIn } from "./reference.js";
import type { ResourceSet, Service } from "./resource.js";

/** What is known of a Service for this, so that it may be asked of one that is gone. */
export interface Resident {
	readonly kind: "Service";
	readonly metadata: Named["metadata"];
	readonly spec: Pick<Service["spec"], "dataClass">;
}

/** By which a Service's regions are known. */
export type RegionRules = Pick<ResourceSet, "dataClasses" | "referenceGrants">;

/**
 * null = anywhere: it names none. A class that is not declared, or not granted any more, allows no region: nothing leaks
 * meanwhile.
 */
export function regionsOf({ dataClasses, referenceGrants }: RegionRules, service: Resident): readonly string[] | null {
	if (service.spec.dataClass === null) return null;
	const named = namedIn(service.metadata.namespace, service.spec.dataClass);
	const found = findNamed(dataClasses, named);
	return found !== undefined && mayName(service, found, referenceGrants) ? found.spec.regions : [];
}
