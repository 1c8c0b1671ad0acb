/**
 * The form of a stored model: an OCI image manifest (image-spec 1.1) whose artifact type, config and layers are those of the
 * CNCF ModelPack (modelpack/model-spec, docs/spec.md). The bytes depend on the files alone, so the digest is the identity of
 * the model: no time, no version.
 */
import { createHash } from "node:crypto";
import { WeirError } from "../../error.js";

export const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";
const MODEL_TYPE = "application/vnd.cncf.model.manifest.v1+json";
const CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json";
const WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw";
const WEIGHT_CONFIG_TYPE = "application/vnd.cncf.model.weight.config.v1.raw";
const DOC_TYPE = "application/vnd.cncf.model.doc.v1.raw";
const EMPTY_TYPE = "application/vnd.oci.empty.v1+json";
/** Path of the file in the model's folder (model-spec, docs/annotations.md). */
const FILE_PATH = "org.cncf.model.filepath";

/** OCI content descriptor (image-spec, descriptor.md). */
export interface Descriptor {
	readonly mediaType: string;
	/** `sha256:` and 64 hexadecimal digits. */
	readonly digest: string;
	/** Bytes. */
	readonly size: number;
	readonly artifactType?: string;
	readonly annotations?: Readonly<Record<string, string>>;
}

/** OCI image manifest (image-spec, manifest.md). */
export interface Manifest {
	readonly schemaVersion: 2;
	readonly mediaType: typeof MANIFEST_TYPE;
	readonly artifactType?: string;
	readonly config: Descriptor;
	readonly layers: readonly Descriptor[];
	/** The manifest that this one says something about: a signature, a gate's result. */
	readonly subject?: Descriptor;
	readonly annotations?: Readonly<Record<string, string>>;
}

/** A file of a model. */
export interface ModelEntry {
	/** Relative, with `/`. */
	readonly path: string;
	readonly digest: string;
	/** Bytes. */
	readonly size: number;
}

/** Content to store under its own digest. */
export interface Content {
	readonly bytes: Uint8Array;
	readonly descriptor: Descriptor;
}

export const sha256 = (bytes: Uint8Array | string): string =>
	`sha256:${createHash("sha256").update(bytes).digest("hex")}`;

export const isDigest = (text: string): boolean => /^sha256:[0-9a-f]{64}$/.test(text);

/** The manifest of a model and its config. @param files in any order */
export function modelManifest(name: string, files: readonly ModelEntry[]): { manifest: Content; config: Content } {
	const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
	const config = content(CONFIG_TYPE, {
		descriptor: { name },
		modelfs: { type: "layers", diffIds: sorted.map(({ digest }) => digest) },
		config: { format: "onnx" },
	});
	const layers = sorted.map(
		({ path, digest, size }): Descriptor => ({
			mediaType: layerType(path),
			digest,
			size,
			annotations: { [FILE_PATH]: path, "org.opencontainers.image.title": path },
		}),
	);
	const manifest = content(MANIFEST_TYPE, {
		schemaVersion: 2,
		mediaType: MANIFEST_TYPE,
		artifactType: MODEL_TYPE,
		config: config.descriptor,
		layers,
	} satisfies Manifest);
	return { config, manifest: { ...manifest, descriptor: { ...manifest.descriptor, artifactType: MODEL_TYPE } } };
}

/** A statement about a stored model, such as a signature: a manifest of its own whose subject is the model's. */
export function statementManifest(
	subject: Descriptor,
	type: string,
	document: Uint8Array,
): { manifest: Content; blobs: readonly Content[] } {
	const config = { bytes: Buffer.from("{}"), descriptor: descriptorOf(EMPTY_TYPE, Buffer.from("{}")) };
	const layer = { bytes: document, descriptor: descriptorOf(type, document) };
	const { mediaType, digest, size } = subject;
	const manifest = content(MANIFEST_TYPE, {
		schemaVersion: 2,
		mediaType: MANIFEST_TYPE,
		artifactType: type,
		config: config.descriptor,
		layers: [layer.descriptor],
		subject: { mediaType, digest, size },
	} satisfies Manifest);
	return {
		manifest: { ...manifest, descriptor: { ...manifest.descriptor, artifactType: type } },
		blobs: [config, layer],
	};
}

/** The files of a model. @throws WeirError `failed-precondition` if the manifest is no model's, or names an unsafe path */
export function filesOf(manifest: Manifest, what: string): readonly ModelEntry[] {
	if (manifest.artifactType !== MODEL_TYPE)
		throw new WeirError("failed-precondition", `${what} is no model`, "push models with `weir model push`");
	const files = manifest.layers.map(({ digest, size, annotations }): ModelEntry => {
		const path = annotations?.[FILE_PATH] ?? "";
		const why = unsafePath(path);
		if (why !== null)
			throw new WeirError("failed-precondition", `${what}: layer ${digest} has the path ${quoted(path)}: ${why}`);
		return { path, digest, size };
	});
	if (new Set(files.map(({ path }) => path)).size !== files.length)
		throw new WeirError("failed-precondition", `${what} lists one path twice`);
	return files;
}

/** @throws WeirError `failed-precondition` */
export function parseManifest(bytes: Uint8Array, what: string): Manifest {
	const parsed = jsonObject(bytes, what) as unknown as Manifest;
	const sound =
		parsed.schemaVersion === 2 &&
		isDescriptor(parsed.config) &&
		Array.isArray(parsed.layers) &&
		parsed.layers.every(isDescriptor) &&
		(parsed.subject === undefined || isDescriptor(parsed.subject));
	if (!sound) throw new WeirError("failed-precondition", `${what} is no OCI image manifest`);
	return parsed;
}

/** @throws WeirError `failed-precondition` */
export function jsonObject(bytes: Uint8Array, what: string): Record<string, unknown> {
	try {
		const parsed: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
		if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
			return parsed as Record<string, unknown>;
	} catch {
		// Falls through: the parser's message would quote the content.
	}
	throw new WeirError("failed-precondition", `${what} is not a JSON object`);
}

/** @returns why a path may not be a model's file; null = it may */
export function unsafePath(path: string): string | null {
	if (path === "") return "it is empty";
	if (path.startsWith("/") || /^[A-Za-z]:/.test(path)) return "it is absolute";
	if (path.includes("\\")) return "it holds a backslash";
	// biome-ignore lint/suspicious/noControlCharactersInRegex: such names are refused
	if (/[\u0000-\u001f\u007f]/.test(path)) return "it holds a control character";
	if (path.split("/").some((part) => part === "" || part === "." || part === ".."))
		return "it holds an empty part, '.' or '..'";
	return Buffer.byteLength(path) > PATH_BYTES_MAX ? `it is longer than ${PATH_BYTES_MAX} bytes` : null;
}

const PATH_BYTES_MAX = 1_024;

export const quoted = (text: string): string => JSON.stringify(text.slice(0, 200));

export function isDescriptor(value: unknown): value is Descriptor {
	if (typeof value !== "object" || value === null) return false;
	const { mediaType, digest, size } = value as Partial<Descriptor>;
	return (
		typeof mediaType === "string" &&
		typeof digest === "string" &&
		isDigest(digest) &&
		Number.isSafeInteger(size) &&
		(size as number) >= 0
	);
}

function layerType(path: string): string {
	if (/\.(md|txt)$/i.test(path) || /(^|\/)(README|LICENSE)$/i.test(path)) return DOC_TYPE;
	return /\.(ya?ml|json)$/i.test(path) ? WEIGHT_CONFIG_TYPE : WEIGHT_TYPE;
}

const content = (mediaType: string, json: object): Content => {
	const bytes = Buffer.from(JSON.stringify(json));
	return { bytes, descriptor: descriptorOf(mediaType, bytes) };
};

const descriptorOf = (mediaType: string, bytes: Uint8Array): Descriptor => ({
	mediaType,
	digest: sha256(bytes),
	size: bytes.length,
});
