/**
 * Data residency: endpoints outside the regions of a Service's DataClass are removed before compilation, so that no Envoy,
 * mesh or sidecar gets them in any priority. (A mesh with all endpoints and a preference fails over to the others.)
 */
import { regionsOf } from "../../declare/resources/regions.js";
import { type Endpoint, qualifiedName, type ResourceSet, type Service } from "../../declare/resources/resource.js";

/** An endpoint that a Service must not use. */
export interface Excluded {
	/** Qualified name. */
	readonly service: string;
	readonly variant: string;
	readonly endpoint: Endpoint;
	/** e.g. `its region us-east is not a region of DataClass health (ae-dxb)`. */
	readonly why: string;
}

/** The same resources, without the endpoints that are not allowed. */
export function withinRegions(resources: ResourceSet): ResourceSet {
	return { ...resources, services: resources.services.map((service) => restricted(resources, service)) };
}

/** The endpoints that withinRegions removes, and why. */
export function excludedEndpoints(resources: ResourceSet): readonly Excluded[] {
	return resources.services.flatMap((service) => {
		const { spec, metadata } = service;
		const regions = regionsOf(resources, service);
		if (regions === null) return [];
		return spec.variants.flatMap(({ name, endpoints }) =>
			endpoints
				.filter((endpoint) => !isWithin(endpoint, regions))
				.map((endpoint) => ({
					service: qualifiedName(metadata),
					variant: name,
					endpoint,
					why: reason(endpoint, spec.dataClass ?? "", regions),
				})),
		);
	});
}

function restricted(resources: ResourceSet, service: Service): Service {
	const { spec } = service;
	const regions = regionsOf(resources, service);
	if (regions === null) return service;
	const variants = spec.variants.map((variant) => ({
		...variant,
		endpoints: variant.endpoints.filter((endpoint) => isWithin(endpoint, regions)),
	}));
	return { ...service, spec: { ...spec, variants } };
}

const isWithin = ({ locality }: Endpoint, regions: readonly string[]): boolean =>
	locality !== null && regions.includes(locality.region);

function reason({ locality }: Endpoint, dataClass: string, regions: readonly string[]): string {
	const allowed = `DataClass ${dataClass} (${regions.length === 0 ? "not declared, or not granted" : regions.join(", ")})`;
	return locality === null
		? `it has no region, and ${allowed} requires one`
		: `its region ${locality.region} is not a region of ${allowed}`;
}
