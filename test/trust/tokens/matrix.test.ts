/** The negative matrix of JSON Web Tokens: each attack by name, with a token that is valid and signed otherwise. */
import { generateKeyPairSync, sign } from "node:crypto";
import { CompactSign, calculateJwkThumbprint, exportSPKI, SignJWT } from "jose";
import t from "tap";
import type { TokenAnswer } from "../../../src/compile/access/users/token.js";
import type { TokenIssuer } from "../../../src/declare/resources/resource.js";
import { TOKEN_SKEW_SECONDS } from "../../../src/limits/index.js";
import { type CachedToken, TokenCache } from "../../../src/trust/tokens/tokenCache.js";
import { LENGTHENED } from "../../compile/envoy/secure/lengthened.js";
import {
	AUDIENCE,
	CLAIMS,
	ISSUER,
	issuerOf,
	jwksBytes,
	keyPair,
	NOW,
	proofOf,
	publicJwk,
	Scene,
	segment,
	signed,
	signedText,
} from "./issuer.js";

const pair = await keyPair();
const foreign = await keyPair();
const jwk = await publicJwk(pair, { kid: "k1" });
const good = await signed(CLAIMS, pair);
const json = JSON.stringify;
const HEADER = json({ alg: "ES256", kid: "k1" });
const [head = "", body = "", signature = ""] = good.split(".");
const scene = (fields = {}) => new Scene([jwk], [issuerOf(fields)]);

t.test("a valid token gives its user, without a wait from the second time on", async (t) => {
	const one = scene();
	const claims = { ...CLAIMS, groups: ["a", "b"], org: { tenant: "acme" }, purpose: "care" };
	const token = await signed(claims, pair);
	const expected = {
		token: { issuer: ISSUER, subject: "ann", claims, groups: ["a", "b"], tenants: ["acme"], purposes: ["care"] },
	};
	const first = one.ask(token);
	t.ok(first instanceof Promise, "cryptography takes its time");
	t.same(await first, expected);
	t.same(one.ask(token), expected, "known: no promise");
	t.equal(one.loads, 1);
	t.equal(one.ask(null), null, "no token, no user");
	t.equal(await one.verify(await signed({ ...CLAIMS, sub: "" }, pair)), "ok null", "an empty subject is no user");
});

const future = { ...CLAIMS, iat: NOW + 3_600, exp: NOW + 3_700 };
const names = (claims: string | Buffer): Promise<string> => signedText(HEADER, claims, pair);
const rsaOfWeir = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const nested = (depth: number): string => `{"a":${"[".repeat(depth)}${"]".repeat(depth)},${json(CLAIMS).slice(1)}`;
const psychic = `${head}.${body}.${Buffer.alloc(64).toString("base64url")}`;

const CASES: readonly (readonly [string, () => Promise<string> | string])[] = [
	// Tokens that jose rejects by itself.
	["alg none", () => `${segment({ alg: "none", kid: "k1" })}.${body}.${signature}`],
	["alg none without a signature", () => `${segment({ alg: "none", kid: "k1" })}.${body}.`],
	["alg None in other letters", () => `${segment({ alg: "nOnE", kid: "k1" })}.${body}.${signature}`],
	[
		"HS256 keyed with the public key",
		async () =>
			new SignJWT(CLAIMS)
				.setProtectedHeader({ alg: "HS256", kid: "k1" })
				.sign(Buffer.from(await exportSPKI(pair.publicKey))),
	],
	[
		"the key that the header brings (CVE-2018-0114)",
		async () => signed(CLAIMS, foreign, { jwk: await publicJwk(foreign), kid: "k1" }),
	],
	["a foreign key under our kid", () => signed(CLAIMS, foreign)],
	["jku and x5u in the header", () => signed(CLAIMS, foreign, { jku: "https://evil.test", x5u: "https://evil.test" })],
	[
		"crit with an unknown extension (CVE-2026-35042)",
		() => signedText(json({ alg: "ES256", kid: "k1", crit: ["x"], x: 1 }), json(CLAIMS), pair),
	],
	["crit of null", () => signedText(json({ alg: "ES256", kid: "k1", crit: null }), json(CLAIMS), pair)],
	["no exp", () => signed({ iss: ISSUER, aud: AUDIENCE, sub: "ann", iat: NOW }, pair)],
	["expired", () => signed({ ...CLAIMS, iat: NOW - 200, exp: NOW - 61 }, pair)],
	["nbf in the future", () => signed({ ...CLAIMS, nbf: NOW + 61 }, pair)],
	["another audience", () => signed({ ...CLAIMS, aud: "https://other.test" }, pair)],
	["an audience that only begins like ours", () => signed({ ...CLAIMS, aud: `${AUDIENCE}/` }, pair)],
	["an audience that Envoy would take for ours", () => signed({ ...CLAIMS, aud: "mesh.test" }, pair)],
	["no audience", () => signed({ iss: ISSUER, sub: "ann", iat: NOW, exp: NOW + 60 }, pair)],
	["an unknown kid", () => signed(CLAIMS, pair, { kid: "k2" })],
	["trailing garbage", () => `${good}x`],
	...Object.entries(LENGTHENED).map(([what, longer]) => [what, () => longer(good)] as const),
	["a fourth part", () => `${good}.e30`],
	["a changed payload", () => `${head}.${segment({ ...CLAIMS, sub: "admin" })}.${signature}`],
	["a psychic signature (CVE-2022-21449)", () => psychic],
	["an empty signature", () => `${head}.${body}.`],
	["another issuer", () => signed({ ...CLAIMS, iss: "https://evil.test" }, pair)],
	["an issuer that only looks the same", () => signed({ ...CLAIMS, iss: `${ISSUER}/` }, pair)],
	["no issuer", () => signed({ aud: AUDIENCE, sub: "ann", iat: NOW, exp: NOW + 60 }, pair)],
	// Tokens that jose accepts.
	["iat an hour in the future", () => signed(future, pair)],
	["iat in the future", () => signed({ ...CLAIMS, iat: NOW + 61 }, pair)],
	["no kid, with one key in the set", () => signed(CLAIMS, pair, { kid: undefined })],
	["an empty kid", () => signed(CLAIMS, pair, { kid: "" })],
	["a lifetime of ten years", () => signed({ ...CLAIMS, exp: NOW + 315_360_000 }, pair)],
	["a lifetime one second too long", () => signed({ ...CLAIMS, exp: NOW + 3_601 }, pair)],
	["no iat", () => signed({ iss: ISSUER, aud: AUDIENCE, sub: "ann", exp: NOW + 60 }, pair)],
	["a claim twice", () => names(`{"sub":"admin",${json(CLAIMS).slice(1)}`)],
	["a claim twice, once escaped", () => names(`{"s\\u0075b":"admin",${json(CLAIMS).slice(1)}`)],
	["a claim twice, deep inside", () => names(`{"org":{"tenant":"a","tenant":"b"},${json(CLAIMS).slice(1)}`)],
	["a header member twice", () => signedText('{"alg":"ES256","kid":"k1","kid":"k1"}', json(CLAIMS), pair)],
	// Shapes.
	["more than 8 KiB", () => signed({ ...CLAIMS, pad: "x".repeat(8_192) }, pair)],
	["JSON too deep", () => names(nested(100))],
	["half a surrogate", () => names(`{"x":"\\ud800",${json(CLAIMS).slice(1)}`)],
	["a number beyond all numbers", () => names(`{"x":1e999,${json(CLAIMS).slice(1)}`)],
	["bytes that are no UTF-8", () => names(Buffer.from(`{"x":"\u00ff",${json(CLAIMS).slice(1)}`, "latin1"))],
	["a payload that is a list", () => names("[]")],
	[
		"a payload that is text",
		async () =>
			new CompactSign(Buffer.from("text")).setProtectedHeader({ alg: "ES256", kid: "k1" }).sign(pair.privateKey),
	],
	["exp as text", () => signedText(HEADER, json({ ...CLAIMS, exp: String(NOW + 60) }), pair)],
	["exp below zero", () => signedText(HEADER, json({ ...CLAIMS, exp: -1 }), pair)],
	["nbf as null", () => signedText(HEADER, json({ ...CLAIMS, nbf: null }), pair)],
	["sub as a number", () => signedText(HEADER, json({ ...CLAIMS, sub: 7 }), pair)],
	["a number among the audiences", () => signedText(HEADER, json({ ...CLAIMS, aud: [AUDIENCE, 7] }), pair)],
	[
		"an algorithm that does not fit the key",
		() => {
			const input = `${segment({ alg: "RS256", kid: "k1" })}.${body}`;
			return `${input}.${sign("sha256", Buffer.from(input), rsaOfWeir.privateKey).toString("base64url")}`;
		},
	],
	["a bound token where the issuer binds none", () => signed({ ...CLAIMS, cnf: { jkt: "x".repeat(43) } }, pair)],
	["a binding of null", () => signedText(HEADER, json({ ...CLAIMS, cnf: null }), pair)],
];
for (const [name, token] of CASES) {
	t.test(`refused: ${name}`, async (t) => {
		const one = scene();
		t.match(await one.verify(await token()), /^invalid-token: /);
		t.equal(await one.verify(good), "ok ann", "the valid token is accepted, so the case fails for its own reason");
		t.match(await one.verify(await token()), /^invalid-token: /, "again");
	});
}

t.test("a time claim must be below 2^64, as in Envoy", async (t) => {
	const verify = async (exp: number) => scene().verify(await signed({ ...CLAIMS, exp }, pair));
	t.equal(await verify(2 ** 64), "invalid-token: exp is not a time");
	t.equal(await verify(2 ** 64 - 2 ** 11), "invalid-token: it lives too long");
});

t.test("time claims are accepted within the clock skew", async (t) => {
	const fine = [
		{ ...CLAIMS, iat: NOW - 100, exp: NOW - 59 },
		{ ...CLAIMS, nbf: NOW + 59 },
		// Envoy reads whole seconds of it.
		{ ...CLAIMS, nbf: NOW + 60.999 },
		{ ...CLAIMS, iat: NOW - 100, exp: NOW - 60 },
		{ ...CLAIMS, iat: NOW + 59, exp: NOW + 3_600 },
		{ ...CLAIMS, exp: NOW + 3_600 },
		{ ...CLAIMS, aud: ["https://other.test", AUDIENCE] },
		{ ...CLAIMS, exp: NOW + 60.5 },
	];
	for (const claims of fine) t.equal(await scene().verify(await signed(claims, pair)), "ok ann", json(claims));
	t.equal(await scene().verify(await names(nested(99))), "ok ann", "as deep as Envoy reads");
	t.equal(await scene({ audiences: [] }).verify(await signed({ ...CLAIMS, aud: "any" }, pair)), "ok ann");
});

t.test("a cached token is valid exactly as long as a new one", async (t) => {
	const jkt = await calculateJwkThumbprint(await publicJwk(foreign));
	const bound = await signed({ ...CLAIMS, cnf: { jkt } }, pair);
	const plain = (one: Scene) => one.verify(good);
	const proved = async (one: Scene) => {
		const proof = await proofOf(foreign, bound, { claims: { iat: one.nowSeconds } });
		return one.verify(null, { authorization: [`DPoP ${bound}`], dpop: [proof] });
	};
	for (const [what, binding, verified] of [
		["plain", "none", plain],
		["bound", "dpop", proved],
	] as const) {
		const one = scene({ binding });
		t.equal(await verified(one), "ok ann", `${what}: verified`);
		one.nowSeconds = CLAIMS.exp + TOKEN_SKEW_SECONDS;
		t.equal(await verified(one), "ok ann", `${what}: known, to the end of the skew`);
		one.nowSeconds += 1;
		t.equal(await verified(one), "invalid-token: it has expired", `${what}: known, and over`);
		one.nowSeconds = CLAIMS.exp + 86_400;
		t.equal(await verified(one), "invalid-token: it has expired", `${what}: a day later`);
	}
	const one = scene();
	t.equal(await plain(one), "ok ann");
	one.verifier.use([{ name: "gw", issuers: [issuerOf({ maxLifetimeMs: 599_000 })] }]);
	t.equal(await plain(one), "invalid-token: it lives too long", "known, under a shorter maximum lifetime");
});

t.test("a token must be in exactly one well-formed Authorization header", async (t) => {
	const one = scene();
	const authorization = (...values: string[]) => one.verify(null, { authorization: values });
	for (const none of ["", "Basic Zm9vOmJhcg==", `Basic ${good}`, `Bearer:${good}`, "Bearerxyz", "Digest a=b"]) {
		t.equal(await authorization(none), "none", none);
	}
	t.equal(await authorization(`Bearer ${good}`), "ok ann");
	const wrong = [
		`bearer ${good}`,
		`BEARER ${good}`,
		`Bearer  ${good}`,
		`Bearer\t${good}`,
		"Bearer",
		"Bearer ",
		`Bearer ${good} x`,
		`Bearer ${good},Bearer ${good}`,
		`Bearer "${good}"`,
		`Basic x, Bearer ${good}`,
		` Bearer ${good}`,
		`Bearer ${good}=`,
		`dpop ${good}`,
	];
	for (const value of wrong) t.match(await authorization(value), /^invalid-token/, value);
	t.match(await authorization(`Bearer ${good}`, `Bearer ${good}`), /^invalid-token/, "two headers");
	t.match(await authorization("Basic x", `Bearer ${good}`), /^invalid-token/, "two headers of two kinds");
	t.match(await authorization(`DPoP ${good}`), /^invalid-token/, "the scheme promises a proof");
});

t.test("with the RFC 9068 profile only access tokens are valid", async (t) => {
	const claims = { ...CLAIMS, client_id: "web", jti: "1" };
	const at = async (own: object, typ: unknown = "at+jwt") =>
		scene({ profile: "at+jwt" }).verify(await signed(own as Record<string, unknown>, pair, { typ }));
	for (const typ of ["at+jwt", "AT+JWT", "application/at+jwt"]) t.equal(await at(claims, typ), "ok ann", typ);
	for (const typ of [7, "JWT", "dpop+jwt", "logout+jwt", "at+jwtx"]) {
		t.match(await at(claims, typ), /^invalid-token: typ/, String(typ));
	}
	t.match(await scene({ profile: "at+jwt" }).verify(await signed(claims, pair)), /^invalid-token: typ/, "no typ");
	for (const name of ["sub", "client_id", "jti"]) {
		const { [name as "sub"]: _, ...rest } = claims;
		t.match(await at(rest), /^invalid-token/, `without ${name}`);
		t.match(await at({ ...claims, [name]: "" }), /^invalid-token/, `with an empty ${name}`);
	}
});

t.test("every listed algorithm verifies only with its own key, and only with the key's own alg", async (t) => {
	for (const alg of ["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"]) {
		const own = await keyPair(alg);
		const token = await signed(CLAIMS, own, { alg });
		for (const members of [{ kid: "k1" }, { kid: "k1", alg }, {}]) {
			t.equal(await new Scene([await publicJwk(own, members)]).verify(token), "ok ann", `${alg} ${json(members)}`);
		}
		const other = alg.startsWith("RS") ? alg.replace("RS", "PS") : "RS256";
		t.match(
			await new Scene([await publicJwk(own, { kid: "k1", alg: other })]).verify(token),
			/^invalid/,
			`${alg} as ${other}`,
		);
		for (const unusable of [{ use: "enc" }, { key_ops: ["sign"] }, { d: "AAAA" }]) {
			const keys = [await publicJwk(own, { kid: "k1", ...unusable })];
			t.match(await new Scene(keys).verify(token), /^invalid/, `${alg} ${json(unusable)}`);
		}
	}
});

t.test("a Gateway trusts only its own issuers; a request without a known Gateway, any", async (t) => {
	const other = await keyPair();
	const two = issuerOf({ issuer: "https://two.test", keys: { from: "file", file: "two" } });
	const one = new Scene([jwk, await publicJwk(other, { kid: "k9" })], []);
	one.verifier.use([
		{ name: "gw", issuers: [issuerOf()] },
		{ name: "other", issuers: [two] },
	]);
	t.equal(await one.verify(good), "ok ann");
	t.match(await one.verify(good, { gateway: "other" }), /^invalid/, "cached for one Gateway is not known to another");
	t.equal(await one.verify(good, { gateway: null }), "ok ann", "an Envoy that is not ours: any issuer");
	t.match(await one.verify(good, { gateway: "nowhere" }), /^invalid/, "a removed Gateway has no issuers");
	one.verifier.use([{ name: "gw", issuers: [issuerOf({ audiences: ["https://new.test"] })] }]);
	t.match(await one.verify(good), /^invalid/, "a changed declaration counts at once, cached or not");
	one.verifier.use([]);
	t.match(await one.verify(good), /^invalid/, "no issuer is trusted");
});

t.test("Gateways with different settings for one issuer each accept the token by their own", async (t) => {
	const groups = { ...CLAIMS, groups: ["a"], roles: ["b"] };
	const token = await signed(groups, pair);
	const one = new Scene([jwk]);
	const declare = (...claims: readonly string[]): void =>
		one.verifier.use(claims.map((groupsClaim, at) => ({ name: `gw${at}`, issuers: [issuerOf({ groupsClaim })] })));
	declare("groups", "roles");
	for (const at of [0, 1]) await one.ask(token, { gateway: `gw${at}` });
	for (let round = 0; round < 3; round++) {
		t.match(one.ask(token, { gateway: "gw0" }), { token: { groups: ["a"] } }, "at once");
		t.match(one.ask(token, { gateway: "gw1" }), { token: { groups: ["b"] } });
	}
	declare("roles", "groups");
	t.match(one.ask(token, { gateway: "gw0" }), { token: { groups: ["b"] } }, "known by the declaration, wherever it is");
	declare("roles");
	await one.ask(token, { gateway: "gw0" });
	t.match(
		await one.ask(token, { gateway: "gw1" }),
		{ refused: "invalid-token" },
		"a removed issuer is trusted nowhere",
	);
});

t.test("the cached results of one token are bounded, and results of removed declarations are dropped", async (t) => {
	const held = (declared: TokenIssuer, bytes: number): CachedToken =>
		({ issuer: { declared }, bytes }) as unknown as CachedToken;
	const cache = new TokenCache(3, 100);
	const [first, second, third] = ["a", "b", "c"].map((groupsClaim) => held(issuerOf({ groupsClaim }), 10));
	if (first === undefined || second === undefined || third === undefined) throw new Error("none");
	cache.put("x", first, () => true);
	cache.put("x", second, () => true);
	t.same([cache.size, cache.get("x").length], [2, 2]);
	cache.put("x", first, () => true);
	t.same(cache.get("x"), [first, second], "each once");
	cache.put("x", third, (issuer) => issuer === second.issuer);
	t.same(cache.get("x"), [third, second]);
	cache.put("y", first, () => true);
	t.equal(cache.size, 3);
	cache.put("z", first, () => true);
	t.same([cache.size, cache.get("x"), cache.get("y")], [2, [], [first]], "the oldest token leaves with all of its own");
	cache.put("w", held(issuerOf(), 95), () => true);
	t.same([cache.size, cache.get("w").length], [1, 1], "and by bytes");
});

t.test("a token expires in the same second as in Envoy", async (t) => {
	const one = new Scene([jwk]);
	const token = await signed({ ...CLAIMS, exp: NOW + 100 }, pair);
	for (const known of [false, true]) {
		const scene = known ? one : new Scene([jwk]);
		if (known) await one.verify(token);
		scene.nowSeconds = NOW + 160.9;
		t.equal(await scene.verify(token), "ok ann");
		scene.nowSeconds = NOW + 161;
		t.match(await scene.verify(token), /expired/);
	}
});

t.test("a request after a change of declarations uses the new ones, also during a fetch", async (t) => {
	let give: (keys: Uint8Array) => void = () => {};
	const keys = new Promise<Uint8Array>((resolve) => {
		give = resolve;
	});
	const one = new Scene(() => keys, [issuerOf({ groupsClaim: "groups" })]);
	const token = await signed({ ...CLAIMS, groups: ["admins"], roles: [] }, pair);
	const before = one.ask(token);
	one.verifier.use([{ name: "gw", issuers: [issuerOf({ groupsClaim: "roles" })] }]);
	const after = one.ask(token);
	give(jwksBytes([jwk]));
	const groupsOf = (answer: TokenAnswer) => (answer !== null && "token" in answer ? answer.token.groups : null);
	t.same([groupsOf(await before), groupsOf(await after)], [["admins"], []]);
});
