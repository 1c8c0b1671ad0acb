/** Stored texts that this Weir would refuse: an earlier one took them, and they stand as they were taken. */
import { parseResources } from "../resources/parse.js";
import type { Resource } from "../resources/resource.js";
import { asFile } from "./crossCheck.js";
import type { StoredResource } from "./database.js";

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
