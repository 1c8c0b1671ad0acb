/** Keys for the verification of tokens: bounds of each kind, normal forms, and the order and limits of a set. */
import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import t from "tap";
import { isStrongEd25519Point } from "../../../src/trust/tokens/ed25519Point.js";
import { KEYS_MAX, KEYS_SAME_NAME_MAX, keySetFault, readKeySet } from "../../../src/trust/tokens/keySet.js";
import { publicKey } from "../../../src/trust/tokens/publicKey.js";
import { publishedKeySet } from "../../../src/trust/tokens/publishedKeys.js";

type Members = Readonly<Record<string, unknown>>;

const hex = (digits: string): string => Buffer.from(digits, "hex").toString("base64url");
/** A number of exactly this many bits, odd unless the last byte is given. */
function modulus(bits: number, last?: number): Buffer {
	const bytes = randomBytes(Math.ceil(bits / 8));
	const top = (bits - 1) % 8;
	bytes.writeUInt8(((bytes[0] ?? 0) & ((2 << top) - 1)) | (1 << top), 0);
	bytes.writeUInt8(last ?? (bytes.at(-1) ?? 0) | 1, bytes.length - 1);
	return bytes;
}
const rsa = (n: Buffer, e = "AQAB"): Members => ({ kty: "RSA", n: n.toString("base64url"), e });
const ec = (namedCurve: string): Members =>
	generateKeyPairSync("ec", { namedCurve }).publicKey.export({ format: "jwk" }) as Members;
const fault = (members: Members): string => {
	const key = publicKey(members);
	return typeof key === "string" ? key : "good";
};
const setOf = (...keys: readonly unknown[]) => {
	const set = readKeySet(Buffer.from(JSON.stringify({ keys })));
	if (set === null) throw new Error("no set");
	return set;
};

t.test("an RSA key has 2,048 to 8,192 bits, an odd modulus and an exponent that Envoy accepts", async (t) => {
	for (const bits of [2_048, 2_049, 3_000, 4_096, 8_191, 8_192]) t.equal(fault(rsa(modulus(bits))), "good", `${bits}`);
	for (const bits of [8, 512, 1_024, 2_047, 8_193, 16_384])
		t.equal(fault(rsa(modulus(bits))), `its modulus has ${bits} bits, not 2048 to 8192`);
	const n = modulus(2_048);
	t.equal(fault(rsa(n, hex("03"))), "good");
	for (const e of ["01", "02", "05", "11", "010000", "010003", "0100000001", "010001000000000001"])
		t.match(fault(rsa(n, hex(e))), /exponent/, e);
	t.match(fault(rsa(modulus(2_048, 0x0e))), /even/);
	for (const wrong of [undefined, null, 5, "", "undefined=", "AQA=", "AQAB ", "A", "+/", hex("00")]) {
		t.match(fault({ ...rsa(n), e: wrong }), /n or e is no number/, String(wrong));
		t.match(fault({ ...rsa(n), n: wrong }), /n or e is no number/, String(wrong));
	}
	t.match(fault({ kty: "RSA" }), /n or e/, "which once was published as the text undefined");
	const zeros = rsa(Buffer.concat([Buffer.alloc(2), n]), hex("00010001"));
	t.same(publicKey(zeros), publicKey(rsa(n)), "zeros in front make no other key");
});

t.test("an EC key is a point on its curve with all bytes", async (t) => {
	for (const [curve, alg] of [
		["P-256", "ES256"],
		["P-384", "ES384"],
		["P-521", "ES512"],
	] as const) {
		const key = ec(curve);
		t.match(publicKey(key), { algorithms: [alg] });
		t.match(fault({ ...key, y: key.x }), /no point/, `${curve}: off it`);
		for (const name of ["x", "y"]) {
			const value = String(key[name]);
			for (const wrong of [undefined, 5, "", `${value}=`, value.slice(0, -4), `AA${value}`, value.replace(/.$/, "!")])
				t.match(fault({ ...key, [name]: wrong }), new RegExp(`its ${name} is not`), `${curve}: ${name} ${wrong}`);
		}
		t.match(fault({ ...key, x: hex("00".repeat(32)), y: hex("00".repeat(32)) }), /./);
	}
	const small = ec("P-256");
	t.match(fault({ ...ec("secp256k1"), kid: "k" }), /kty, crv and alg/);
	t.match(fault({ ...small, crv: "P-384" }), /not 48 bytes/);
	// x of P-521 plus the prime has the same number of bytes, but is not a canonical coordinate.
	const large = ec("P-521");
	const x = BigInt(`0x${Buffer.from(String(large.x), "base64url").toString("hex")}`) + 2n ** 521n - 1n;
	t.match(fault({ ...large, x: hex(x.toString(16).padStart(132, "0")) }), /no point/);
});

t.test("an Ed25519 key is a point of large order (RFC 8032, RFC 8037)", async (t) => {
	for (let round = 0; round < 20; round++) {
		const jwk = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }) as Members;
		t.match(publicKey(jwk), { algorithms: ["EdDSA"] });
	}
	// The encodings of points of small order that libsodium refuses, with both signs of x.
	const order8 = [
		...["7a", "fa"].map((last) => `c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03${last}`),
		...["05", "85"].map((last) => `26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc${last}`),
	];
	const small = [
		...["00", "01"].map((first) => first + "00".repeat(30)),
		...["ec", "ed", "ee"].map((first) => first + "ff".repeat(30)),
	].flatMap((digits) => (/f{50}/.test(digits) ? [`${digits}7f`, `${digits}ff`] : [`${digits}00`, `${digits}80`]));
	for (const digits of [...small, ...order8]) t.notOk(isStrongEd25519Point(Buffer.from(digits, "hex")), digits);
	t.notOk(isStrongEd25519Point(Buffer.from(`02${"00".repeat(31)}`, "hex")), "on no curve");
	t.notOk(isStrongEd25519Point(Buffer.alloc(31)));
	t.ok(isStrongEd25519Point(Buffer.from(`58${"66".repeat(31)}`, "hex")), "the base point");
	t.match(fault({ kty: "OKP", crv: "Ed448", x: hex("01".repeat(57)) }), /kty, crv and alg/);
});

t.test("use, key_ops, alg and kid of a key must allow verification", async (t) => {
	const key = ec("P-256");
	for (const fine of [
		{ use: "sig" },
		{ key_ops: ["verify"] },
		{ key_ops: ["sign", "verify"] },
		{ alg: "ES256" },
		{ kid: "" },
	])
		t.equal(fault({ ...key, ...fine, x5c: ["any"] }), "good");
	for (const use of ["enc", "", null, 7]) t.match(fault({ ...key, use }), /use/);
	for (const key_ops of [[], ["sign"], "verify", null]) t.match(fault({ ...key, key_ops }), /use/);
	for (const alg of ["ES384", "RS256", "none", "HS256", "", null, 5]) t.match(fault({ ...key, alg }), /alg/);
	for (const kid of [5, null, ["k"]]) t.match(fault({ ...key, kid }), /kid/);
	for (const secret of ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
		t.match(fault({ ...key, [secret]: null }), /private/, secret);
	t.match(fault({ kty: "constructor", crv: "x" }), /kty/);
});

t.test("two keys are equal if their thumbprints are", async (t) => {
	for (const members of [ec("P-384"), rsa(modulus(2_048))]) {
		const key = publicKey({ ...members, note: "x" });
		if (typeof key === "string") throw new Error(key);
		t.equal(key.thumbprint, await calculateJwkThumbprint({ ...key.jwk }));
		t.equal(key.thumbprint, createHash("sha256").update(JSON.stringify(key.jwk)).digest("base64url"));
	}
});

t.test("two sets are equal if they have the same keys, in any order, with or without duplicates", async (t) => {
	const keys = ["b", "a", undefined, "a"].map((kid) => ({ ...ec("P-256"), kid }));
	const published = publishedKeySet(setOf(...keys));
	for (const other of [keys.toReversed(), [...keys, ...keys], [...keys.slice(2), ...keys.slice(0, 2)]])
		t.equal(publishedKeySet(setOf(...other)), published);
	const shown = (JSON.parse(published) as { keys: { kid?: string; alg: string }[] }).keys;
	t.same(
		shown.map(({ kid }) => kid),
		[undefined, "a", "a", "b"],
	);
	t.same(new Set(shown.map(({ alg }) => alg)), new Set(["ES256"]), "which Envoy would else take any alg for");
	const [one] = keys;
	t.same(
		setOf({ ...rsa(modulus(2_048)), alg: "RS256" }, one, { ...one, use: "enc" }, 5, { ...one, d: "x" }).leftOut,
		["key 4: it is no object", "key 5: it shows a private or symmetric key"],
		"an encryption key is no fault",
	);
});

t.test("the keys of one kid and algorithm are bounded, independent of their order", async (t) => {
	const six = Array.from({ length: 6 }, () => ({ ...ec("P-256"), kid: "k" }));
	const set = setOf(...six);
	t.equal(set.keys.length, KEYS_SAME_NAME_MAX);
	t.equal(set.leftOut.length, 2);
	t.match(set.leftOut[0], /^key \d: more than 4 keys have its name$/);
	t.same(setOf(...six.toReversed()).keys, set.keys);
	const n = modulus(2_048);
	const algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
	t.equal(setOf(...algorithms.map((alg) => ({ ...rsa(n), kid: "k", alg }))).keys.length, 6, "a key for each algorithm");
	t.equal(readKeySet(Buffer.from(JSON.stringify({ keys: Array(KEYS_MAX + 1).fill(six[0]) }))), null);
});

t.test("a set without usable keys is reported with the fault of a key", async (t) => {
	t.equal(keySetFault(setOf()), "it holds no key to verify tokens by");
	t.equal(keySetFault(setOf({ ...ec("P-256"), use: "enc" })), "it holds no key to verify tokens by");
	t.equal(
		keySetFault(setOf({ kty: "RSA" }, 5)),
		"it holds no key that can be used (key 1: its n or e is no number in base64url; and 1 more)",
	);
	t.equal(keySetFault(setOf(5, ec("P-256"))), null);
});
