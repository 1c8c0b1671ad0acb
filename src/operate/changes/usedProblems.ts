/** Names and salts of Experiments that were used before. */
import { experimentSalt } from "../../compile/assignment/experimentTable.js";
import { isForeignSalt } from "../../declare/resources/checks/layer.js";
import { findNamed, grouping } from "../../declare/resources/lookup.js";
import {
	type Experiment,
	namespaceOf,
	type Problem,
	qualifiedName,
	type ResourceSet,
} from "../../declare/resources/resource.js";
import type { CrossChecked } from "./crossCheck.js";
import type { Used } from "./stored.js";

export interface UsedBefore {
	readonly resources: ResourceSet;
	/** The first use of an Experiment name or a salt, however long ago. */
	readonly used: (kind: "name" | "salt", text: string) => Used | undefined;
}

const bySalt = grouping<Experiment>((one) => [experimentSalt(one)]);

/**
 * A salt identifies the groups of an Experiment and a name its evidence, so neither is ever used again. Other checks find
 * two Experiments that use one salt at the same time.
 */
export function usedProblems(
	{ resources, used }: UsedBefore,
	created: ReadonlySet<string>,
	whole: CrossChecked,
): Problem[] {
	const { experiments } = whole.resources;
	const demanding = bySalt(whole.demanding);
	return experiments.flatMap((one): Problem[] => {
		const name = qualifiedName(one.metadata);
		const salt = experimentSalt(one);
		if (created.has(name) && used("name", name) !== undefined) {
			return [
				{
					position: whole.positions.at(one, ["metadata", "name"]),
					message: `the name '${name}' was used by an earlier Experiment`,
					hint: "choose a new name: evidence and decisions are kept by name",
				},
			];
		}
		// A foreign salt is refused by itself, without revealing who used it.
		const stored = findNamed(resources.experiments, one.metadata);
		if (isForeignSalt(one) && stored?.spec.salt !== one.spec.salt) return [];
		const owner = used("salt", salt)?.experiment;
		const twice = (demanding.get(salt) ?? []).some((other) => other !== one);
		if (owner === undefined || twice || (owner === name && !created.has(name))) return [];
		const isOwn = namespaceOf(owner) === one.metadata.namespace;
		return [
			{
				position: whole.positions.at(one, one.spec.salt === null ? ["metadata", "name"] : ["spec", "salt"]),
				message: `the salt '${salt}' was used by ${isOwn ? `Experiment '${owner}'` : "an Experiment of another namespace"}, whose groups would be the same`,
				hint: "choose a new salt, or leave it out and choose a new name",
			},
		];
	});
}
