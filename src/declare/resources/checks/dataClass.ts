/**
 * Each Variant of a Service with a DataClass needs an endpoint in its regions. A stored Service does not block changes
 * of a class in another namespace: it then has no endpoints.
 */
import { canonicalAddress } from "../address.js";
import { findNamed } from "../lookup.js";
import { type Named, type Path, resourceTitle } from "../position.js";
import { mayName, namedIn } from "../reference.js";
import type { Endpoint, ResourceSet, Service } from "../resource.js";
import { knownNamed } from "../suggest.js";
import { CLOSED } from "./reference.js";
import type { Check } from "./report.js";

export function dataClassProblems({ set, positions, report, isStored }: Check): void {
	for (const service of set.services) {
		const { dataClass: written, variants } = service.spec;
		if (written === null) continue;
		const { name, namespace } = namedIn(service.metadata.namespace, written);
		if (!mayName(service, { kind: "DataClass", metadata: { name, namespace } }, set.referenceGrants)) continue;
		const isAnothers = namespace !== service.metadata.namespace;
		// Reported by servicesWithoutEndpoints().
		const isReported = isAnothers && isStored(service);
		const dataClass = findNamed(set.dataClasses, { name, namespace });
		if (dataClass === undefined) {
			if (isReported || positions.isBroken({ kind: "DataClass", metadata: { name, namespace } })) continue;
			const message = `unknown DataClass ${JSON.stringify(name)}`;
			report(service, ["spec", "dataClass"], message, () =>
				knownNamed({ name, namespace }, set.dataClasses, "DataClasses"),
			);
			continue;
		}
		const { regions } = dataClass.spec;
		for (const [index, { name: variant, endpoints }] of variants.entries()) {
			const path = ["spec", "variants", index, "endpoints"];
			for (const [at, { address, port, locality }] of endpoints.entries()) {
				if (locality !== null) continue;
				const message = `endpoint ${address}:${port} has no locality, so data of ${resourceTitle(dataClass)} is never sent there`;
				report(service, [...path, at], message, `write locality: {region: ${regions[0]}}`);
			}
			const placed = endpoints.filter(({ locality }) => locality !== null);
			if (isReported || placed.length === 0 || placed.some(isIn(regions))) continue;
			const message = `no endpoint of variant ${variant} is in a region of ${resourceTitle(dataClass)} (${regions.join(", ")})`;
			report(service, path, message, "add an endpoint there, or write [] for a Variant without one");
		}
	}
}

/** One server is in one region: with two, data could go to the wrong one. */
export function regionProblems({ set, positions, report }: Check): void {
	for (const service of set.services) {
		const known = new Map<string, { readonly region: string; readonly path: Path }>();
		for (const [index, { endpoints }] of service.spec.variants.entries()) {
			for (const [at, { address, port, locality }] of endpoints.entries()) {
				if (locality === null) continue;
				const { region } = locality;
				const path = ["spec", "variants", index, "endpoints", at, "locality", "region"];
				const server = `${canonicalAddress(address)} ${port}`;
				const first = known.get(server) ?? { region, path };
				known.set(server, first);
				if (first.region === region) continue;
				const position = positions.at(service, first.path);
				const where = position === null ? "" : ` at ${position.line}:${position.column}`;
				const message = `endpoint ${address}:${port} is in region ${region} here, and in ${first.region}${where}`;
				report(service, path, message, "write in both the region of the server");
			}
		}
	}
}

const isIn =
	(regions: readonly string[]) =>
	({ locality }: Endpoint): boolean =>
		locality !== null && regions.includes(locality.region);

export interface Unplaced {
	readonly resource: Service;
	/** Those without an endpoint; null = all, of a class that is not declared. */
	readonly variants: readonly string[] | null;
	/** For who may read the Service. */
	readonly message: string;
}

/** Services with Variants that a DataClass of another namespace left without endpoints. */
export function servicesWithoutEndpoints({
	services,
	dataClasses,
	referenceGrants,
}: Pick<ResourceSet, "services" | "dataClasses" | "referenceGrants">): readonly Unplaced[] {
	return services.flatMap((service): readonly Unplaced[] => {
		const { dataClass: written, variants } = service.spec;
		if (written === null) return [];
		const metadata = namedIn(service.metadata.namespace, written);
		const named: Named = { kind: "DataClass", metadata };
		// reference.ts reports a revoked grant.
		if (metadata.namespace === service.metadata.namespace || !mayName(service, named, referenceGrants)) return [];
		const regions = findNamed(dataClasses, metadata)?.spec.regions;
		if (regions === undefined) {
			const message = `${resourceTitle(named)} is not declared any more: ${CLOSED}`;
			return [{ resource: service, variants: null, message }];
		}
		const empty = variants.filter(({ endpoints }) => endpoints.length > 0 && !endpoints.some(isIn(regions)));
		if (empty.length === 0) return [];
		const names = empty.map(({ name }) => name);
		const [who, serve] =
			names.length === 1 ? [`variant ${names[0]} has`, "serves"] : [`variants ${names.join(", ")} have`, "serve"];
		const message = `${who} no endpoint in a region of ${resourceTitle(named)} (${regions.join(", ")}) any more, and ${serve} nothing`;
		return [{ resource: service, variants: names, message }];
	});
}
