/** Invalid tokens of every kind (the matrix of jwt_tool and the CVE list), and the valid one they are made from. */
import { createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { LENGTHENED } from "../compile/envoy/secure/lengthened.js";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const otherEc = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed = generateKeyPairSync("ed25519");
/** RSA keys with public exponent 3, and of sizes that can be factored. */
const rsa3 = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 });
const rsa5 = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 5 });
const rsa512 = generateKeyPairSync("rsa", { modulusLength: 512 });
const rsa1024 = generateKeyPairSync("rsa", { modulusLength: 1024 });
/** More of one name than are tried, in the order of their thumbprints. */
const many = Array.from({ length: 5 }, () => generateKeyPairSync("ec", { namedCurve: "P-256" })).sort((one, other) =>
	thumbprint(one.publicKey) < thumbprint(other.publicKey) ? -1 : 1,
);

export const ISSUER = "https://issuer.test";
export const AUDIENCE = "weir";

const jwk = (key: KeyObject, kid: string, alg: string): object => ({
	...key.export({ format: "jwk" }),
	kid,
	alg,
	use: "sig",
});

/** RFC 7638, for a key of a curve. */
function thumbprint(key: KeyObject): string {
	const { crv, kty, x, y } = key.export({ format: "jwk" });
	return createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
}

/** What the issuer publishes. */
export const KEY_SET = JSON.stringify({
	keys: [
		jwk(rsa.publicKey, "rsa", "RS256"),
		jwk(ec.publicKey, "ec", "ES256"),
		jwk(ed.publicKey, "ed", "EdDSA"),
		jwk(rsa3.publicKey, "rsa3", "RS256"),
		jwk(rsa5.publicKey, "rsa5", "RS256"),
		jwk(rsa512.publicKey, "rsa512", "RS256"),
		jwk(rsa1024.publicKey, "rsa1024", "RS256"),
		{ ...ec.publicKey.export({ format: "jwk" }), kid: "bare" },
		...many.toReversed().map(({ publicKey }) => jwk(publicKey, "many", "ES256")),
	],
});

const b64 = (value: unknown): string =>
	Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

type Signer = (signed: string) => string;

const es256 =
	(key: KeyObject): Signer =>
	(signed) =>
		sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
const rs256Of =
	(key: KeyObject): Signer =>
	(signed) =>
		sign("sha256", Buffer.from(signed), key).toString("base64url");
const rs256 = rs256Of(rsa.privateKey);
const eddsa: Signer = (signed) => sign(null, Buffer.from(signed), ed.privateKey).toString("base64url");
const hs256 =
	(secret: string | Buffer): Signer =>
	(signed) =>
		createHmac("sha256", secret).update(signed).digest("base64url");
const fixed =
	(signature: string): Signer =>
	() =>
		signature;

const now = (): number => Math.floor(Date.now() / 1_000);

export function claims(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
	return { iss: ISSUER, sub: "alice", aud: AUDIENCE, iat: now() - 10, exp: now() + 600, jti: "j1", ...more };
}

/** @param header and payload as objects, or as the very text */
export function token(header: unknown, payload: unknown, signer: Signer): string {
	const signed = `${b64(header)}.${b64(payload)}`;
	return `${signed}.${signer(signed)}`;
}

const EC = { alg: "ES256", kid: "ec", typ: "JWT" };
const own = es256(ec.privateKey);

export const valid = (more: Readonly<Record<string, unknown>> = {}): string => token(EC, claims(more), own);

export const GOOD: Readonly<Record<string, () => string>> = {
	ES256: () => valid(),
	RS256: () => token({ alg: "RS256", kid: "rsa" }, claims(), rs256),
	EdDSA: () => token({ alg: "EdDSA", kid: "ed" }, claims(), eddsa),
	"RS256 with the exponent 3": () => token({ alg: "RS256", kid: "rsa3" }, claims(), rs256Of(rsa3.privateKey)),
	"ES256 by a key that names no alg": () => token({ alg: "ES256", kid: "bare" }, claims(), own),
	...Object.fromEntries(
		many
			.slice(0, 4)
			.map(({ privateKey }, index) => [
				`ES256 by key ${index + 1} of one name`,
				() => token({ alg: "ES256", kid: "many" }, claims(), es256(privateKey)),
			]),
	),
};

const spki = (key: KeyObject): string => key.export({ format: "pem", type: "spki" }).toString();
const without = (name: string): Record<string, unknown> => {
	const { [name]: _, ...rest } = claims();
	return rest;
};
const DAY = 86_400;

/** Value of the Authorization header; every one must be refused. */
export function badTokens(): readonly (readonly [id: string, what: string, authorization: string])[] {
	const good = valid();
	const [head = "", body = "", signature = ""] = good.split(".");
	const root = claims({ sub: "root" });
	const n = Buffer.from((rsa.publicKey.export({ format: "jwk" }) as { n: string }).n, "base64url");
	const list: [string, string, string][] = [];
	const add = (id: string, what: string, compact: string): void => void list.push([id, what, `Bearer ${compact}`]);

	for (const alg of ["none", "None", "NONE", "nOnE", ""]) {
		add("CVE-2015-9235", `alg ${alg || "empty"}, no signature`, `${b64({ alg })}.${b64(claims())}.`);
		add(
			"CVE-2015-9235",
			`alg ${alg || "empty"}, the signature of another`,
			`${b64({ alg, kid: "ec" })}.${body}.${signature}`,
		);
	}
	for (const [what, secret] of [
		["the public key as PEM", spki(rsa.publicKey)],
		["it without its last line end", spki(rsa.publicKey).trim()],
		["it as PKCS#1", rsa.publicKey.export({ format: "pem", type: "pkcs1" }).toString()],
		["it as DER", rsa.publicKey.export({ format: "der", type: "spki" })],
		["its modulus", n],
	] as const) {
		add("CVE-2015-9235", `HMAC with ${what}`, token({ alg: "HS256", kid: "rsa" }, root, hs256(secret)));
	}
	add(
		"CVE-2023-48223",
		"HMAC with the PEM of the EC key",
		token({ alg: "HS256", kid: "ec" }, root, hs256(spki(ec.publicKey))),
	);
	add(
		"CVE-2026-34950",
		"HMAC with a PEM behind a blank",
		token({ alg: "HS256", kid: "rsa" }, root, hs256(` ${spki(rsa.publicKey)}`)),
	);
	add(
		"CVE-2026-107722",
		"HMAC with a PEM behind other text",
		token({ alg: "HS256", kid: "rsa" }, root, hs256(`x${spki(rsa.publicKey)}`)),
	);
	add("CVE-2026-44699", "HMAC with an empty key", token({ alg: "HS256", kid: "rsa" }, root, hs256("")));
	add("CVE-2022-23539", "an algorithm that its key is not for", token({ alg: "RS256", kid: "ec" }, root, rs256));
	add("CVE-2022-23539", "the other way round", token({ alg: "ES256", kid: "rsa" }, root, own));
	add("CVE-2022-23540", "no alg at all", `${b64({ kid: "ec" })}.${body}.${signature}`);
	for (const alg of [["ES256"], "ES256 ", "es256", "ES384", "RS1", null, 5]) {
		add("CVE-2022-23541", `alg ${JSON.stringify(alg)}`, token({ alg, kid: "ec" }, root, own));
	}
	for (const [kid, { privateKey }] of Object.entries({ rsa512, rsa1024, rsa5 }))
		add("T-key", `a key that not all verify by (${kid})`, token({ alg: "RS256", kid }, claims(), rs256Of(privateKey)));
	for (const [index, { privateKey }] of many.entries())
		if (index > 3)
			add("T-key", "the fifth of one name", token({ alg: "ES256", kid: "many" }, claims(), es256(privateKey)));
	for (const alg of ["RS256", "PS256", "ES384", "ES512", "EdDSA"])
		add(
			"T-key",
			`${alg} over an ES256 signature, by a key that names no alg`,
			token({ alg, kid: "bare" }, claims(), own),
		);
	const foreignKey = otherEc.publicKey.export({ format: "jwk" });
	add("CVE-2018-0114", "its own key in the header", token({ ...EC, jwk: foreignKey }, root, es256(otherEc.privateKey)));
	add(
		"CVE-2018-0114",
		"its own key, and no kid",
		token({ alg: "ES256", jwk: foreignKey }, root, es256(otherEc.privateKey)),
	);
	for (const name of ["jku", "x5u"]) {
		add(
			"T-jku",
			`${name} of another party`,
			token({ ...EC, [name]: "http://127.0.0.1:9/keys" }, root, es256(otherEc.privateKey)),
		);
	}
	add("T-jku", "x5c of another party", token({ ...EC, x5c: ["AAAA"] }, root, es256(otherEc.privateKey)));
	for (const [what, zero] of [
		["r = s = 0", Buffer.alloc(64)],
		["r = s = 0 in DER", Buffer.from("3006020100020100", "hex")],
		["r = 0, s = 1", Buffer.concat([Buffer.alloc(63), Buffer.from([1])])],
		[
			"r = s = the order",
			Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551".repeat(2), "hex"),
		],
	] as const) {
		add("CVE-2022-21449", what, token(EC, root, fixed(zero.toString("base64url"))));
	}
	for (const crit of [["exp"], [], ["b64"], ["any"], "any", null]) {
		add("CVE-2026-35042", `crit ${JSON.stringify(crit)}`, token({ ...EC, crit, b64: true, any: 1 }, claims(), own));
	}
	add("CVE-2026-35039", "another payload under a signature that was verified", `${head}.${b64(root)}.${signature}`);
	add("CVE-2026-35039", "another header", `${b64({ ...EC, kid: "rsa" })}.${body}.${signature}`);
	add("CVE-2026-35039", "a signature with another end", `${head}.${body}.${signature.slice(0, -6)}AAAAAA`);
	add(
		"CVE-2026-48042",
		"1,500 brackets in the payload",
		token(EC, `{"sub":"alice","a":${"[".repeat(1_500)}${"]".repeat(1_500)}}`, own),
	);
	add("CVE-2026-48042", "1,500 objects that do not end", token(EC, `{"a":`.repeat(1_200), own));
	add(
		"CVE-2026-48042",
		"1,500 brackets in the token's header",
		token(`{"alg":"ES256","kid":"ec","a":${"[".repeat(1_500)}${"]".repeat(1_500)}}`, claims(), own),
	);
	add(
		"CVE-2024-28176",
		"an encrypted token that is compressed",
		`${b64({ alg: "dir", enc: "A256GCM", zip: "DEF" })}..AAAA.AAAA.AAAA`,
	);
	for (const kid of [
		"../../../../dev/null",
		"' OR 1=1 --",
		"ec\0",
		"EC",
		"ec ",
		"",
		"http://127.0.0.1/",
		5,
		null,
		["ec"],
		{ $ne: 1 },
	]) {
		add("T-kid", `kid ${JSON.stringify(kid)}`, token({ alg: "ES256", kid }, claims(), own));
	}
	add("T-kid", "no kid", token({ alg: "ES256" }, claims(), own));
	add("T-kid", "another party's key under our kid", token(EC, claims(), es256(otherEc.privateKey)));
	add("T-time", "expired", token(EC, claims({ iat: now() - 900, exp: now() - 300 }), own));
	add("T-time", "not yet", token(EC, claims({ nbf: now() + 900 }), own));
	add("T-time", "issued in an hour", token(EC, claims({ iat: now() + 3_600, exp: now() + 7_200 }), own));
	add("T-time", "for ten years", token(EC, claims({ exp: now() + 3_650 * DAY }), own));
	for (const name of ["exp", "iat", "iss", "aud"]) add("T-claims", `no ${name}`, token(EC, without(name), own));
	for (const exp of ["9999999999", -1, null, true, [now() + 60], {}]) {
		add("T-claims", `exp ${JSON.stringify(exp)}`, token(EC, claims({ exp }), own));
	}
	for (const aud of ["other", "weir.evil", "Weir", ["other"], [], 5, null, { weir: true }]) {
		add("T-claims", `aud ${JSON.stringify(aud)}`, token(EC, claims({ aud }), own));
	}
	for (const iss of [
		`${ISSUER}/`,
		"http://issuer.test",
		"https://issuer.test.evil",
		"https://ISSUER.test",
		[ISSUER],
		null,
		5,
	]) {
		add("T-claims", `iss ${JSON.stringify(iss)}`, token(EC, claims({ iss }), own));
	}
	add("T-claims", "sub is no text", token(EC, claims({ sub: 5 }), own));
	const text = JSON.stringify(claims()).slice(1, -1);
	add("T-duplicate", "sub twice", token(EC, `{"sub":"root",${text}}`, own));
	add("T-duplicate", "sub twice, the second by an escape", token(EC, `{${text},"su\\u0062":"root"}`, own));
	add("T-duplicate", "alg twice", token('{"alg":"none","alg":"ES256","kid":"ec"}', claims(), own));
	add("T-json", "text behind the payload", token(EC, `${JSON.stringify(claims())}x`, own));
	add("T-json", "a byte order mark", token(EC, `\ufeff${JSON.stringify(claims())}`, own));
	for (const payload of ["[]", '"alice"', "null", "5", "", "{"])
		add("T-json", `the payload ${JSON.stringify(payload)}`, token(EC, payload, own));
	add("T-nested", "a token inside a token", token({ ...EC, cty: "JWT" }, b64(good), own));
	add("T-bound", "bound to a key, shown without a proof", token(EC, claims({ cnf: { jkt: "x" } }), own));
	add("T-form", "text behind the signature", `${good}x.y`);
	add("T-form", "a dot behind it", `${good}.`);
	add("T-form", "two parts", `${head}.${body}`);
	add("T-form", "no signature", `${head}.${body}.`);
	add("T-form", "no header", `.${body}.${signature}`);
	add("T-form", "padding", `${head}==.${body}==.${signature}==`);
	add("T-form", "a blank inside", `${head}. ${body}.${signature}`);
	add("T-form", "half a signature", `${head}.${body}.${signature.slice(0, 40)}`);
	for (const [what, longer] of Object.entries(LENGTHENED)) {
		add("T-form", `${what}, ES256`, longer(good));
		add("T-form", `${what}, RS256`, longer(token({ alg: "RS256", kid: "rsa" }, claims(), rs256)));
		add("T-form", `${what}, EdDSA`, longer(token({ alg: "EdDSA", kid: "ed" }, claims(), eddsa)));
	}
	add("T-form", "two tokens", `${good} ${good}`);
	add("T-form", "a quoted token", `"${good}"`);
	add("T-size", "9 KB", token(EC, claims({ a: "a".repeat(7_000) }), own));
	add("T-form", "nothing", "");
	list.push(["T-scheme", "small letters", `bearer ${good}`]);
	list.push(["T-scheme", "two blanks", `Bearer  ${good}`]);
	list.push(["T-scheme", "as DPoP, without a proof", `DPoP ${good}`]);
	list.push(["T-scheme", "behind another credential", `Basic YTpi, Bearer ${good}`]);
	return list;
}
