/** Where data may be processed: each Variant of a Service with a DataClass needs an endpoint there. */
import { findNamed } from "./lookup.js";
import { resourceTitle } from "./position.js";
import { mayName, namedIn } from "./reference.js";
import type { Check } from "./report.js";
import { knownNamed } from "./suggest.js";

export function dataClassProblems({ set, positions, report }: Check): void {
	for (const service of set.services) {
		const { dataClass: written, variants } = service.spec;
		if (written === null) continue;
		const { name, namespace } = namedIn(service.metadata.namespace, written);
		if (!mayName(service, { kind: "DataClass", metadata: { name, namespace } }, set.referenceGrants)) continue;
		const dataClass = findNamed(set.dataClasses, { name, namespace });
		if (dataClass === undefined) {
			if (positions.isBroken({ kind: "DataClass", metadata: { name, namespace } })) continue;
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
				const message = `endpoint ${address}:${port} does not say where it is, so that data of ${resourceTitle(dataClass)} is never sent there`;
				report(service, [...path, at], message, `write locality: {region: ${regions[0]}}`);
			}
			const placed = endpoints.filter(({ locality }) => locality !== null);
			if (placed.length === 0 || placed.some(({ locality }) => regions.includes(locality?.region ?? ""))) continue;
			const message = `no endpoint of variant ${variant} is in a region of ${resourceTitle(dataClass)} (${regions.join(", ")})`;
			report(service, path, message, "add an endpoint there, or write [] for a Variant without one");
		}
	}
}
