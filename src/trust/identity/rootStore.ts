/** The CA's roots and their keys on disk: one file (0600) in a folder (0700), replaced as a whole. */
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { WeirError } from "../../error.js";
import { replacePrivate } from "../local/privateFile.js";

/** A stored root; without its key once it is only trusted. */
export interface KeptRoot {
	readonly certificate: string;
	readonly privateKey: string | null;
	/** When its last SVID ends; null for the signing and the next root. */
	readonly untilMs: number | null;
}

/** Newest last. */
export interface KeptRoots {
	readonly trustDomain: string;
	readonly roots: readonly KeptRoot[];
	/** Index of the signing root. */
	readonly signer: number;
}

export class RootStore {
	readonly #file: string;

	private constructor(directory: string) {
		this.#file = join(directory, "roots.json");
	}

	/** Creates the folder. @throws WeirError `failed-precondition` if other users can enter it */
	static async open(directory: string): Promise<RootStore> {
		await mkdir(directory, { recursive: true, mode: 0o700 });
		const { mode } = await stat(directory);
		if ((mode & 0o077) !== 0) {
			throw new WeirError("failed-precondition", `other users can enter ${directory}`, `chmod 700 ${directory}`);
		}
		return new RootStore(directory);
	}

	/** @returns null if there is no file. @throws WeirError if the file is damaged or other users can read it */
	async read(): Promise<KeptRoots | null> {
		let text: string;
		try {
			const { mode } = await stat(this.#file);
			if ((mode & 0o077) !== 0) {
				throw new WeirError("failed-precondition", `other users can read ${this.#file}`, `chmod 600 ${this.#file}`);
			}
			text = await readFile(this.#file, "utf8");
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
			throw error;
		}
		try {
			const kept: KeptRoots = JSON.parse(text);
			const signer = kept.roots[kept.signer];
			if (typeof kept.trustDomain === "string" && typeof signer?.privateKey === "string") return kept;
		} catch {
			// Reported below, without the text, because it holds keys.
		}
		throw new WeirError(
			"failed-precondition",
			`${this.#file} is damaged`,
			"restore a copy, or remove it: then all identities are issued anew and the old ones are not trusted",
		);
	}

	/** Durable when it resolves, because clients may trust the root from then on. */
	async write(kept: KeptRoots): Promise<void> {
		await replacePrivate(this.#file, JSON.stringify(kept));
	}
}
