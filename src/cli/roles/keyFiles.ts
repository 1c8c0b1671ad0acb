/**
 * Key sets of token issuers that lie in files, for publication: Envoy would read such a file once. What cannot be read,
 * or may not be shown, changes nothing; where there was never anything good, nobody is trusted.
 */
import { createPublicKey, type JsonWebKey } from "node:crypto";
import { open } from "node:fs/promises";
import { isPublicKeySet, NOBODYS_KEY_SET } from "../../compiler/keySet.js";
import { KEYS_BYTES_MAX } from "../../limits.js";
import type { ResourceSet } from "../../resources/resource.js";
import type { Log } from "../../telemetry/log.js";
import type { Meter } from "../../telemetry/meter.js";

export class KeyFiles {
	readonly #good = new Map<string, string>();
	/** What is wrong with a file now; it is logged when that changes. */
	readonly #faults = new Map<string, string>();

	constructor(
		readonly log: Pick<Log, "warn" | "info">,
		readonly meter: Pick<Meter, "gauge">,
	) {}

	/** Looks at all files that the Gateways name. @returns texts by file. Never rejects. */
	async read({ gateways }: ResourceSet): Promise<Readonly<Record<string, string>>> {
		const files = new Set(
			gateways.flatMap(({ spec }) => spec.tokens.flatMap(({ keys }) => (keys.from === "file" ? [keys.file] : []))),
		);
		for (const file of this.#good.keys()) if (!files.has(file)) this.#good.delete(file);
		for (const file of this.#faults.keys()) if (!files.has(file)) this.#faults.delete(file);
		await Promise.all([...files].map((file) => this.#look(file)));
		this.meter.gauge(
			"weir_xds_key_files_unusable",
			"Files of token issuers' keys that cannot be read or are no set of public keys; the last good ones serve.",
			this.#faults.size,
		);
		return Object.fromEntries([...files].map((file) => [file, this.#good.get(file) ?? NOBODYS_KEY_SET]));
	}

	async #look(file: string): Promise<void> {
		const read = await textOf(file);
		const found = "fault" in read ? read : published(read.text);
		if ("text" in found) {
			this.#good.set(file, found.text);
			if (this.#faults.delete(file)) this.log.info("a file of keys is good again", { file });
			return;
		}
		const { fault } = found;
		if (this.#faults.get(file) === fault) return;
		this.#faults.set(file, fault);
		const instead = this.#good.has(file) ? "the keys it had before serve on" : "no token of that issuer holds";
		this.log.warn("a file of keys is not usable", { file, why: fault, instead });
	}
}

type Found = { readonly text: string } | { readonly fault: string };

/** What Envoy's jwt_authn verifies by, and by which algorithms. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
	RSA: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
	"EC P-256": ["ES256"],
	"EC P-384": ["ES384"],
	"EC P-521": ["ES512"],
	"OKP Ed25519": ["EdDSA"],
};

/** Of a key's members; certificates and what else it may have are not for publication. */
const MEMBERS = ["kty", "use", "key_ops", "alg", "kid", "crv", "x", "y", "n", "e"] as const;

/**
 * The keys of a set by which tokens can be verified: Envoy refuses the listener of a set with none, and with it every
 * later change of the Gateway.
 */
function published(text: string): Found {
	if (!isPublicKeySet(text)) return { fault: "is no set of public keys" };
	const { keys } = JSON.parse(text) as { readonly keys: readonly JsonWebKey[] };
	const good = keys.filter(verifies).map((key) => {
		const shown = Object.entries(key).filter(([name]) => MEMBERS.some((member) => member === name));
		return Object.fromEntries(shown);
	});
	return good.length === 0
		? { fault: "has no key that tokens are verified by" }
		: { text: JSON.stringify({ keys: good }) };
}

function verifies(key: JsonWebKey): boolean {
	const kind = key.kty === "RSA" ? "RSA" : `${key.kty} ${key.crv}`;
	const algorithms = Object.hasOwn(ALGORITHMS, kind) ? (ALGORITHMS[kind] ?? []) : [];
	if (algorithms.length === 0 || (key.use !== undefined && key.use !== "sig")) return false;
	if (key.alg !== undefined && !algorithms.includes(String(key.alg))) return false;
	try {
		createPublicKey({ key, format: "jwk" });
		return true;
	} catch {
		return false;
	}
}

async function textOf(path: string): Promise<Found> {
	try {
		const file = await open(path);
		try {
			if (!(await file.stat()).isFile()) return { fault: "is no file" };
			const bytes = Buffer.alloc(KEYS_BYTES_MAX + 1);
			const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
			return bytesRead > KEYS_BYTES_MAX
				? { fault: `is larger than ${KEYS_BYTES_MAX} bytes` }
				: { text: bytes.toString("utf8", 0, bytesRead) };
		} finally {
			await file.close();
		}
	} catch (error) {
		return { fault: `cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown"})` };
	}
}
