/**
 * What was encoded for a snapshot: encoding is the expensive part of a publication, so what stays as it was is taken over from
 * the snapshot before. Every route names the version of its plan, so no route configuration stays as it was: its virtual hosts
 * are known apart, and the version is written into their bytes.
 */
import { createHash } from "node:crypto";
import type { EnvoyResource } from "../../compile/table/plan.js";
import { contentHash, type EncodedResource, type EnvoyTypeName, encodeResource } from "./resource.js";

/** A route configuration without a name that has this virtual host alone: such bytes in a row are one with all of them. */
interface KnownHost {
	readonly key: string;
	readonly encoded: EncodedResource;
	readonly version: string;
	/** Where the version stands in the bytes. */
	readonly places: readonly number[];
}

interface Known {
	readonly resources: Map<string, EncodedResource>;
	readonly hosts: Map<string, KnownHost>;
}

const nothing = (): Known => ({ resources: new Map(), hosts: new Map() });

export class Encodings {
	readonly #known = nothing();
	#before: Known;

	/** @param before what may be taken over; null = nothing */
	constructor(before: Encodings | null) {
		this.#before = before === null ? nothing() : before.#known;
	}

	/** All is encoded: what was not taken over is forgotten. */
	close(): void {
		this.#before = nothing();
	}

	/** @param version the plan's @throws WeirError as decodeEnvoyResource does */
	encode(type: EnvoyTypeName, json: EnvoyResource, version: string): EncodedResource {
		if (type === "routes") return this.#routes(json, version);
		return this.#resource(keyOf([JSON.stringify(json)]), () => encodeResource(type, json));
	}

	#resource(key: string, make: () => EncodedResource): EncodedResource {
		const resource = this.#known.resources.get(key) ?? this.#before.resources.get(key) ?? make();
		this.#known.resources.set(key, resource);
		return resource;
	}

	#routes(json: EnvoyResource, version: string): EncodedResource {
		const { virtual_hosts = [], ...rest } = json as EnvoyResource & { readonly virtual_hosts?: readonly object[] };
		const hosts = virtual_hosts.map((host) => this.#host(json["@type"], host, version));
		return this.#resource(keyOf([version, JSON.stringify(rest), ...hosts.map(({ key }) => key)]), () =>
			joined(encodeResource("routes", rest as EnvoyResource), hosts, version),
		);
	}

	#host(type: string, json: object, version: string): KnownHost {
		const pieces = JSON.stringify(json).split(version);
		// No JSON has a zero in it: other texts have other keys.
		const key = keyOf([String(version.length), pieces.join("\0")]);
		const known = this.#known.hosts.get(key) ?? this.#before.hosts.get(key) ?? knownHost(type, json, key, version);
		// A version that its bytes hold by chance would be written over.
		if (known.places.length === pieces.length - 1) this.#known.hosts.set(key, known);
		return known;
	}
}

function knownHost(type: string, json: object, key: string, version: string): KnownHost {
	const encoded = encodeResource("routes", { "@type": type, virtual_hosts: [json] });
	return { key, encoded, version, places: placesOf(encoded.bytes, version) };
}

function joined(rest: EncodedResource, hosts: readonly KnownHost[], version: string): EncodedResource {
	const bytes = Buffer.concat([rest.bytes, ...hosts.map((host) => written(host, version))]);
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

/** The host's bytes with another version, which is as long. */
function written({ encoded: { bytes }, version: before, places }: KnownHost, version: string): Uint8Array {
	if (before === version) return bytes;
	const copy = Buffer.from(bytes);
	for (const place of places) copy.write(version, place, "latin1");
	return copy;
}

function placesOf(bytes: Uint8Array, text: string): readonly number[] {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const places: number[] = [];
	for (let at = buffer.indexOf(text); at !== -1; at = buffer.indexOf(text, at + text.length)) places.push(at);
	return places;
}

/** Whole, for what is found by it is served instead. */
const keyOf = (texts: readonly string[]): string => createHash("sha256").update(texts.join("\n")).digest("base64");
