/** Key sets over their life, and an issuer that is down, slow, lying or moved: what fails, denies. */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import type { TokenQuestion } from "../../../src/compile/access/users/token.js";
import type { KeySource } from "../../../src/declare/resources/resource.js";
import { KEYS_FILE_MS, KEYS_REFRESH_MS } from "../../../src/limits/index.js";
import { keyLoad } from "../../../src/trust/tokens/keyLoad.js";
import type { VerifierOptions } from "../../../src/trust/tokens/verifier.js";
import { createDevelopmentCa } from "../identity/developmentCa.js";
import { CLAIMS, issuerOf, jwksBytes, keyPair, publicJwk, Scene, signed } from "./issuer.js";

const [first, second] = [await keyPair(), await keyPair()];
const [k1, k2] = [await publicJwk(first, { kid: "k1" }), await publicJwk(second, { kid: "k2" })];
const byFirst = await signed(CLAIMS, first);
const bySecond = await signed(CLAIMS, second, { kid: "k2" });
const fail = (): Promise<never> => Promise.reject(new Error("down"));

t.test("rotation: a new kid is looked for once in a while, a removed key stops, cached or not", async (t) => {
	const one = new Scene([k1]);
	t.equal(await one.said(byFirst), "ok ann");
	t.match(await one.said(bySecond), /^invalid/);
	t.equal(one.loads, 1, "one fetch within the cooldown");
	one.keys = () => jwksBytes([k1, k2]);
	one.monotonicMs = 30_001;
	t.same(await Promise.all([one.said(bySecond), one.said(bySecond)]), ["ok ann", "ok ann"]);
	t.equal(one.loads, 2, "single flight");
	t.equal(await one.said(byFirst), "ok ann");
	one.keys = () => jwksBytes([k2]);
	one.monotonicMs += 30_001;
	t.match(await one.said(await signed(CLAIMS, first, { kid: "k3" })), /^invalid/, "which makes it look");
	t.match(await one.said(byFirst), /^invalid/, "its key is gone, and so is what it has verified");
	t.equal(await one.said(bySecond), "ok ann");
	one.keys = () => jwksBytes([{ ...k1, kid: "k2" }]);
	one.monotonicMs += 600_001;
	await one.said(bySecond);
	await new Promise((resolve) => setImmediate(resolve));
	t.match(await one.said(bySecond), /^invalid/, "another key under the same kid is another key");
});

t.test("a removed key expires without requests: keys are refreshed by a timer", async (t) => {
	const one = new Scene([k1]);
	t.equal(await one.said(byFirst), "ok ann");
	one.keys = () => jwksBytes([k2]);
	one.monotonicMs += 599_999;
	one.verifier.lookAtKeys();
	t.equal(one.loads, 1, "fresh");
	one.monotonicMs += 2;
	one.verifier.lookAtKeys();
	await new Promise((resolve) => setImmediate(resolve));
	t.equal(one.loads, 2);
	const another = await signed({ ...CLAIMS, jti: "another" }, first);
	t.match(await Promise.all([one.said(another), one.said(byFirst)]), [/^invalid/, /^invalid/]);
});

t.test("a fault of an issuer's keys is reported once per change", async (t) => {
	const reports: string[] = [];
	const times = { fresh: 1_000, stale: 3_600_000, cooldown: 1_000 };
	const keysTroubled: VerifierOptions["keysTroubled"] = (source, trouble) => {
		t.equal(source, url);
		reports.push(trouble === null ? "well" : `${trouble.serveOn ? "serve on" : "none"}: ${trouble.why}`);
	};
	const url = "https://id.test/keys";
	const one = new Scene([k1], [issuerOf({ keys: { from: "url", url, caFile: null } })], { times, keysTroubled });
	const looks = async (keys: Scene["keys"]): Promise<void> => {
		one.keys = keys;
		for (let n = 0; n < 5; n++) {
			one.monotonicMs += 2_000;
			one.verifier.lookAtKeys();
			await new Promise((resolve) => setImmediate(resolve));
		}
	};
	const well = () => jwksBytes([k1]);
	await looks(well);
	t.same(reports, []);
	let turn = 0;
	await looks(fail);
	await looks(() => Promise.reject(new Error(`${turn++ % 2}`)));
	t.same(reports.splice(0), ["serve on: down"], "once, however long it lasts, and whatever the words");
	await looks(well);
	t.same(reports.splice(0), ["well"]);
	await looks(() => jwksBytes([]));
	t.match(reports.splice(0), [/^none: /], "no token holds any more");
	await looks(fail);
	t.same(reports, [], "which is the same, in other words");
	await looks(well);
	await looks(fail);
	t.same(reports.splice(0), ["well", "serve on: down"]);
	one.monotonicMs += 3_600_000;
	one.verifier.lookAtKeys();
	t.same(reports.splice(0), ["none: down"], "they are too old now");
	await looks(well);
	t.same(reports.splice(0), ["well"]);
	t.ok(one.loads > 20);
});

t.test("a set in a file is read at each look", async (t) => {
	const one = new Scene([k1], [issuerOf()], { times: KEYS_FILE_MS });
	t.equal(await one.said(byFirst), "ok ann");
	one.keys = () => jwksBytes([k2]);
	one.monotonicMs += KEYS_REFRESH_MS;
	one.verifier.lookAtKeys();
	await new Promise((resolve) => setImmediate(resolve));
	t.match(await one.said(byFirst), /^invalid/);
});

t.test(
	"a caller that is refused anyway causes no fetch: unknown keys of unknown callers do not delay a rotation",
	async (t) => {
		const one = new Scene([k1]);
		t.equal(await one.said(byFirst), "ok ann");
		one.monotonicMs = 30_001;
		const asStranger = { neverAllowed: () => true };
		for (const kid of ["k2", "k3", "k4"])
			t.match(await one.said(await signed(CLAIMS, second, { kid }), asStranger), /^invalid/);
		t.equal(one.loads, 1);
		t.equal(await one.said(byFirst, asStranger), "ok ann", "with a known key it is verified as anybody's");
		one.keys = () => jwksBytes([k1, k2]);
		const [strange, honest] = await Promise.all([one.said(bySecond, asStranger), one.said(bySecond)]);
		t.match([strange, honest], [/^invalid-token/, "ok ann"], "concurrent requests with one token");
		t.equal(one.loads, 2);
		t.equal(await one.said(bySecond, asStranger), "ok ann");
	},
);

t.test("old keys serve while they are renewed, for a bounded time, and then deny", async (t) => {
	const one = new Scene([k1]);
	t.equal(await one.said(byFirst), "ok ann");
	one.keys = fail;
	one.monotonicMs = 600_001;
	t.equal(await one.said(byFirst), "ok ann", "fresh no more, but none newer can be had");
	t.equal(await one.said(await signed({ ...CLAIMS, n: 1 }, first)), "ok ann", "and new tokens too");
	t.equal(one.loads, 2);
	one.monotonicMs = 3_600_001;
	t.match(await one.said(byFirst), /^invalid/, "known before, and denied");
	t.match(await one.said(await signed({ ...CLAIMS, n: 2 }, first)), /^invalid/);
	one.keys = () => jwksBytes([k1]);
	one.monotonicMs += 30_001;
	t.equal(await one.said(byFirst), "ok ann", "back");
});

t.test("a failed look is repeated soon, then more slowly, never per request", async (t) => {
	const one = new Scene(fail);
	const ask = (): Promise<string> => one.said(byFirst);
	for (let round = 0; round < 5; round++) t.match(await ask(), /^invalid/);
	t.equal(one.loads, 1);
	for (const [passedMs, loads] of [
		[1_001, 2],
		[500, 2],
		[1_600, 3],
		[4_001, 4],
		[5_001, 5],
		[5_001, 6],
		[4_000, 6],
		[30_001, 7],
	] as const) {
		one.monotonicMs += passedMs;
		await ask();
		t.equal(one.loads, loads, `after ${passedMs} ms more`);
	}
});

t.test("while there are keys that serve the pauses grow to the cooldown", async (t) => {
	const one = new Scene([k1]);
	t.equal(await one.said(byFirst), "ok ann");
	one.keys = fail;
	one.monotonicMs = 600_000;
	for (const [passedMs, loads] of [
		[1, 2],
		[1_001, 3],
		[2_001, 4],
		[4_001, 5],
		[8_001, 6],
		[16_001, 7],
		[29_000, 7],
		[2_000, 8],
	] as const) {
		one.monotonicMs += passedMs;
		t.equal(await one.said(byFirst), "ok ann");
		await new Promise((resolve) => setImmediate(resolve));
		t.equal(one.loads, loads, `after ${passedMs} ms more`);
	}
});

const OVER_LIMIT = Buffer.alloc(300 * 1024, " ");
for (const [name, bytes] of [
	["empty", ""],
	["no JSON", "<html>"],
	["no set", "[]"],
	["keys that are no list", '{"keys":{}}'],
	["members twice", '{"keys":[],"keys":[]}'],
	["too many keys", JSON.stringify({ keys: Array(101).fill(k1) })],
] as const) {
	t.test(`garbage denies and does not replace what was good: ${name}`, async (t) => {
		const one = new Scene(() => Buffer.from(bytes));
		t.match(await one.said(byFirst), /^invalid/);
		one.keys = () => jwksBytes([k1]);
		one.monotonicMs = 30_001;
		t.equal(await one.said(byFirst), "ok ann");
		one.keys = () => Buffer.from(bytes);
		one.monotonicMs += 600_001;
		await one.said(byFirst);
		t.equal(await one.said(byFirst), "ok ann");
	});
}

t.test("an empty set is valid: then no token is", async (t) => {
	const one = new Scene([k1]);
	t.equal(await one.said(byFirst), "ok ann");
	one.keys = () => jwksBytes([]);
	one.monotonicMs = 600_001;
	await one.said(byFirst);
	await new Promise((resolve) => setImmediate(resolve));
	t.match(await one.said(byFirst), /^invalid/);
	const { loads } = one;
	one.monotonicMs += 900;
	t.match(await one.said(byFirst), /^invalid/);
	t.equal(one.loads, loads);
	one.keys = () => jwksBytes([k1]);
	one.monotonicMs += 101;
	t.equal(await one.said(byFirst), "ok ann", "one that was empty by mistake is looked for again soon");
});

t.test("a refusal without issuer keys is distinguishable, for an alarm", async (t) => {
	const keyless = async (one: Scene, token: string, fields: Partial<TokenQuestion> = {}): Promise<boolean> => {
		const answer = await one.ask(token, fields);
		return answer !== null && "refused" in answer && answer.keyless === true;
	};
	for (const none of [fail, () => jwksBytes([]), () => jwksBytes([{ kty: "oct", k: "AAAA", kid: "k1" }])]) {
		const one = new Scene(none);
		t.ok(await keyless(one, byFirst));
		t.notOk(await keyless(one, byFirst, { neverAllowed: () => true }), "whom rules refuse has lost nothing");
		one.keys = () => jwksBytes([k1]);
		one.monotonicMs = 30_001;
		t.equal(await one.said(byFirst), "ok ann");
	}
	const one = new Scene([k1]);
	t.notOk(await keyless(one, bySecond), "an unknown key is the client's fault");
	t.notOk(await keyless(one, await signed(CLAIMS, second)), "and so is a wrong signature");
	const none = new Scene([]);
	t.notOk(await keyless(none, await signed({ ...CLAIMS, iss: "https://other.test" }, first)), "or another issuer");
	t.notOk(await keyless(none, "a.b.c"));
	const sources = ["has", "lacks"].map((file) => issuerOf({ keys: { from: "file", file } }));
	const load = (source: KeySource) => async () =>
		jwksBytes(source.from === "file" && source.file === "has" ? [k1] : []);
	const halved = new Scene([], sources, { load });
	t.ok(await keyless(halved, bySecond), "it may be by a key of the source that has none");
	t.equal(await halved.said(byFirst), "ok ann");
});

t.test("keys that are not understood are no reason to refuse the others", async (t) => {
	const odd = [
		{ kty: "EC", crv: "secp256k1", kid: "k1" },
		{ kty: "oct", k: "AAAA", kid: "k1" },
		{ kty: "EC", crv: "P-256", kid: "k1", x: "AA", y: "AA" },
	];
	t.equal(await new Scene([...odd, k1]).said(byFirst), "ok ann");
	t.match(await new Scene(odd).said(byFirst), /^invalid/);
});

t.test("over https, for real", async (t) => {
	const directory = await mkdtemp(join(tmpdir(), "weir-keys-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const authority = { trustDomain: "weir.test", nowMs: Date.now(), lifetimeMs: 3_600_000 };
	const [ca, strange] = [await createDevelopmentCa(authority), await createDevelopmentCa(authority)];
	const own = await ca.issue({ spiffeId: "spiffe://weir.test/issuer", dnsNames: ["localhost"] });
	const [caFile, strangeFile, file] = ["ca.pem", "strange.pem", "keys.json"].map((name) => join(directory, name)) as [
		string,
		string,
		string,
	];
	await writeFile(caFile, ca.certificate);
	await writeFile(strangeFile, strange.certificate);
	let respond = (_request: IncomingMessage, response: ServerResponse): void => void response.end(jwksBytes([k1]));
	let requests = 0;
	const server = createServer({ cert: own.certificate, key: own.privateKey }, (request, response) => {
		requests++;
		respond(request, response);
	});
	await once(server.listen(0, "127.0.0.1"), "listening");
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const { port } = server.address() as AddressInfo;
	const load = (ca: string | null = caFile, host = "localhost") =>
		keyLoad({ from: "url", url: `https://${host}:${port}/keys`, caFile: ca })();
	t.same(await load(), jwksBytes([k1]));
	await t.rejects(load(strangeFile), "another authority");
	await t.rejects(load(null), "the system does not know the authority");
	await t.rejects(load(caFile, "127.0.0.1"), "another name than the certificate's");
	const answers: readonly (readonly [string, typeof respond, RegExp])[] = [
		["500", (_, response) => void response.writeHead(500).end(jwksBytes([k1])), /was 500/],
		[
			"a redirect, even to itself",
			(_, response) => void response.writeHead(302, { location: `https://localhost:${port}/keys` }).end(),
			/was 302/,
		],
		["too much", (_, response) => void response.end(OVER_LIMIT), /larger/],
		[
			"cut off",
			(_, response) => {
				response.writeHead(200, { "content-length": "100" });
				response.write("{");
				response.socket?.destroy();
			},
			/./,
		],
	];
	for (const [name, answer, why] of answers) {
		respond = answer;
		requests = 0;
		await t.rejects(load(), { message: why }, name);
		t.equal(requests, 1, `${name}: one request`);
	}
	server.closeAllConnections();
	server.close();
	await t.rejects(load(), "down");
	for (const url of [
		"http://localhost/keys",
		"ftp://localhost/keys",
		"file:///etc/keys",
		"https://a:b@localhost/keys",
		"keys",
	]) {
		t.throws(() => keyLoad({ from: "url", url, caFile: null }), { code: "invalid-argument" }, url);
	}
	await writeFile(file, jwksBytes([k1]));
	const fromFile = new Scene([], [issuerOf({ keys: { from: "file", file } })], { load: keyLoad });
	t.equal(await fromFile.said(byFirst), "ok ann", "from a file");
	await writeFile(file, OVER_LIMIT);
	await t.rejects(keyLoad({ from: "file", file })(), /larger/);
	await t.rejects(keyLoad({ from: "file", file: join(directory, "none") })());
});
