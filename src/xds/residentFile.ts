/**
 * By which DataClass each Service is bound, beside the views that were sent: clients come back to an xds that starts anew with
 * clusters of Services that went meanwhile.
 */
import { readFile } from "node:fs/promises";
import type { Plan } from "../compiler/plan.js";
import { list, object, orNull, text } from "../jsonShape.js";
import { removePrivate, replacePrivate } from "../privateFile.js";
import { qualifiedName } from "../resources/resource.js";

export type Residents = Plan["residents"];

const readBound = list(object({ namespace: text, name: text, dataClass: orNull(text) }));

export class ResidentFile {
	/** What is there, as far as it is ours. */
	#text = "";

	constructor(readonly path: string) {}

	/** None where nothing was kept. @throws the disk's own errors; where it is not what was written here */
	async read(): Promise<Residents> {
		const kept = await readFile(this.path, "utf8").catch((error: NodeJS.ErrnoException) => {
			if (error.code === "ENOENT") return null;
			throw error;
		});
		if (kept === null) return new Map();
		const residents = readBound(JSON.parse(kept)).map(({ namespace, name, dataClass }) => {
			const metadata = { namespace, name };
			return [qualifiedName(metadata), { kind: "Service", metadata, spec: { dataClass } }] as const;
		});
		this.#text = kept;
		return new Map(residents);
	}

	/**
	 * Resolves when it is there.
	 * @throws the disk's own errors; what was there is gone then, but on a disk that takes nothing away either
	 */
	async keep(residents: Residents): Promise<void> {
		const bound = [...residents.values()].map(({ metadata: { namespace, name }, spec: { dataClass } }) => {
			return { namespace, name, dataClass };
		});
		const kept = JSON.stringify(bound);
		if (kept === this.#text) return;
		// A disk that refuses to confirm it may have it all the same.
		this.#text = "";
		try {
			await replacePrivate(this.path, kept);
		} catch (error) {
			// Whoever has been bound since would pass for bound by none. To take it away needs no room.
			await removePrivate(this.path).catch(() => {});
			throw error;
		}
		this.#text = kept;
	}
}
