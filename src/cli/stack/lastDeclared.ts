/**
 * What files of `weir up` declared last, as fingerprints of each resource as they gave it: by them the next start knows what
 * somebody else has changed since. What a start's files do not give stays as it was given before, so that a start with others
 * makes nobody's revocation its own. Written after the declaration: a start that is cut in between takes its own change for
 * somebody else's, and asks once too often.
 */
import { readFile } from "node:fs/promises";
import { replacePrivate } from "../../privateFile.js";
import type { Resource } from "../../resources/resource.js";
import { fingerprint } from "../../state/approvals/approval.js";
import { keyOf } from "../../state/store/resourceSet.js";
import { isDeciding } from "./loosening.js";

/** By key. */
type Fingerprints = ReadonlyMap<string, string>;

export class LastDeclared {
	/** @param path of its file */
	constructor(private readonly path: string) {}

	/** @param before the state that it was declared on: what counts for the rest where nobody knows what was declared last */
	async keep(given: readonly Resource[], before: readonly Resource[]): Promise<void> {
		const then = (await this.#read()) ?? fingerprintsOf(before);
		await replacePrivate(this.path, JSON.stringify([...new Map([...then, ...fingerprintsOf(given)])]));
	}

	/** What of the state somebody else has changed since, by key, in words; null = nobody knows. */
	async changedSince(state: readonly Resource[]): Promise<ReadonlyMap<string, string> | null> {
		const then = await this.#read();
		if (then === null) return null;
		const now = fingerprintsOf(state);
		const words = [...new Set([...then.keys(), ...now.keys()])].flatMap((key): [string, string][] => {
			const [was, is] = [then.get(key), now.get(key)];
			if (was === is) return [];
			return [[key, `${key} was ${was === undefined ? "created" : is === undefined ? "deleted" : "changed"}`]];
		});
		return new Map(words);
	}

	/** null = there is none that can be read. */
	async #read(): Promise<Fingerprints | null> {
		try {
			return new Map(JSON.parse(await readFile(this.path, "utf8")) as [string, string][]);
		} catch {
			return null;
		}
	}
}

/** Of what decides who is let in. */
const fingerprintsOf = (resources: readonly Resource[]): Fingerprints =>
	new Map(resources.filter(({ kind }) => isDeciding(kind)).map((one) => [keyOf(one), fingerprint(one)]));
