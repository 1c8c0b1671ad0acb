/** Concurrent Experiments: slots, units, layers per Service and salts. */

import { name } from "../fields/scalar.js";
import { inOrder, serviceOf } from "../lookup.js";
import { resourceTitle } from "../position.js";
import { type Experiment, qualifiedName, unitText } from "../resource.js";
import type { Check } from "./report.js";

/**
 * A salt with the prefix `NAMESPACE/` belongs to that namespace, like its default salts; all others belong to `default`.
 * Salts are compared only within a namespace, so that the error reveals no names of another one.
 */
export function isForeignSalt({ metadata: { namespace }, spec: { salt } }: Experiment): boolean {
	if (salt === null) return false;
	const cut = salt.indexOf("/");
	const first = salt.slice(0, cut);
	return (cut !== -1 && name.safeParse(first).success ? first : "default") !== namespace;
}

export function layerProblems(check: Check): void {
	const { set, positions, report } = check;
	const salts = new Map<string, Experiment>();
	const inLayer = new Map<string, Experiment[]>();
	const onService = new Map<string, Experiment[]>();
	for (const experiment of set.experiments) {
		const salt = experiment.spec.salt ?? qualifiedName(experiment.metadata);
		const holder = salts.get(salt);
		if (isForeignSalt(experiment)) foreignSalt(check, experiment, salt);
		else if (holder === undefined) salts.set(salt, experiment);
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
				const message = `layer ${experiment.spec.layer.name} is the second to choose variants of Service ${serviceOf(experiment)}: ${resourceTitle(other)} uses layer ${other.spec.layer.name}`;
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

function foreignSalt({ report }: Check, experiment: Experiment, salt: string): void {
	const { namespace } = experiment.metadata;
	const other = namespace === "default" ? "does not begin with another namespace and /" : `begins with ${namespace}/`;
	const hint = `write one that ${other}, or leave it out: it is the Experiment's name then`;
	report(experiment, ["spec", "salt"], `salt ${JSON.stringify(salt)} is not of namespace ${namespace}`, hint);
}

/**
 * @returns the Experiments at the place, in order
 */
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
