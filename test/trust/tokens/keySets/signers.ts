/** Key pairs of every size and kind, valid and odd, with their signatures: the signers of a test's key sets. */
import { constants, createHash, generateKeyPairSync, generatePrimeSync, type KeyObject, sign } from "node:crypto";

export type Members = Readonly<Record<string, unknown>>;

export interface Signer {
	readonly name: string;
	/** Its public key in the correct form. */
	readonly jwk: Members;
	/** Algorithms that it can sign by. */
	readonly algorithms: readonly string[];
	/** A signature of the text by the algorithm, base64url; null if the key is too short for it. */
	sign(algorithm: string, text: string): string | null;
}

const RSA = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
const HASH = { "256": "sha256", "384": "sha384", "512": "sha512" } as const;
const hashOf = (algorithm: string) => HASH[algorithm.slice(2) as keyof typeof HASH] ?? "sha256";

function signature(key: KeyObject, algorithm: string, text: string): string | null {
	const data = Buffer.from(text);
	try {
		if (algorithm === "EdDSA") return sign(null, data, key).toString("base64url");
		if (algorithm.startsWith("ES"))
			return sign(hashOf(algorithm), data, { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
		const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
		return sign(hashOf(algorithm), data, { key, ...(algorithm.startsWith("PS") ? pss : {}) }).toString("base64url");
	} catch {
		return null;
	}
}

interface Pair {
	readonly publicKey: KeyObject;
	readonly privateKey: KeyObject;
}

const signer = (name: string, { publicKey, privateKey }: Pair, algorithms: readonly string[]): Signer => ({
	name,
	jwk: { ...publicKey.export({ format: "jwk" }) },
	algorithms,
	sign: (algorithm, text) => signature(privateKey, algorithm, text),
});

const rsa = (modulusLength: number, publicExponent = 65_537): Signer =>
	signer(
		`RSA ${modulusLength} e=${publicExponent}`,
		generateKeyPairSync("rsa", { modulusLength, publicExponent }),
		RSA,
	);

const big = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
const bytesOf = (value: bigint, length = Math.ceil(value.toString(16).length / 2)): Buffer =>
	Buffer.from(value.toString(16).padStart(length * 2, "0"), "hex");

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
	let result = 1n;
	let square = base % modulus;
	for (let rest = exponent; rest > 0n; rest >>= 1n) {
		if ((rest & 1n) === 1n) result = (result * square) % modulus;
		square = (square * square) % modulus;
	}
	return result;
}

/** d with e·d = 1 modulo m, by Euclid. */
function inverse(e: bigint, m: bigint): bigint {
	let [older, newer, rest, next] = [0n, 1n, m, e % m];
	while (next > 0n) [older, newer, rest, next] = [newer, older - (rest / next) * newer, next, rest % next];
	return ((older % m) + m) % m;
}

const COUNT = 32;
const DIGEST_INFO = Buffer.from("3031300d060960864801650304020105000420", "hex");

/** A modulus of many small primes: verifiers see no difference, and a large one is fast to make. */
function manyPrimes(bits: number, e: bigint): Signer {
	const primes: bigint[] = [];
	let n = 1n;
	/** The last prime has the remaining bits of the modulus. */
	for (let tries = 0; n.toString(2).length !== bits; ) {
		const isLast = primes.length === COUNT - 1;
		const size = isLast ? bits - n.toString(2).length + (tries++ % 2) : Math.floor(bits / COUNT);
		const prime = generatePrimeSync(size, { bigint: true });
		if ((prime - 1n) % e === 0n || primes.includes(prime)) continue;
		if (isLast && (n * prime).toString(2).length !== bits) continue;
		primes.push(prime);
		n *= prime;
	}
	const length = Math.ceil(bits / 8);
	const parts = primes.map((prime) => {
		const rest = n / prime;
		return { prime, d: inverse(e, prime - 1n), weight: rest * inverse(rest % prime, prime) };
	});
	/** RFC 8017 8.2.1, by the Chinese remainder theorem. */
	const rs256 = (text: string): string => {
		const digest = Buffer.concat([DIGEST_INFO, createHash("sha256").update(text).digest()]);
		const padding = Buffer.alloc(length - digest.length - 3, 0xff);
		const message = big(Buffer.concat([Buffer.from([0, 1]), padding, Buffer.from([0]), digest]));
		const value = parts.reduce((sum, { prime, d, weight }) => sum + power(message, d, prime) * weight, 0n);
		return bytesOf(value % n, length).toString("base64url");
	};
	return {
		name: `RSA ${bits} e=${e}, of many primes`,
		jwk: { kty: "RSA", n: bytesOf(n).toString("base64url"), e: bytesOf(e).toString("base64url") },
		algorithms: RSA,
		sign: (algorithm, text) => (algorithm === "RS256" ? rs256(text) : null),
	};
}

/** Signers whose keys verify tokens. */
export const GOOD: readonly Signer[] = [
	signer("P-256", generateKeyPairSync("ec", { namedCurve: "P-256" }), ["ES256"]),
	signer("P-256 too", generateKeyPairSync("ec", { namedCurve: "P-256" }), ["ES256"]),
	signer("P-384", generateKeyPairSync("ec", { namedCurve: "P-384" }), ["ES384"]),
	signer("P-521", generateKeyPairSync("ec", { namedCurve: "P-521" }), ["ES512"]),
	signer("Ed25519", generateKeyPairSync("ed25519"), ["EdDSA"]),
	rsa(2_048),
	rsa(2_048, 3),
	manyPrimes(4_096, 65_537n),
	manyPrimes(8_192, 65_537n),
];

/** More keys of one kind than are tried for one token. */
export const MANY: readonly Signer[] = Array.from({ length: 6 }, (_, index) =>
	signer(`P-256 ${index}`, generateKeyPairSync("ec", { namedCurve: "P-256" }), ["ES256"]),
);

/** Signers whose keys are too weak, too large, or of a kind that not every verifier supports. */
export const ODD: readonly Signer[] = [
	rsa(512),
	rsa(1_024),
	rsa(2_048, 5),
	manyPrimes(2_048, 17n),
	manyPrimes(1_536, 3n),
	manyPrimes(8_448, 65_537n),
	signer("secp256k1", generateKeyPairSync("ec", { namedCurve: "secp256k1" }), ["ES256"]),
	signer("Ed448", generateKeyPairSync("ed448"), ["EdDSA"]),
];
