/**
 * Sent views on disk: an xds that starts anew knows by them what Envoys have that come back, and takes nothing from them
 * before its successor serves. One file each, what went over the wire. Written soon after it is sent, not before: what a
 * crash cuts off in these milliseconds is unknown to the next process, as what a full disk does not take.
 */
import { readFileSync } from "node:fs";
import { mkdir, readdir, realpath, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { WeirError } from "../error.js";
import { DiscoveryResponseSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import { replacePrivate } from "../privateFile.js";
import { requireOwnFolder } from "../socket.js";
import { ENVOY_TYPES, type EnvoyTypeName, receivedResource, TYPE_URLS } from "./resource.js";
import type { RecentViewsBounds } from "./sentViews.js";
import { writeResponse } from "./service.js";
import type { View } from "./snapshot.js";

export interface ViewShelfOptions {
	/** `bytes` are the files'. */
	readonly bounds: RecentViewsBounds;
	/** Told once, until it is well again. */
	readonly onTrouble: (why: string) => void;
}

export class ViewShelf {
	/** Bytes of each that is on the disk, the youngest last. */
	readonly #files = new Map<string, number>();
	/** Not written yet. */
	readonly #due = new Map<string, { readonly type: EnvoyTypeName; readonly version: string; readonly view: View }>();
	#bytes = 0;
	#writing: Promise<void> | null = null;
	#failing = false;

	private constructor(
		readonly directory: string,
		readonly options: ViewShelfOptions,
	) {}

	/**
	 * Makes the folder, and leaves in it what there is room for.
	 * @throws WeirError as requireOwnFolder; the disk's own errors
	 */
	static async open(directory: string, options: ViewShelfOptions): Promise<ViewShelf> {
		await mkdir(directory, { recursive: true, mode: 0o700 });
		requireOwnFolder(await realpath(directory));
		const shelf = new ViewShelf(directory, options);
		const found = await Promise.all(
			(await readdir(directory)).map(async (file) => ({ file, ...(await stat(join(directory, file))) })),
		);
		for (const { file, size } of found.sort((a, b) => a.mtimeMs - b.mtimeMs)) {
			if (NAME.test(file)) shelf.#count(file, size);
			else await rm(join(directory, file), { recursive: true });
		}
		await shelf.#makeRoom();
		return shelf;
	}

	/** Takes a version's view, or a larger one of it. */
	keep(type: EnvoyTypeName, version: string, view: View): void {
		this.#due.set(fileOf(type, version), { type, version, view });
		this.#writing ??= this.#write();
	}

	/** It is in use. */
	touch(type: EnvoyTypeName, version: string): void {
		const file = fileOf(type, version);
		const bytes = this.#files.get(file);
		if (bytes === undefined) return;
		this.#files.delete(file);
		this.#files.set(file, bytes);
	}

	/** null = it is not there, or cannot be read. Blocks for as long as the disk does: an Envoy came back that waits for it. */
	find(type: EnvoyTypeName, version: string): View | null {
		const file = fileOf(type, version);
		const due = this.#due.get(file);
		if (due !== undefined) return due.view;
		// What a client names is no path before this.
		if (!this.#files.has(file)) return null;
		try {
			const { typeUrl, versionInfo, resources } = fromBinary(
				DiscoveryResponseSchema,
				readFileSync(join(this.directory, file)),
			);
			if (typeUrl !== TYPE_URLS[type] || versionInfo !== version) throw new TypeError("it is another version's");
			const view = resources.map((one) => receivedResource(type, one));
			return new Map(view.map((resource) => [resource.name, resource]));
		} catch (error) {
			this.#trouble(error);
			return null;
		}
	}

	/** When all is written. */
	async close(): Promise<void> {
		await this.#writing;
	}

	/** One after the other; a view that has been replaced meanwhile is not written. */
	async #write(): Promise<void> {
		// What is said in one step goes out first.
		await new Promise((resolve) => setImmediate(resolve));
		for (;;) {
			const [next] = this.#due;
			if (next === undefined) break;
			const [file, one] = next;
			try {
				const { type, version, view } = one;
				const response = writeResponse({ type, version, nonce: "", resources: [...view.values()] }, "");
				const bytes = toBinary(DiscoveryResponseSchema, response);
				await replacePrivate(join(this.directory, file), bytes);
				this.#count(file, bytes.length);
				await this.#makeRoom();
				this.#failing = false;
			} catch (error) {
				this.#trouble(error);
			}
			if (this.#due.get(file) === one) this.#due.delete(file);
		}
		this.#writing = null;
	}

	#count(file: string, bytes: number): void {
		this.#bytes += bytes - (this.#files.get(file) ?? 0);
		this.#files.delete(file);
		this.#files.set(file, bytes);
	}

	async #makeRoom(): Promise<void> {
		const { views, bytes, least } = this.options.bounds;
		for (const [oldest, size] of this.#files) {
			if (this.#files.size <= views && (this.#files.size <= least || this.#bytes <= bytes)) return;
			this.#files.delete(oldest);
			this.#bytes -= size;
			await rm(join(this.directory, oldest), { force: true });
		}
	}

	#trouble(error: unknown): void {
		if (!this.#failing) this.options.onTrouble(WeirError.from(error).message);
		this.#failing = true;
	}
}

/** A version is a content's hash. */
const NAME = new RegExp(`^(${ENVOY_TYPES.join("|")})-[0-9a-f]{16}\\.pb$`);

const fileOf = (type: EnvoyTypeName, version: string): string => `${type}-${version}.pb`;
