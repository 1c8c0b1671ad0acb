/**
 * Stored texts that would be refused today: an earlier Weir took them, or with a grant, and they stand as they were
 * taken.
 */
import { lapsedLimits } from "../resources/checks/callout.js";
import { standingConditions } from "../resources/checks/conditions.js";
import { dearRules } from "../resources/checks/rules.js";
import { withdrawn } from "../resources/checks/withdrawn.js";
import { once } from "../resources/once.js";
import { parseResources } from "../resources/parse.js";
import { resourceTitle } from "../resources/position.js";
import { qualifiedName, type Resource, type ResourceSet } from "../resources/resource.js";
import { liveDefault, type Status } from "../rollout/status.js";
import { asFile, phasesOf, withDefault } from "./acts/crossCheck.js";
import type { MayRead } from "./api/visible.js";
import type { StatusAnswer } from "./api/wire.js";
import type { StoredResource } from "./store/database.js";

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
 * @param state all that is stored, and what was learned
 */
export function standing(
	{ resources, status }: { readonly resources: ResourceSet; readonly status: Status },
	faults: readonly StandingFault[],
	mayRead: MayRead,
): Required<Pick<StatusAnswer, "conditions" | "faults">> {
	const told = (all: readonly StandingFault[]) =>
		all
			.filter(({ resource }) => mayRead(resource.metadata.namespace))
			.map(({ resource, words }) => ({ resource: resourceTitle(resource), words }));
	const live = asServed(resources)(status);
	const conditions = told([...standingConditions(resources), ...dearRules(resources, live)]);
	const others = told(faults).filter((one) => !conditions.some(({ resource }) => resource === one.resource));
	const lasting = [...withdrawn(resources), ...lapsedLimits(live)];
	return { conditions, faults: [...others, ...told(lasting)] };
}

/** With the default Variants that are served, and without Experiments that are over. */
const asServed = once((resources: ResourceSet) =>
	once((status: Status): ResourceSet => {
		const { ended } = phasesOf(status);
		return {
			...resources,
			services: resources.services.map((one) => withDefault(one, liveDefault(one, status))),
			experiments: resources.experiments.filter(({ metadata }) => !ended.has(qualifiedName(metadata))),
		};
	}),
);
