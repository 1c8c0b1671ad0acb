/**
 * Which revision files of `weir up` made last: by it the next start knows whether somebody else has changed a resource since.
 * Written after the declaration: a start that is cut in between takes its own change for somebody else's, and asks once too often.
 */
import { readFile } from "node:fs/promises";
import { replacePrivate } from "../../privateFile.js";

export class LastDeclared {
	/** @param path of its file */
	constructor(private readonly path: string) {}

	async keep(revision: number): Promise<void> {
		await replacePrivate(this.path, JSON.stringify({ revision }));
	}

	/** null = there is none that can be read. */
	async revision(): Promise<number | null> {
		try {
			const { revision } = JSON.parse(await readFile(this.path, "utf8")) as { readonly revision?: unknown };
			return typeof revision === "number" ? revision : null;
		} catch {
			return null;
		}
	}
}
