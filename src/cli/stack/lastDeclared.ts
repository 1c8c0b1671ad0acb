/**
 * What was declared when `weir up` had declared its files last, as fingerprints: by them the next start knows what somebody else
 * has changed since. Written after the declaration: a start that is cut in between takes its own change for somebody else's, and
 * asks once too often.
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

	async keep(state: readonly Resource[]): Promise<void> {
		await replacePrivate(this.path, JSON.stringify([...fingerprintsOf(state)]));
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
const fingerprintsOf = (state: readonly Resource[]): Fingerprints =>
	new Map(state.filter(({ kind }) => isDeciding(kind)).map((one) => [keyOf(one), fingerprint(one)]));
