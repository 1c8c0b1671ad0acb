/** Key sets as xds publishes them: the last good text for a bounded time, then a placeholder key; never a private key. */
import { createHash, createPublicKey, generateKeyPairSync } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import t from "tap";
import { IssuerKeys } from "../../../src/cli/roles/issuerKeys.js";
import { EMPTY_KEY_SET, isPublicKeySet } from "../../../src/compile/envoy/keySet.js";
import { qualifiedName } from "../../../src/declare/resources/resource.js";
import { KEYS_BYTES_MAX } from "../../../src/limits/index.js";
import { gateway, resourceSet, tokenIssuer } from "../../fixtures/resources.js";
import { temporaryDirectory } from "../command.js";

const set = (...keys: readonly object[]) => JSON.stringify({ keys });
const { kty, crv, x, y } = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
const EC = { crv, kty, x, y };

/** Public keys that verify no token of Envoy. */
const USELESS: readonly object[] = [
	{ kty: "unknown" },
	{ kty: "EC", crv: "P-256", x: "eA", y: "eQ" },
	{ ...EC, use: "enc" },
	{ ...EC, alg: "ES384" },
	{ ...EC, alg: "none" },
	{ kty: "OKP", crv: "X25519", x: "eA" },
	{ kty: "EC", crv: "secp256k1", x: "eA", y: "eQ" },
];

t.test("the placeholder key is valid, and derived from a text", async (t) => {
	const [key] = (JSON.parse(EMPTY_KEY_SET) as { keys: { x: string }[] }).keys;
	t.equal(key?.x, createHash("sha256").update("weir: empty key set 1").digest("base64url"));
	t.doesNotThrow(() => createPublicKey({ key: key as never, format: "jwk" }));
	t.ok(isPublicKeySet(EMPTY_KEY_SET));
});

t.test("a public key set has at least one public key and no private member", async (t) => {
	t.ok(isPublicKeySet(set(EC, { kty: "RSA", n: "bg", e: "AQAB" })));
	for (const member of ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]) {
		t.notOk(isPublicKeySet(set(EC, { ...EC, [member]: "x" })), member);
	}
	for (const text of [
		"",
		"null",
		"[]",
		"{",
		'{"keys":{}}',
		set(),
		set([]),
		'{"keys":[null]}',
		'{"keys":["k"]}',
		set({}),
	])
		t.notOk(isPublicKeySet(text), text);
});

t.test(
	"an unusable key file keeps the last keys for a time, is logged once, and never exposes a private key",
	async (t) => {
		const directory = await temporaryDirectory(t);
		const path = `${directory}/keys.json`;
		const lines: string[] = [];
		const gauges: number[] = [];
		const leftOut: number[] = [];
		let nowMs = 0;
		let changes = 0;
		const keys = new IssuerKeys({
			log: { warn: (line) => void lines.push(`warn ${line}`), info: (line) => void lines.push(`info ${line}`) },
			meter: {
				gauge: (name, _, value) => void (name === "weir_xds_issuer_keys_unusable" ? gauges : leftOut).push(value),
			},
			changed: () => void changes++,
			monotonicMs: () => nowMs,
		});
		const resources = resourceSet({ gateways: [gateway({ tokens: [tokenIssuer("https://id.test", ["a"], path)] })] });
		const read = async (afterMs = 2_000) => {
			nowMs += afterMs;
			return (await keys.read(resources))[path];
		};
		const shown = (key: object) => set({ ...key, alg: "ES256", use: "sig" });
		t.equal(await read(), EMPTY_KEY_SET, "no file");
		t.equal(await read(), EMPTY_KEY_SET);
		t.match(lines, [/^warn .*unavailable/], "the file is missing");
		t.equal(lines.length, 1, "logged once");
		await writeFile(path, set(EC));
		t.equal(await read(), shown(EC));
		const bad = ["garbage", '{"keys":[],"keys":[]}', `${set(EC)}${" ".repeat(KEYS_BYTES_MAX)}`, ""];
		for (const text of bad) {
			await writeFile(path, text);
			t.equal(await read(), shown(EC), text.slice(0, 40));
		}
		await rm(path);
		t.equal(await read(), shown(EC), "the file was removed");
		t.equal(await read(3_600_001), EMPTY_KEY_SET, "the file is missing for too long");
		t.match(lines.at(-1), /for too long/);
		await writeFile(path, set(...USELESS, { ...EC, x5c: ["a certificate"], note: "x" }));
		t.equal(await read(), shown(EC), "only the fields that verify tokens are published");
		for (const key of [...USELESS, { ...EC, d: "secret" }, { kty: "oct", k: "secret" }]) {
			await writeFile(path, set(key));
			t.equal(await read(), EMPTY_KEY_SET, `no key of ${JSON.stringify(key)}`);
			await writeFile(path, set(key, EC));
			t.equal(await read(), shown(EC), "an unusable key does not exclude the others");
		}
		await writeFile(path, set({ ...EC, kid: "new" }));
		t.equal(await read(), shown({ ...EC, kid: "new" }));
		t.same(gauges.slice(0, 9), [1, 1, 0, ...bad.map(() => 1), 1, 1]);
		t.ok(changes > 3);
		t.same(await keys.read(resourceSet({})), {}, "a file that no Gateway names is not read");
		await rm(path);
		t.equal(await read(), EMPTY_KEY_SET, "its last keys are forgotten");
	},
);

t.test("a hanging file delays no one: the last good keys serve, then the placeholder key", async (t) => {
	let nowMs = 0;
	let load = async (): Promise<Uint8Array> => Buffer.from(set(EC));
	const hang = (): Promise<never> => new Promise(() => {});
	const log = { warn: () => {}, info: () => {} };
	const options = { log, meter: { gauge: () => {} }, monotonicMs: () => nowMs, waitMs: 5, load: () => () => load() };
	const resources = resourceSet({ gateways: [gateway({ tokens: [tokenIssuer("https://id.test", ["a"], "/k")] })] });
	const keys = new IssuerKeys(options);
	const good = set({ ...EC, alg: "ES256", use: "sig" });
	t.same(await keys.read(resources), { "/k": good });
	load = hang;
	nowMs += 2_000;
	t.same(await keys.read(resources), { "/k": good });
	nowMs += 3_600_000;
	t.same(await keys.read(resources), { "/k": EMPTY_KEY_SET });
	t.same(await new IssuerKeys(options).read(resources), { "/k": EMPTY_KEY_SET }, "also at the first read");
});

t.test("an issuer's change outside of its keys publishes nothing; an unusable key set is logged once", async (t) => {
	const lines: string[] = [];
	const logLine = (line: string, fields: unknown): void => void lines.push(`${line} ${JSON.stringify(fields)}`);
	const leftOut: number[] = [];
	let nowMs = 0;
	let changes = 0;
	let asks = 0;
	let answer = "";
	const load = () => async (): Promise<Uint8Array> => {
		asks++;
		return Buffer.from(answer);
	};
	const keys = new IssuerKeys({
		log: { warn: logLine, info: logLine },
		meter: { gauge: (name, _, value) => void (name.endsWith("left_out") && leftOut.push(value)) },
		changed: () => void changes++,
		monotonicMs: () => nowMs,
		load,
	});
	const declared = {
		...tokenIssuer("https://id.test", ["a"], ""),
		keys: { from: "url", url: "https://id.test/keys", caFile: null } as const,
	};
	const resources = resourceSet({ gateways: [gateway({ tokens: [declared] })] });
	const texts = async (): Promise<string> => JSON.stringify(await keys.read(resources));
	const other = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ format: "jwk" });
	const [one, two, three] = [
		{ ...EC, kid: "a" },
		{ ...other, kid: "a" },
		{ ...EC, kid: "b" },
	];
	answer = set(one, two, three);
	const published = await texts();
	t.equal(changes, 1);
	const renewed = async (...list: readonly object[]): Promise<string> => {
		answer = set(...list);
		nowMs += 600_001;
		await texts();
		await new Promise((resolve) => setImmediate(resolve));
		return texts();
	};
	t.equal(await renewed(three, two, one), published, "another order");
	t.equal(await renewed(two, three, one, two), published, "one of them twice");
	t.equal(await renewed({ ...one, note: "new" }, { y, x, crv, kty, kid: "b", use: "sig" }, two), published);
	t.equal(changes, 1);
	t.same(lines, []);

	const [gatewayName = ""] = resources.gateways.map(({ metadata }) => qualifiedName(metadata));
	const before = asks;
	for (let round = 0; round < 100; round++) {
		keys.unknownKey(gatewayName);
		await texts();
	}
	t.equal(asks, before, "unknown keys of clients cause no fetch within the pause");
	nowMs += 30_001;
	for (let round = 0; round < 100; round++) {
		keys.unknownKey(gatewayName);
		await texts();
	}
	t.equal(asks, before + 1, "one fetch after the pause");
	t.equal(await texts(), published);
	t.equal(changes, 1, "an unchanged set publishes nothing");

	const broken = { kty: "RSA", kid: "b" };
	t.not(await renewed(one, broken), published);
	await renewed(one, broken);
	await renewed(broken, broken);
	t.equal(JSON.parse(await renewed(broken, broken))["https://id.test/keys"], EMPTY_KEY_SET);
	t.equal(changes, 3);
	t.equal(leftOut.at(-1), 2);
	answer = set(one);
	const empty = asks;
	nowMs += 5_001;
	await texts();
	t.equal(asks, empty + 1, "a set without a key is fetched again soon, also without requests");
	await new Promise((resolve) => setImmediate(resolve));
	await renewed(one);
	const source = "https://id.test/keys";
	t.match(lines, [/ skipped .*key 2: .*n or e/, / cannot be used .*key 1: .*n or e.*and 1 more/, / usable again /]);
	t.equal(lines.length, 3, "each change is logged once");
	t.ok(lines.every((line) => line.includes(source)));
});
