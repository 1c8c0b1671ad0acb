/**
 * A cache of encoded resources. Encoding is the most expensive part of a publication, so unchanged resources are
 * reused from the previous snapshot. Every route name contains the plan's version, so virtual hosts are cached one by
 * one and the version is replaced in their bytes.
 */
import { createHash } from "node:crypto";
import type { EnvoyResource } from "../../compile/plan/compiledPlan.js";
import type { Steps } from "../../limits/slices.js";
import { contentHash, type EncodedResource, type EnvoyTypeName, encodeResource } from "./resource.js";

/**
 * An encoded route configuration with this virtual host only. Concatenated, such bytes are one configuration with all
 * hosts.
 */
interface KnownHost {
	readonly key: string;
	readonly encoded: EncodedResource;
	readonly version: string;
	/** Offsets of the version in the bytes. */
	readonly offsets: readonly number[];
}

interface Known {
	readonly resources: Map<string, EncodedResource>;
	readonly hosts: Map<string, KnownHost>;
}

const nothing = (): Known => ({ resources: new Map(), hosts: new Map() });

export class Encodings {
	readonly #known = nothing();
	#before: Known;

	/** @param before cache to reuse entries from; null = none */
	constructor(before: Encodings | null) {
		this.#before = before === null ? nothing() : before.#known;
	}

	/** Drops unused entries of the previous cache. Call it after everything is encoded. */
	close(): void {
		this.#before = nothing();
	}

	/** @param version the plan's @throws WeirError like decodeEnvoyResource */
	*encode(type: EnvoyTypeName, json: EnvoyResource, version: string): Steps<EncodedResource> {
		yield;
		if (type === "routes") return yield* this.#routes(json, version);
		return this.#resource(keyOf([JSON.stringify(json)]), () => encodeResource(type, json));
	}

	#resource(key: string, make: () => EncodedResource): EncodedResource {
		const resource = this.#known.resources.get(key) ?? this.#before.resources.get(key) ?? make();
		this.#known.resources.set(key, resource);
		return resource;
	}

	*#routes(json: EnvoyResource, version: string): Steps<EncodedResource> {
		const { virtual_hosts = [], ...rest } = json as EnvoyResource & { readonly virtual_hosts?: readonly object[] };
		const hosts: KnownHost[] = [];
		for (const host of virtual_hosts) {
			hosts.push(this.#host(json["@type"], host, version));
			yield;
		}
		return this.#resource(keyOf([version, JSON.stringify(rest), ...hosts.map(({ key }) => key)]), () =>
			concatenated(encodeResource("routes", rest as EnvoyResource), hosts, version),
		);
	}

	#host(type: string, json: object, version: string): KnownHost {
		const pieces = JSON.stringify(json).split(version);
		// JSON contains no NUL, so different texts have different keys.
		const key = keyOf([String(version.length), pieces.join("\0")]);
		const known = this.#known.hosts.get(key) ?? this.#before.hosts.get(key) ?? knownHost(type, json, key, version);
		// If the bytes contain the version by chance, the entry is not reused.
		if (known.offsets.length === pieces.length - 1) this.#known.hosts.set(key, known);
		return known;
	}
}

function knownHost(type: string, json: object, key: string, version: string): KnownHost {
	const encoded = encodeResource("routes", { "@type": type, virtual_hosts: [json] });
	return { key, encoded, version, offsets: offsetsOf(encoded.bytes, version) };
}

function concatenated(rest: EncodedResource, hosts: readonly KnownHost[], version: string): EncodedResource {
	const bytes = Buffer.concat([rest.bytes, ...hosts.map((host) => withVersion(host, version))]);
	return {
		...rest,
		bytes,
		hash: contentHash(bytes),
		clusters: [...new Set(hosts.flatMap(({ encoded }) => encoded.clusters))],
		parts: hosts.flatMap(({ encoded, version: before }) =>
			encoded.parts.map((part) => ({ ...part, name: part.name.replaceAll(before, version) })),
		),
	};
}

/** The host's bytes with another version of the same length. */
function withVersion({ encoded: { bytes }, version: before, offsets }: KnownHost, version: string): Uint8Array {
	if (before === version) return bytes;
	const copy = Buffer.from(bytes);
	for (const offset of offsets) copy.write(version, offset, "latin1");
	return copy;
}

function offsetsOf(bytes: Uint8Array, text: string): readonly number[] {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const offsets: number[] = [];
	for (let at = buffer.indexOf(text); at !== -1; at = buffer.indexOf(text, at + text.length)) offsets.push(at);
	return offsets;
}

/** The full hash: a collision would serve the wrong resource. */
const keyOf = (texts: readonly string[]): string => createHash("sha256").update(texts.join("\n")).digest("base64");
