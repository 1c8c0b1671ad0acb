/**
 * What happened to the models of a store, in one order: an append-only file of CloudEvents 1.0, one a line. Each event names
 * the hash of the line before (`previoushash`), so a line that was changed, removed or put in is found.
 */
import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { WeirError } from "../../error.js";
import { readIfThere, syncFolder } from "./layout.js";
import { jsonObject, sha256 } from "./manifest.js";

/** pushed: a version. gated: a gate ran. promoted: an alias moved. removed: by gc. */
export type ModelEventKind = "pushed" | "gated" | "promoted" | "removed";

/** CloudEvents 1.0, JSON format; `type` is `dev.weir.model.` and the kind. */
export interface ModelEvent {
	readonly specversion: "1.0";
	/** Position in the log, from 1. */
	readonly id: string;
	readonly source: string;
	readonly type: `dev.weir.model.${ModelEventKind}`;
	/** Name of the model. */
	readonly subject: string;
	/** RFC 3339, UTC. */
	readonly time: string;
	/** sha256 of the line before, without its line feed; of nothing for the first. */
	readonly previoushash: string;
	readonly data: ModelEventData;
}

export interface ModelEventData {
	readonly actor: string;
	/** Digest of the model that the event is about; null = an alias that names none any more. */
	readonly digest: string | null;
	readonly version?: string;
	readonly reason?: string;
	readonly alias?: string;
	/** promoted: the digest before; null = the alias was new. */
	readonly from?: string | null;
	/** promoted: the event (id) that this one takes back. */
	readonly reverts?: string;
	/** gated. */
	readonly gate?: string;
	readonly passed?: boolean;
}

/** Longest log that is read: a thousand moves a day fill it in ten years. */
const LOG_BYTES_MAX = 2 * 1024 ** 3;

export class ModelLog {
	constructor(readonly path: string) {}

	/** @throws WeirError `failed-precondition` that names the first line that does not follow from the one before */
	async events(): Promise<readonly ModelEvent[]> {
		return (await this.#read()).events;
	}

	/** Durable when it resolves. One writer at a time (lock.ts). */
	async append(kind: ModelEventKind, subject: string, data: ModelEventData, atMs: number): Promise<ModelEvent> {
		const { events, previous, end } = await this.#read();
		const event: ModelEvent = {
			specversion: "1.0",
			id: String(events.length + 1),
			source: "/weir/models",
			type: `dev.weir.model.${kind}`,
			subject,
			time: new Date(atMs).toISOString(),
			previoushash: previous,
			data,
		};
		await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
		const handle = await open(this.path, "a");
		try {
			// A writer that was killed left a part of a line.
			await handle.truncate(end);
			await handle.writeFile(`${JSON.stringify(event)}\n`);
			await handle.sync();
		} finally {
			await handle.close();
		}
		await syncFolder(dirname(this.path));
		return event;
	}

	async #read(): Promise<{ events: readonly ModelEvent[]; previous: string; end: number }> {
		const bytes = (await readIfThere(this.path)) ?? Buffer.alloc(0);
		if (bytes.length > LOG_BYTES_MAX)
			throw new WeirError("resource-exhausted", `${this.path} is too large`, "begin a new store");
		// Bytes behind the last line feed were never acknowledged.
		const end = bytes.lastIndexOf(0x0a) + 1;
		let previous = sha256("");
		const events: ModelEvent[] = [];
		for (let start = 0; start < end; ) {
			const stop = bytes.indexOf(0x0a, start);
			const line = bytes.subarray(start, stop);
			const where = `${this.path}:${events.length + 1}`;
			const event = jsonObject(line, where) as unknown as ModelEvent;
			if (event.previoushash !== previous || event.id !== String(events.length + 1))
				throw new WeirError(
					"failed-precondition",
					`${where}: the line does not follow from the one before: the log was changed`,
					"restore it from a copy",
				);
			previous = sha256(line);
			events.push(event);
			start = stop + 1;
		}
		return { events, previous, end };
	}
}
