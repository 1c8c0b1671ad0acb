/** Identities of callers: SPIFFE ids, forwarded certificates, tokens, proofs and signed decisions. No forged one is accepted. */
import { createHash, generateKeyPairSync, type KeyObject, sign as signBytes } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { forwardedClient, parseForwardedClientCert } from "../../src/compile/access/requests/forwardedClientCert.js";
import { confirmationOf, verifiedToken } from "../../src/compile/access/users/tokenClaims.js";
import type { TokenIssuer } from "../../src/declare/resources/resource.js";
import { spiffeFault } from "../../src/declare/resources/spiffe.js";
import { certificateSpiffeId } from "../../src/trust/identity/peer.js";
import { claimsFault, headerFault } from "../../src/trust/tokens/claims.js";
import { readCompact, shownToken } from "../../src/trust/tokens/compact.js";
import { DecisionVerifier, decisionSigner } from "../../src/trust/tokens/decision.js";
import { proofFault, readProof } from "../../src/trust/tokens/dpop.js";
import { readKeySet } from "../../src/trust/tokens/keySet.js";
import { Replays } from "../../src/trust/tokens/replays.js";
import { strictObject } from "../../src/trust/tokens/strictJson.js";
import { TokenVerifier } from "../../src/trust/tokens/verifier.js";
import { tokenIssuer } from "../fixtures/resources.js";
import { createDevelopmentCa } from "../trust/identity/developmentCa.js";
import { never, type Target, text } from "./target.js";

const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1_000;

const base64url = (value: object | string): string =>
	Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

function jws(header: object, payload: object | string, key: KeyObject): string {
	const signed = `${base64url(header)}.${base64url(payload)}`;
	return `${signed}.${signBytes("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}

const ours = generateKeyPairSync("ec", { namedCurve: "P-256" });
const theirs = generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwk = ours.publicKey.export({ format: "jwk" });
const KEY_SET = JSON.stringify({ keys: [{ ...jwk, kid: "k1", alg: "ES256", use: "sig" }] });

const ISSUER: TokenIssuer = tokenIssuer("https://issuer.test", ["weir"], "keys.json");

const claims = { iss: ISSUER.issuer, sub: "u1", aud: "weir", iat: NOW - 10, exp: NOW + 300, jti: "j", groups: ["a"] };
const HEADER = { alg: "ES256", kid: "k1", typ: "JWT" };
const VALID = jws(HEADER, claims, ours.privateKey);
const FORGED = jws(HEADER, { ...claims, sub: "root" }, theirs.privateKey);
const NONE = `${base64url({ alg: "none" })}.${base64url({ ...claims, sub: "root" })}.`;

const verifier = new TokenVerifier({
	nowMs: () => NOW_MS,
	monotonicMs: () => 0,
	load: () => async () => Buffer.from(KEY_SET),
});
verifier.use([{ name: "edge", issuers: [ISSUER] }]);

/** A token is valid only for exactly the signed bytes; the bits after the last byte of its signature have no meaning. */
async function token(input: Buffer): Promise<void> {
	const authorization = text(input).split("\n");
	const answer = await verifier.verify({
		gateway: "edge",
		authorization,
		dpop: [],
		method: "GET",
		url: "https://guarded.test/v2",
		certificateThumbprint: null,
		payer: "fuzz",
		neverAllowed: () => false,
	});
	if (answer === null || "refused" in answer) return;
	const shown = /[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+/.exec(authorization.join(","))?.[0] ?? "";
	const signed = (compact: string): readonly Buffer[] =>
		compact.split(".").map((part) => Buffer.from(part, "base64url"));
	const [got, want] = [signed(shown), signed(VALID)];
	if (!want.every((part, index) => got[index]?.equals(part))) never("a token");
}

const caller = { method: "GET", url: "https://guarded.test/v2", token: VALID };
const proofKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
const proofJwk = proofKey.publicKey.export({ format: "jwk" });
const jkt = await calculateJwkThumbprint(proofJwk as Parameters<typeof calculateJwkThumbprint>[0], "sha256");
const proofClaims = {
	jti: "p1",
	htm: "GET",
	htu: "https://guarded.test/v2",
	iat: NOW,
	ath: createHash("sha256").update(VALID).digest("base64url"),
};
const PROOF = jws({ typ: "dpop+jwt", alg: "ES256", jwk: proofJwk }, proofClaims, proofKey.privateKey);
const STRANGERS_PROOF = jws(
	{ typ: "dpop+jwt", alg: "ES256", jwk: theirs.publicKey.export({ format: "jwk" }) },
	proofClaims,
	theirs.privateKey,
);

const proofQuestion = (input: Buffer) => ({
	...caller,
	dpop: text(input).split("\n"),
	jkt,
	nowSeconds: NOW,
	monotonicMs: 0,
});

async function proof(input: Buffer): Promise<void> {
	const question = proofQuestion(input);
	const read = readProof(question);
	if (typeof read === "string") return;
	if ((await proofFault(read, question, new Replays(1_000))) !== null) return;
	const parts = (compact: string) =>
		compact.split(".").map((part) => Buffer.from(part, "base64url").toString("latin1"));
	if (parts(question.dpop[0] ?? "").join("\n") !== parts(PROOF).join("\n")) never("a proof");
}

const ca = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 86_400_000 });
const otherCa = await createDevelopmentCa({ trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 86_400_000 });
const SIDECAR = "spiffe://weir.test/weir/sidecar";
const [own, foreign] = await Promise.all([ca.issue({ spiffeId: SIDECAR }), otherCa.issue({ spiffeId: SIDECAR })]);
const facts = { method: "GET", path: "/v2", host: "guarded.test", service: "guarded", variant: "v1", principal: null };
const decided = decisionSigner(() => own)(facts) ?? "";
const others = [
	decisionSigner(() => own)({ ...facts, path: "/admin" }) ?? "",
	decisionSigner(() => foreign)(facts) ?? "",
];
const decisions = new DecisionVerifier({ trustBundle: () => ca.certificate, admits: (id) => id === SIDECAR });
// It is used up, so every later use must be refused.
const first = decisions.verify([decided], facts);
if ("refused" in first) throw new Error(`the valid decision does not hold: ${first.refused}`);

function decision(input: Buffer): void {
	const answer = decisions.verify(text(input).split("\n"), facts);
	if (!("refused" in answer)) never("a signed decision");
}

function forwarded(input: Buffer): void {
	const value = text(input);
	parseForwardedClientCert(value);
	if (forwardedClient([value], "spiffe://weir.test/unknown", new Set(["spiffe://weir.test/edge"])) !== null)
		never("a header of an untrusted client");
	if (forwardedClient([value], null, new Set(["spiffe://weir.test/edge"])) !== null) never("a header without a client");
	const client = forwardedClient([value], "spiffe://weir.test/edge", new Set(["spiffe://weir.test/edge"]));
	if (client === null) return;
	const { spiffeId: id, certificateThumbprint } = client;
	if (certificateThumbprint !== null && !/hash="?[0-9a-f]{64}/i.test(value)) never("a thumbprint without a hash");
	if (spiffeFault(id) !== null || !value.includes(id) || value.split(/uri=/i).length !== 2)
		never(`the id ${JSON.stringify(id)}`);
}

function spiffe(input: Buffer): void {
	const id = text(input);
	if (spiffeFault(id) === null && !/^spiffe:\/\/[a-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/.test(id))
		never(JSON.stringify(id));
	if (spiffeFault(id) === null && /\/\.{1,2}(?:\/|$)/.test(id)) never(JSON.stringify(id));
}

const DER = Buffer.from(own.certificate.replace(/-----[A-Z ]+-----|\s/g, ""), "base64");

function strict(input: Buffer): void {
	const object = strictObject(input);
	if (object === null) return;
	// The standard reader also accepts every accepted input, with the same members.
	const plain: unknown = JSON.parse(input.toString("utf8"));
	if (JSON.stringify(Object.keys(plain as object).sort()) !== JSON.stringify(Object.keys(object).sort()))
		never("JSON of two meanings");
	headerFault(object);
	claimsFault(ISSUER, object, object, NOW);
	confirmationOf(object);
	verifiedToken(ISSUER, object);
}

function keySet(input: Buffer): void {
	for (const key of readKeySet(input)?.keys ?? []) {
		if (key.algorithms.some((algorithm) => /^HS|none/i.test(algorithm))) never("a symmetric key");
	}
}

const latin1 = (...values: readonly string[]): readonly Buffer[] => values.map((value) => Buffer.from(value, "latin1"));

export const IDENTITY_TARGETS: readonly Target[] = [
	{
		name: "token",
		seeds: latin1(`Bearer ${VALID}`, `Bearer ${FORGED}`, `Bearer ${NONE}`, `Bearer ${VALID}\nBearer ${FORGED}`),
		weight: 1,
		run: token,
	},
	{
		name: "compact",
		seeds: latin1(VALID, FORGED, `Bearer ${VALID}`),
		weight: 2,
		run(input) {
			readCompact(text(input));
			shownToken(text(input).split("\n"));
		},
	},
	{ name: "dpop", seeds: latin1(PROOF, STRANGERS_PROOF, `${PROOF}\n${PROOF}`), weight: 1, run: proof },
	{ name: "dpop-fields", seeds: latin1(PROOF), weight: 1, run: (input) => void readProof(proofQuestion(input)) },
	{ name: "decision", seeds: latin1(decided, ...others), weight: 1, run: decision },
	{
		name: "strict-json",
		seeds: latin1(JSON.stringify(claims), JSON.stringify({ ...HEADER, cnf: { jkt } })),
		weight: 2,
		run: strict,
	},
	{ name: "key-set", seeds: latin1(KEY_SET), weight: 1, run: keySet },
	{
		name: "xfcc",
		seeds: latin1(
			`By=spiffe://weir.test/edge;Hash=${"ab".repeat(32)};Subject="CN=a, \\"b\\";x=y";URI=spiffe://weir.test/alice`,
			"Hash=00;URI=spiffe://weir.test/a;DNS=a.test,Hash=11;URI=spiffe://weir.test/b",
		),
		weight: 2,
		run: forwarded,
	},
	{ name: "spiffe-id", seeds: latin1("spiffe://weir.test/ns/a/sa/web", "spiffe://weir.test"), weight: 2, run: spiffe },
	{ name: "certificate", seeds: [DER], weight: 1, run: (input) => void certificateSpiffeId(input) },
];
