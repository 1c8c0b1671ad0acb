/** Sender-constrained tokens: DPoP (RFC 9449 4.3, each check by name) and certificates (RFC 8705). */
import { calculateJwkThumbprint } from "jose";
import t from "tap";
import { CLAIMS, issuerOf, keyPair, NOW, proofOf, publicJwk, Scene, segment, signed } from "./issuer.js";

const pair = await keyPair();
const holder = await keyPair();
const thief = await keyPair();
const jwk = await publicJwk(pair, { kid: "k1" });
const jkt = await calculateJwkThumbprint(await publicJwk(holder));
const CERTIFICATE = Buffer.alloc(32, 1).toString("base64url");
const bound = await signed({ ...CLAIMS, cnf: { jkt } }, pair);
const toCertificate = await signed({ ...CLAIMS, cnf: { "x5t#S256": CERTIFICATE } }, pair);
const both = await signed({ ...CLAIMS, cnf: { jkt, "x5t#S256": CERTIFICATE } }, pair);
const unbound = await signed(CLAIMS, pair);
const scene = (binding: "none" | "dpop" | "mtls" | "either") => new Scene([jwk], [issuerOf({ binding })]);
const dpop = (token: string, ...proofs: string[]) => ({ authorization: [`DPoP ${token}`], dpop: proofs });

t.test("a bound token with its proof gives its user, once per proof, cached or not", async (t) => {
	const one = scene("dpop");
	for (let round = 0; round < 3; round++) {
		const proof = await proofOf(holder, bound);
		t.equal(await one.verify(null, dpop(bound, proof)), "ok ann");
		t.match(await one.verify(null, dpop(bound, proof)), /used before/);
	}
	const again = { claims: { jti: "same" } };
	t.equal(await one.verify(null, dpop(bound, await proofOf(holder, bound, again))), "ok ann");
	t.match(
		await one.verify(null, dpop(bound, await proofOf(holder, bound, again))),
		/used before/,
		"a jti counts, not a proof",
	);
	const theirs = await signed({ ...CLAIMS, cnf: { jkt: await calculateJwkThumbprint(await publicJwk(thief)) } }, pair);
	const same = await proofOf(thief, theirs, again);
	t.equal(await one.verify(null, dpop(theirs, same)), "ok ann", "a jti of another key is not used up");
	const fragment = await proofOf(holder, bound, { claims: { htu: "HTTPS://MESH.test:443/v2?x=1#y" } });
	t.equal(await one.verify(null, dpop(bound, fragment)), "ok ann", "RFC 3986 spellings of the same address");
	for (const [htu, path] of [
		["%76%32/%e2%82%ac", "v2/%E2%82%AC"],
		["v2/%E2%82%AC", "%762/%e2%82%ac"],
		["a|b^c", "a|b^c"],
		["a?q={x} y|\\", "a"],
		["a#{\\", "a"],
	] as const) {
		const proof = await proofOf(holder, bound, { claims: { htu: `https://mesh.test/${htu}` } });
		const asked = { ...dpop(bound, proof), url: `https://mesh.test/${path}` };
		t.equal(await one.verify(null, asked), "ok ann", "escapes of the same path");
	}
	for (const host of ["[::1]:8443", "MESH.test:443", "xn--bcher-kva.test", "a_b.test", "mesh.test"]) {
		const proof = await proofOf(holder, bound, { claims: { htu: `https://${host}/v2` } });
		const asked = { ...dpop(bound, proof), url: `https://${host.toLowerCase()}/v2` };
		t.equal(await one.verify(null, asked), "ok ann", host);
	}
	const slash = await proofOf(holder, bound, { claims: { htu: "https://mesh.test/a%2Fb" } });
	t.match(await one.verify(null, { ...dpop(bound, slash), url: "https://mesh.test/a/b" }), /another address/);
	const port = await proofOf(holder, bound, { claims: { htu: "https://mesh.test:8443/v2" } });
	t.equal(await one.verify(null, dpop(bound, port)), "ok ann", "Gateways take the port off");
	const elsewhere = {
		...dpop(bound, await proofOf(holder, bound, { claims: { htu: "https://mesh.test:8443/v2" } })),
		url: "https://mesh.test:9443/v2",
	};
	t.match(await one.verify(null, elsewhere), /another address/, "but a given port must be the same");
});

const PROOFS: readonly (readonly [string, () => Promise<string[]> | string[]])[] = [
	["no proof", () => []],
	["two proofs", async () => [await proofOf(holder, bound), await proofOf(holder, bound)]],
	["a proof that is no token", () => ["x.y.z"]],
	["another typ", async () => [await proofOf(holder, bound, { header: { typ: "JWT" } })]],
	["no typ", async () => [await proofOf(holder, bound, { header: { typ: undefined } })]],
	["the key of a thief", async () => [await proofOf(thief, bound)]],
	["a signature by another key than its own", async () => [await proofOf(holder, bound, { signWith: thief })]],
	[
		"a private key in its header",
		async () => [await proofOf(holder, bound, { header: { jwk: { ...(await publicJwk(holder)), d: "AAAA" } } })],
	],
	["a symmetric key", async () => [await proofOf(holder, bound, { header: { jwk: { kty: "oct", k: "AAAA" } } })]],
	["no key", async () => [await proofOf(holder, bound, { header: { jwk: undefined } })]],
	[
		"alg none",
		async () => {
			const [, payload = "", signature = ""] = (await proofOf(holder, bound)).split(".");
			return [`${segment({ alg: "none", typ: "dpop+jwt", jwk: await publicJwk(holder) })}.${payload}.${signature}`];
		},
	],
	["another method", async () => [await proofOf(holder, bound, { claims: { htm: "POST" } })]],
	["a method in small letters", async () => [await proofOf(holder, bound, { claims: { htm: "get" } })]],
	["another path", async () => [await proofOf(holder, bound, { claims: { htu: "https://mesh.test/v2/" } })]],
	["another host", async () => [await proofOf(holder, bound, { claims: { htu: "https://evil.test/v2" } })]],
	["another scheme", async () => [await proofOf(holder, bound, { claims: { htu: "http://mesh.test/v2" } })]],
	[
		"credentials in the address",
		async () => [await proofOf(holder, bound, { claims: { htu: "https://a@mesh.test/v2" } })],
	],
	...[
		"https:mesh.test/v2",
		"https:///mesh.test/v2",
		"https://mesh.test\\v2",
		"https://mesh.test/v\t2",
		" https://mesh.test/v2",
	].map((htu): (typeof PROOFS)[number] => [
		`an address that is no URI: ${JSON.stringify(htu)}`,
		async () => [await proofOf(holder, bound, { claims: { htu } })],
	]),
	["a proof that has expired", async () => [await proofOf(holder, bound, { claims: { exp: NOW - 61 } })]],
	["a proof that holds later", async () => [await proofOf(holder, bound, { claims: { nbf: NOW + 61 } })]],
	["an expiry that is no number", async () => [await proofOf(holder, bound, { claims: { exp: "never" } })]],
	["an old proof", async () => [await proofOf(holder, bound, { claims: { iat: NOW - 61 } })]],
	["a proof of the future", async () => [await proofOf(holder, bound, { claims: { iat: NOW + 61 } })]],
	["no iat", async () => [await proofOf(holder, bound, { claims: { iat: undefined } })]],
	["no jti", async () => [await proofOf(holder, bound, { claims: { jti: undefined } })]],
	["no ath", async () => [await proofOf(holder, bound, { claims: { ath: undefined } })]],
	["the ath of another token", async () => [await proofOf(holder, unbound)]],
];
for (const [name, proofs] of PROOFS) {
	t.test(`DPoP refused: ${name}`, async (t) => {
		const one = scene("dpop");
		for (let round = 0; round < 2; round++) {
			t.match(await one.verify(null, dpop(bound, ...(await proofs()))), /^invalid-token: /);
			t.equal(await one.verify(null, dpop(bound, await proofOf(holder, bound))), "ok ann");
		}
	});
}

t.test("scheme, binding and declaration must agree", async (t) => {
	const cert = { certificateThumbprint: CERTIFICATE };
	const ask = async (binding: Parameters<typeof scene>[0], token: string, fields: object) => {
		const one = scene(binding);
		const outcome = await one.verify(token, fields);
		t.equal(
			await one.verify(
				token,
				typeof fields === "object" && "dpop" in fields ? { ...fields, dpop: [await proofOf(holder, token)] } : fields,
			),
			outcome,
			"the same when it is known",
		);
		return outcome;
	};
	const withProof = async (token: string) => dpop(token, await proofOf(holder, token));
	for (const binding of ["dpop", "mtls", "either"] as const) t.match(await ask(binding, unbound, {}), /not bound/);
	for (const binding of ["dpop", "either"] as const) {
		t.equal(await ask(binding, bound, await withProof(bound)), "ok ann");
		t.match(await ask(binding, bound, {}), /scheme DPoP/, "as Bearer (RFC 9449 7.1)");
		t.match(await ask(binding, unbound, await withProof(unbound)), /not bound/);
	}
	for (const binding of ["mtls", "either"] as const) {
		t.equal(await ask(binding, toCertificate, cert), "ok ann");
		t.match(await ask(binding, toCertificate, {}), /another certificate/);
		t.match(await ask(binding, toCertificate, { certificateThumbprint: jkt }), /another certificate/);
		t.match(await ask(binding, toCertificate, { ...cert, ...(await withProof(toCertificate)) }), /not bound to a key/);
	}
	t.match(await ask("mtls", bound, await withProof(bound)), /certificate/);
	t.match(await ask("dpop", toCertificate, cert), /key/);
	t.equal(await ask("either", both, { ...cert, ...(await withProof(both)) }), "ok ann", "both are proved");
	t.match(await ask("either", both, await withProof(both)), /another certificate/);
	t.match(await ask("either", both, cert), /scheme DPoP/);
	for (const token of [bound, toCertificate]) t.match(await ask("none", token, cert), /binding is none/);
	t.match(await ask("none", bound, await withProof(bound)), /binding is none/);
	for (const cnf of [{}, { kid: "x" }, { jkt: 7 }, { jkt, jku: "x" }, "x", ["x"]]) {
		t.match(await ask("either", await signed({ ...CLAIMS, cnf }, pair), cert), /not known/, JSON.stringify(cnf));
	}
});
