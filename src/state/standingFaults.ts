/**
 * Stored texts that would be refused today: an earlier Weir took them, or with a grant, and they stand as they were
 * taken.
 */
import { standingConditions } from "../resources/checkConditions.js";
import { unplaced } from "../resources/checkDataClass.js";
import { severed } from "../resources/checkReference.js";
import { dearRules } from "../resources/checkRules.js";
import { parseResources } from "../resources/parse.js";
import { resourceTitle } from "../resources/position.js";
import type { Resource, ResourceSet } from "../resources/resource.js";
import { asFile } from "./crossCheck.js";
import type { StoredResource } from "./database.js";
import type { MayRead } from "./visible.js";
import type { StatusAnswer } from "./wire.js";

export interface StandingFault {
	readonly resource: Resource;
	/** For who may read its namespace. */
	readonly words: string;
}

export class StandingFaults {
	/** With the text that has it. Looked for once: what this process takes has none. */
	#found: readonly (StandingFault & { readonly source: string })[] | null = null;

	/** @param stored all that is stored now */
	constructor(private readonly stored: () => readonly StoredResource[]) {}

	/** Those that stand now. The first look reads all that is stored. */
	get now(): readonly StandingFault[] {
		const stored = this.stored();
		this.#found ??= stored.flatMap((one) => {
			const { name, text } = asFile(one);
			const [fault] = parseResources([{ name, text }]).problems;
			if (fault === undefined) return [];
			const { message, hint, position } = fault;
			const where = position === null ? "" : `line ${position.line}: `;
			const words = `its text would be refused today, and stands as it was taken until it is edited: ${where}${message}; ${hint}`;
			return { resource: one.resource, source: one.source, words };
		});
		const texts = new Set(this.#found.length === 0 ? [] : stored.map(({ source }) => source));
		return this.#found.filter(({ source }) => texts.has(source));
	}
}

/**
 * What stands and would be refused today, as `weir status` tells it to a caller.
 * @param resources all that are stored
 */
export function standing(
	resources: ResourceSet,
	faults: readonly StandingFault[],
	mayRead: MayRead,
): Required<Pick<StatusAnswer, "conditions" | "faults">> {
	const told = (all: readonly StandingFault[]) =>
		all
			.filter(({ resource }) => mayRead(resource.metadata.namespace))
			.map(({ resource, words }) => ({ resource: resourceTitle(resource), words }));
	const conditions = told([...standingConditions(resources), ...dearRules(resources)]);
	const others = told(faults).filter((one) => !conditions.some(({ resource }) => resource === one.resource));
	return { conditions, faults: [...others, ...told(severed(resources)), ...told(unplaced(resources))] };
}
