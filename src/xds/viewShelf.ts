/**
 * Sent views on disk: an xds that starts anew knows by them what Envoys have that come back, and takes nothing from them
 * before its successor serves. One file each, what went over the wire. Written soon after it is sent, not before: what a
 * crash cuts off in these milliseconds is unknown to the next process, as what a disk that is full until then does not take. By which
 * DataClass the Services in them are bound lies beside them, written before them: with an older binding what a DataClass forbids would
 * pass for what is bound by none, which is worse than unknown.
 */
import { readFileSync } from "node:fs";
import { lstat, mkdir, readdir, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { WeirError } from "../error.js";
import { DiscoveryResponseSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import { XDS_SENT_VIEWS_MIN } from "../limits.js";
import { replacePrivate } from "../privateFile.js";
import { requireOwnFolder } from "../socket.js";
import { within } from "../within.js";
import { ResidentFile, type Residents } from "./residentFile.js";
import { ENVOY_TYPES, type EnvoyTypeName, receivedResource, TYPE_URLS } from "./resource.js";
import type { RecentViewsBounds } from "./sentViews.js";
import { writeResponse } from "./service.js";
import type { View } from "./snapshot.js";

export interface ViewShelfOptions {
	/** `bytes` are the files'. */
	readonly bounds: RecentViewsBounds;
	/** Told once, until it is well again; of views, and of by what Services are bound, each by itself, and of what cannot be read. */
	readonly onTrouble: (why: string) => void;
	/** Told when all is written again, where something was not. */
	readonly onWell?: () => void;
}

/** One that is on the disk. */
interface Kept {
	readonly file: string;
	readonly bytes: number;
	readonly resources: number;
}

interface Due {
	readonly type: EnvoyTypeName;
	readonly version: string;
	readonly view: View;
	/** How often the disk has refused it. */
	refusals: number;
}

type Written = "views" | "residents";

export class ViewShelf {
	/** By type and version, the youngest last. */
	readonly #kept = new Map<string, Kept>();
	/** Not written yet. */
	readonly #due = new Map<string, Due>();
	#bytes = 0;
	#writing: Promise<void> | null = null;
	readonly #failing = new Set<Written>();
	/** That one cannot be read has been told. */
	#toldUnread = false;
	/** Tries again what the disk refused. */
	#again: NodeJS.Timeout | null = null;
	#closed = false;
	readonly #residentFile: ResidentFile;
	#residents: Residents = new Map();
	#dueResidents: Residents | null = null;

	private constructor(
		readonly directory: string,
		readonly options: ViewShelfOptions,
	) {
		this.#residentFile = new ResidentFile(join(directory, RESIDENTS));
	}

	/**
	 * Makes the folder, and leaves in it what there is room for.
	 * @throws WeirError as requireOwnFolder; the disk's own errors
	 */
	static async open(directory: string, options: ViewShelfOptions): Promise<ViewShelf> {
		await mkdir(directory, { recursive: true, mode: 0o700 });
		requireOwnFolder(await realpath(directory));
		const shelf = new ViewShelf(directory, options);
		const files = await readdir(directory);
		const found = await Promise.all(
			files.flatMap((file) => {
				const [, key, resources] = NAME.exec(file) ?? [];
				if (key === undefined) return [];
				const stats = lstat(join(directory, file));
				return [stats.then(({ size, mtimeMs }) => ({ key, file, bytes: size, resources: Number(resources), mtimeMs }))];
			}),
		);
		for (const { key, mtimeMs: _, ...one } of found.sort((a, b) => a.mtimeMs - b.mtimeMs)) shelf.#count(key, one);
		// What a crash cut off; it is in nobody's way.
		const kept = new Set([RESIDENTS, ...[...shelf.#kept.values()].map(({ file }) => file)]);
		for (const file of files) if (!kept.has(file)) await rm(join(directory, file), { force: true }).catch(() => {});
		await shelf.#makeRoom();
		const { path } = shelf.#residentFile;
		try {
			shelf.#residents = await shelf.#residentFile.read();
		} catch (error) {
			options.onTrouble(`${path} cannot be read, ${UNBOUND}: ${WeirError.from(error).message}`);
		}
		return shelf;
	}

	/** As the process before this one kept them; none where that cannot be read. */
	get residents(): Residents {
		return this.#residents;
	}

	/**
	 * Takes by what all are bound of whom clients may be told from now on, or have been.
	 */
	keepResidents(residents: Residents): void {
		this.#dueResidents = residents;
		this.#start();
	}

	/** Takes a version's view, or a larger one of it. */
	keep(type: EnvoyTypeName, version: string, view: View): void {
		this.#due.set(keyOf(type, version), { type, version, view, refusals: 0 });
		// The disk may say nothing for long: no more wait for it than stay in memory however large they are.
		const [oldest] = this.#due.keys();
		if (this.#due.size > XDS_SENT_VIEWS_MIN && oldest !== undefined) this.#due.delete(oldest);
		this.#start();
	}

	/** Resources of the largest view of the version that is here; without reading it. */
	sizeOf(type: EnvoyTypeName, version: string): number {
		const key = keyOf(type, version);
		return this.#due.get(key)?.view.size ?? this.#kept.get(key)?.resources ?? 0;
	}

	/** It is in use. */
	touch(type: EnvoyTypeName, version: string): void {
		const key = keyOf(type, version);
		const one = this.#kept.get(key);
		if (one === undefined) return;
		this.#kept.delete(key);
		this.#kept.set(key, one);
	}

	/** null = it is not there, or cannot be read. Blocks for as long as that takes: an Envoy came back that waits for it. */
	find(type: EnvoyTypeName, version: string): View | null {
		const key = keyOf(type, version);
		const due = this.#due.get(key);
		if (due !== undefined) return due.view;
		// What a client names is no path before this.
		const kept = this.#kept.get(key);
		if (kept === undefined) return null;
		try {
			const { typeUrl, versionInfo, resources } = fromBinary(
				DiscoveryResponseSchema,
				readFileSync(join(this.directory, kept.file)),
			);
			if (typeUrl !== TYPE_URLS[type] || versionInfo !== version) throw new TypeError("it is another version's");
			const view = resources.map((one) => receivedResource(type, one));
			return new Map(view.map((resource) => [resource.name, resource]));
		} catch (error) {
			if (!this.#toldUnread) this.options.onTrouble(WeirError.from(error).message);
			this.#toldUnread = true;
			// It is sent again, and kept then.
			this.#kept.delete(key);
			this.#bytes -= kept.bytes;
			return null;
		}
	}

	/** When all is written, or the disk has had a second for it. */
	async close(): Promise<void> {
		if (this.#isDue) this.#start();
		this.#closed = true;
		await within(CLOSING_MS, this.#writing);
	}

	/**
	 * One after the other; a view that has been replaced meanwhile is not written. Until the disk refuses one: it is tried again, and a
	 * disk that is full for long is asked for one at a time, of which each is made whole before. Who was refused comes after who was not.
	 */
	async #write(): Promise<void> {
		if (this.#again !== null) clearTimeout(this.#again);
		// What is said in one step goes out first.
		await new Promise((resolve) => setImmediate(resolve));
		for (;;) {
			const residents = this.#dueResidents;
			const [next] = [...this.#due].sort(([, a], [, b]) => a.refusals - b.refusals);
			if (residents !== null) {
				if (!(await this.#triedResidents(residents))) break;
				if (this.#dueResidents === residents) this.#dueResidents = null;
			} else if (next !== undefined) {
				const [key, one] = next;
				if (!(await this.#tried(key, one))) break;
				if (this.#due.get(key) === one) this.#due.delete(key);
			} else break;
		}
		this.#writing = null;
		if (!this.#isDue) this.#well();
		else if (!this.#closed) this.#again = setTimeout(() => this.#start(), AGAIN_MS);
	}

	get #isDue(): boolean {
		return this.#dueResidents !== null || this.#due.size > 0;
	}

	#start(): void {
		this.#writing ??= this.#write();
	}

	/** @returns whether it is there */
	async #triedResidents(residents: Residents): Promise<boolean> {
		try {
			await this.#residentFile.keep(residents);
			return true;
		} catch (error) {
			this.#trouble("residents", error, `${this.#residentFile.path} cannot be written, nor what follows it: `);
			return false;
		}
	}

	/** @returns whether it is there */
	async #tried(key: string, one: Due): Promise<boolean> {
		try {
			await this.#replace(key, one);
			await this.#makeRoom();
			return true;
		} catch (error) {
			one.refusals++;
			this.#trouble("views", error);
			return false;
		}
	}

	async #replace(key: string, { type, version, view }: Due): Promise<void> {
		const response = writeResponse({ type, version, nonce: "", resources: [...view.values()] }, "");
		const bytes = toBinary(DiscoveryResponseSchema, response);
		const file = `${key}.${view.size}.pb`;
		await replacePrivate(join(this.directory, file), bytes);
		const before = this.#kept.get(key);
		this.#count(key, { file, bytes: bytes.length, resources: view.size });
		if (before !== undefined && before.file !== file) await rm(join(this.directory, before.file), { force: true });
	}

	#count(key: string, one: Kept): void {
		this.#bytes += one.bytes - (this.#kept.get(key)?.bytes ?? 0);
		this.#kept.delete(key);
		this.#kept.set(key, one);
	}

	async #makeRoom(): Promise<void> {
		const { views, bytes, least } = this.options.bounds;
		for (const [oldest, one] of this.#kept) {
			if (this.#kept.size <= views && (this.#kept.size <= least || this.#bytes <= bytes)) return;
			this.#kept.delete(oldest);
			this.#bytes -= one.bytes;
			await rm(join(this.directory, one.file), { force: true });
		}
	}

	#trouble(what: Written, error: unknown, words = ""): void {
		if (!this.#failing.has(what)) this.options.onTrouble(`${words}${WeirError.from(error).message}`);
		this.#failing.add(what);
	}

	#well(): void {
		if (this.#failing.size > 0) this.options.onWell?.();
		this.#failing.clear();
		this.#toldUnread = false;
	}
}

const CLOSING_MS = 1_000;
/** Nothing may be sent for days, which would write it. */
const AGAIN_MS = 2_000;

const RESIDENTS = "residents.json";

/** What follows where nobody knows it any more. */
const UNBOUND = "so that endpoints of Services that are gone serve in every region until the routes have left them";

/** A version is a content's hash; then, how many resources. */
const NAME = new RegExp(`^((?:${ENVOY_TYPES.join("|")})-[0-9a-f]{16})\\.([0-9]+)\\.pb$`);

const keyOf = (type: EnvoyTypeName, version: string): string => `${type}-${version}`;
