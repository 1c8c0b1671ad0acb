/** Experiments side by side: slots, units, layers per Service and salts. */
import { inOrder } from "./lookup.js";
import { resourceTitle } from "./position.js";
import type { Check } from "./report.js";
import { type Experiment, qualifiedName, unitText } from "./resource.js";

export function layerProblems({ set, positions, report }: Check): void {
	const salts = new Map<string, Experiment>();
	const inLayer = new Map<string, Experiment[]>();
	const onService = new Map<string, Experiment[]>();
	for (const experiment of set.experiments) {
		const salt = experiment.spec.salt ?? qualifiedName(experiment.metadata);
		const holder = salts.get(salt);
		if (holder === undefined) salts.set(salt, experiment);
		else {
			const message = `salt ${JSON.stringify(salt)} is in use by ${resourceTitle(holder)}, whose groups would be the same`;
			const path = experiment.spec.salt === null ? ["metadata", "name"] : ["spec", "salt"];
			report(experiment, path, message, "write another spec.salt");
		}
		const { namespace } = experiment.metadata;
		const beside = added(inLayer, `${namespace}/${experiment.spec.layer.name}`, experiment);
		const apart = added(onService, `${namespace}/${experiment.spec.service}`, experiment).filter(
			({ spec }) => spec.layer.name !== experiment.spec.layer.name,
		);
		for (const other of apart.length === 0 ? beside : inOrder([...beside, ...apart], set.experiments)) {
			if (other === experiment) continue;
			const sameLayer = other.spec.layer.name === experiment.spec.layer.name;
			const sameService = other.spec.service === experiment.spec.service;
			if (sameLayer && overlap(other, experiment)) {
				const place = positions.at(other, ["spec", "layer", "slot"]);
				const where = place === null ? "" : ` (${place.file}:${place.line})`;
				const message = `slot overlaps that of ${resourceTitle(other)}${where} in layer ${experiment.spec.layer.name}`;
				report(experiment, ["spec", "layer", "slot"], message, "give experiments of one layer disjoint slots");
			}
			if (!sameService) continue;
			if (!sameLayer) {
				const message = `layer ${experiment.spec.layer.name} is the second to choose variants of Service ${experiment.spec.service}: ${resourceTitle(other)} uses layer ${other.spec.layer.name}`;
				report(
					experiment,
					["spec", "layer", "name"],
					message,
					"put both experiments into one layer, in disjoint slots",
				);
			} else if (unitText(other.spec.unit) !== unitText(experiment.spec.unit)) {
				const message = `unit ${unitText(experiment.spec.unit)} differs from ${unitText(other.spec.unit)} of ${resourceTitle(other)} in the same layer and Service`;
				const place = experiment.spec.unit.from === "header" ? ["spec", "unit", "header"] : ["spec", "unit"];
				report(experiment, place, message, "use one unit per layer of a Service");
			}
		}
	}
}

/** @returns what the place holds with it, in the order of coming */
function added(places: Map<string, Experiment[]>, place: string, experiment: Experiment): readonly Experiment[] {
	const held = places.get(place) ?? [];
	held.push(experiment);
	places.set(place, held);
	return held;
}

function overlap(left: Experiment, right: Experiment): boolean {
	return (
		left.spec.layer.slotLoPpm < right.spec.layer.slotHiPpm && right.spec.layer.slotLoPpm < left.spec.layer.slotHiPpm
	);
}
