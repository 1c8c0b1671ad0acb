/**
 * Pseudonyms of units: HMAC-SHA256 under a key of this installation, cut to 128 bits (RFC 2104 section 5 allows half).
 * A plain hash would not protect users: there are few enough user ids to try them all.
 */
import { createHmac, randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { WeirError } from "../../../error.js";
import { UNIT_CACHE_MAX } from "../../../limits/index.js";
import { Generations } from "./generations.js";

const KEY_BYTES = 32;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export interface Pseudonyms {
	/** 128 bits of the keyed hash of a unit. */
	unit(unit: string): bigint;
	/** 128 bits for a request id: a UUID keeps its own bits, other text is hashed under the key. */
	request(id: string): bigint;
	/** Keyed hash of other text (idempotency keys), in its own domain. */
	text(text: string): bigint;
	/** Identifies the key without revealing it, to check that a store was written under it. */
	readonly fingerprint: string;
}

export function createPseudonyms(key: Uint8Array): Pseudonyms {
	const secret = Buffer.from(key);
	const keyed = (domain: string, text: string): bigint => {
		const hash = createHmac("sha256", secret).update(domain).update(text, "utf8").digest();
		return (hash.readBigUInt64BE(0) << 64n) | hash.readBigUInt64BE(8);
	};
	const recent = new Generations<string, bigint>(UNIT_CACHE_MAX);
	return {
		unit(unit) {
			const known = recent.get(unit);
			if (known !== undefined) return known;
			const hash = keyed("unit:", unit);
			recent.set(unit, hash);
			return hash;
		},
		request: (id) => (UUID.test(id) ? BigInt(`0x${id.replaceAll("-", "")}`) : keyed("request:", id)),
		text: (text) => keyed("text:", text),
		fingerprint: keyed("fingerprint:", "").toString(16).padStart(32, "0"),
	};
}

/**
 * Reads the key file, or creates it (0600) on the first start. Throws `failed-precondition` if the file is missing
 * although a store exists (`mayCreate` false), has another size, or is readable by others.
 */
export function loadPseudonyms(path: string, mayCreate: boolean): Pseudonyms {
	const existing = readKey(path);
	if (existing !== null) return createPseudonyms(existing);
	if (!mayCreate) {
		throw new WeirError(
			"failed-precondition",
			`the unit key ${path} is missing, but the event store beside it was written with one`,
			"put the key file back from its backup, or move the store away to start afresh",
		);
	}
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	const key = randomBytes(KEY_BYTES);
	// Written to a temporary file and renamed, so that a crash leaves no partial key.
	const file = openSync(`${path}.new`, "w", 0o600);
	try {
		writeSync(file, key);
		fsyncSync(file);
	} finally {
		closeSync(file);
	}
	renameSync(`${path}.new`, path);
	return createPseudonyms(key);
}

function readKey(path: string): Buffer | null {
	let key: Buffer;
	try {
		key = readFileSync(path);
	} catch (thrown) {
		if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return null;
		throw new WeirError("failed-precondition", `the unit key ${path} cannot be read`, "check its owner and mode", {
			cause: thrown,
		});
	}
	if (key.length !== KEY_BYTES) {
		throw new WeirError("failed-precondition", `the unit key ${path} has ${key.length} bytes instead of ${KEY_BYTES}`);
	}
	if ((statSync(path).mode & 0o077) !== 0) {
		throw new WeirError("failed-precondition", `the unit key ${path} is open to others`, `chmod 600 ${path}`);
	}
	return key;
}
