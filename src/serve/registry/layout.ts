/**
 * An OCI image layout in a directory (image-spec 1.1, image-layout.md): blobs under their digest and an index. What a writer
 * that is killed leaves is a temporary file or an unused blob: the index is replaced last and at once.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { WeirError } from "../../error.js";
import {
	type Content,
	type Descriptor,
	isDescriptor,
	jsonObject,
	type Manifest,
	parseManifest,
	sha256,
} from "./manifest.js";

/** Annotation with the tag of a manifest in the index (image-spec, annotations.md). */
export const REF_NAME = "org.opencontainers.image.ref.name";
export const CREATED = "org.opencontainers.image.created";
/** Prefix of files that are not complete. */
const TEMPORARY = ".tmp-";

export class Layout {
	constructor(readonly directory: string) {}

	async exists(): Promise<boolean> {
		return (await readIfThere(join(this.directory, "index.json"))) !== null;
	}

	/** @returns descriptors in the order of their first push; none if nothing is stored */
	async index(): Promise<readonly Descriptor[]> {
		const path = join(this.directory, "index.json");
		const bytes = await readIfThere(path);
		if (bytes === null) return [];
		const { manifests } = jsonObject(bytes, path);
		if (!Array.isArray(manifests) || !manifests.every(isDescriptor))
			throw new WeirError("failed-precondition", `${path} is no OCI index`, "restore the store from a copy");
		return manifests;
	}

	/** One writer at a time. */
	async replaceIndex(manifests: readonly Descriptor[]): Promise<void> {
		await mkdir(this.directory, { recursive: true, mode: 0o700 });
		await replaceFile(join(this.directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
		const index = { schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests };
		await replaceFile(join(this.directory, "index.json"), JSON.stringify(index, null, "\t"));
	}

	async put({ bytes, descriptor }: Content): Promise<void> {
		const path = this.#blob(descriptor.digest);
		if (await holds(path, descriptor)) return;
		await replaceFile(path, bytes);
	}

	/** Copies a file into the store while it is hashed. @returns its digest and size */
	async putFile(path: string): Promise<{ readonly digest: string; readonly size: number }> {
		const folder = join(this.directory, "blobs", "sha256");
		await mkdir(folder, { recursive: true, mode: 0o700 });
		const aside = join(folder, `${TEMPORARY}${randomBytes(8).toString("hex")}`);
		const written = await copyHashed(path, aside);
		await rename(aside, this.#blob(written.digest));
		await syncFolder(folder);
		return written;
	}

	/** @throws WeirError `not-found`; `failed-precondition` if the bytes are others */
	async read({ digest, size }: Descriptor, what: string): Promise<Buffer> {
		const bytes = await readIfThere(this.#blob(digest));
		if (bytes === null) throw new WeirError("not-found", `${what}: ${digest} is not in ${this.directory}`);
		if (bytes.length !== size || sha256(bytes) !== digest)
			throw new WeirError("failed-precondition", `${what}: the bytes of ${digest} were changed`, ALTERED_HINT);
		return bytes;
	}

	async manifest(descriptor: Descriptor, what: string): Promise<Manifest> {
		return parseManifest(await this.read(descriptor, what), what);
	}

	/**
	 * Writes a blob to a new file, and checks the bytes on their way: what was checked is what the reader opens.
	 * @throws WeirError `failed-precondition` that names the file
	 */
	async extract(
		file: { readonly path: string; readonly digest: string; readonly size: number },
		to: string,
	): Promise<void> {
		await mkdir(dirname(to), { recursive: true, mode: 0o700 });
		let written: { digest: string; size: number };
		try {
			written = await copyHashed(this.#blob(file.digest), to);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
			throw new WeirError("failed-precondition", `file ${file.path} is missing: ${file.digest}`, ALTERED_HINT, {
				cause: error,
			});
		}
		if (written.digest !== file.digest || written.size !== file.size) {
			await rm(to, { force: true });
			throw new WeirError(
				"failed-precondition",
				`file ${file.path} was changed: it is ${written.digest}, not ${file.digest}`,
				ALTERED_HINT,
			);
		}
	}

	/** Bytes of the blobs that `keep` does not name, and of incomplete files. @param remove false = only count */
	async sweep(keep: ReadonlySet<string>, remove: boolean): Promise<{ readonly blobs: number; readonly bytes: number }> {
		const folder = join(this.directory, "blobs", "sha256");
		let blobs = 0;
		let bytes = 0;
		for (const name of await readdir(folder).catch(() => [])) {
			if (keep.has(`sha256:${name}`)) continue;
			blobs++;
			bytes += (await stat(join(folder, name))).size;
			if (remove) await rm(join(folder, name));
		}
		return { blobs, bytes };
	}

	#blob(digest: string): string {
		return join(this.directory, "blobs", "sha256", digest.slice("sha256:".length));
	}
}

const ALTERED_HINT = "push the model again, or restore the store from a copy";

/** Replaces a file so that a reader, or a restart after kill -9, finds the old bytes or the new ones. */
export async function replaceFile(path: string, bytes: Uint8Array | string): Promise<void> {
	const folder = dirname(path);
	await mkdir(folder, { recursive: true, mode: 0o700 });
	const aside = join(folder, `${TEMPORARY}${randomBytes(8).toString("hex")}`);
	const handle = await open(aside, "wx", 0o644);
	try {
		await handle.writeFile(bytes);
		await handle.sync();
	} finally {
		await handle.close();
	}
	await rename(aside, path);
	await syncFolder(folder);
}

export async function syncFolder(folder: string): Promise<void> {
	const handle = await open(folder, "r");
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

export async function readIfThere(path: string): Promise<Buffer | null> {
	try {
		return await readFile(path);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
		throw error;
	}
}

async function copyHashed(from: string, to: string): Promise<{ digest: string; size: number }> {
	const hash = createHash("sha256");
	let size = 0;
	let target: FileHandle | null = null;
	try {
		const source = createReadStream(from, { highWaterMark: 1024 * 1024 });
		for await (const chunk of source as AsyncIterable<Buffer>) {
			target ??= await open(to, "wx", 0o644);
			hash.update(chunk);
			size += chunk.length;
			await target.writeFile(chunk);
		}
		target ??= await open(to, "wx", 0o644);
		await target.sync();
	} finally {
		await target?.close();
	}
	return { digest: `sha256:${hash.digest("hex")}`, size };
}

/** Whether the blob is there with these bytes: one that is damaged is written again. */
async function holds(path: string, { digest, size }: Descriptor): Promise<boolean> {
	const bytes = await readIfThere(path);
	return bytes !== null && bytes.length === size && sha256(bytes) === digest;
}
