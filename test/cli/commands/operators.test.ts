/** The commands as operators use them: their certificate in the environment, a second person, the audit log. */
import { createHash, X509Certificate } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { writeFile } from "node:fs/promises";
import { calculateJwkThumbprint } from "jose";
import t from "tap";
import { operatorTokens } from "../../../src/cli/roles/operatorTokens.js";
import { golden, transcript } from "../../golden/golden.js";
import { ALL, METRIC } from "../../operate/employment.js";
import { mutualApi, newCa, operator, READS_NOTHING } from "../../operate/mutualApi.js";
import { keyPair, publicJwk, signed } from "../../trust/tokens/issuer.js";
import { fileOf, temporaryDirectory } from "../command.js";
import { operatorCommand, run } from "../operatorCommand.js";

const NO_LOG = { info: () => {}, warn: () => {} };
const CLICKS = METRIC.replace("accuracy", "clicks");
const RULES = `apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: ada}
spec: {verbs: [apply, promote, approve], subjects: ["${operator("ada")}"], namespaces: [default]}
---
apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: bob}
spec: {verbs: [approve], subjects: ["${operator("bob")}"], namespaces: [default]}
---
apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply, promote], namespaces: [default]}
`;

t.setTimeout(120_000);

t.test("apply, approve and audit by two operators with certificates, and by the owner's socket", async (t) => {
	const made = await mutualApi(t);
	const { owner, store } = made;
	await owner.apply([{ name: "all.yaml", text: [ALL, CLICKS, RULES].join("---\n") }], { dryRun: false });
	const directory = await temporaryDirectory(t);
	const { as, local } = await operatorCommand(t, made);
	const [ada, bob, eve] = [await as("ada"), await as("bob"), await as("eve")];
	const changed = await fileOf(directory, "clicks.yaml", CLICKS.replace("window: 1s", "window: 2s"));
	const pendingId = (text: string): string => /weir approve ([0-9a-f]{16})/.exec(text)?.[1] ?? "";
	const asked = await transcript(ada, `apply -f ${changed} --dry-run`, `apply -f ${changed}`);
	await golden(t, "apply", asked + (await transcript(eve, `apply -f ${changed}`)));
	const id = pendingId(asked);
	let requests = await transcript(bob, "requests", `requests ${id}`);
	t.match(requests, `asked by ${operator("ada")}`);
	let approve = (await transcript(ada, `approve ${id}`)) + (await transcript(eve, `approve ${id}`));
	const written = CLICKS.replace("window: 1s", "window: 3s").replace("kind:", "# \u202e2 :wodniw\rx\r\nkind:");
	const turned = await fileOf(directory, "turned.yaml", written);
	const lie = pendingId((await ada("apply", "-f", turned)).out);
	const shown = await bob("requests", lie);
	t.match(shown, { code: 0, out: /^# \\u202e2 :wodniw\\u000dx$/m }, "what would turn a line around is spelt out");
	t.notMatch(shown.out, /[\p{Cf}\r]/u);
	t.match(await bob("reject", lie), { code: 0 });
	approve += await transcript(bob, `approve ${id}`);
	await golden(t, "approve", approve);
	requests += await transcript(bob, `requests ${id}`);
	t.equal(store.current.resources.metrics.find(({ metadata }) => metadata.name === "clicks")?.spec.windowMs, 2_000);
	const promote = await transcript(ada, "promote boosted --reason good-numbers");
	await golden(t, "promote", promote);
	requests += await transcript(bob, "requests", `reject ${pendingId(promote)} --reason not-today`);
	requests += await transcript(ada, "requests");
	await golden(t, "requests", requests);
	t.match(await ada("pause", "boosted", "-n", "team"), { code: 1, stderr: /no Experiment 'team\/boosted'/ });
	t.match(await ada("decisions", "boosted", "-n", "default"), { code: 0 });
	t.match(await ada("pause", "boosted", "-n", "default"), { code: 0, out: /Paused at 2% by spiffe:/ });
	t.match(await ada("audit", "operators"), { code: 1, stderr: /admin in all namespaces/ });

	await golden(t, "audit-operators", await transcript(local, "audit operators"));
	const verified = await local("audit", "operators", "--verify");
	const heads = [...verified.out.matchAll(/note its head: (\S+)/g)].map(([, head]) => head ?? "");
	t.match([verified.code, ...heads], [0, /^\d+:[0-9a-f]{64}$/, /^refused:\d+:[0-9a-f]{64}$/]);
	await local("resume", "boosted");
	t.match(await local("audit", "operators", "--verify", "--noted", ...heads), { code: 0 });
	t.match(await local("audit", "operators", "--noted", ...heads), {
		code: 0,
		out: /^operations: the chain holds/,
	});
	for (const [at, chain] of ["operations", "refused"].entries()) {
		const other = (heads[at] ?? "").replace(/(?<=\d):./, (start) => (start === ":0" ? ":1" : ":0"));
		t.match(await local("audit", "operators", "--verify", "--noted", other), {
			code: 1,
			out: new RegExp(`^${chain}: THE CHAIN DOES NOT HOLD: record \\d+ is not the one that was noted`, "m"),
		});
	}
	t.match(await local("audit", "operators", "--verify", "--noted", "refused:x"), { code: 64 });
	const gone = `1:${"0".repeat(64)}`;
	t.match(await local("audit", "operators", "--noted", gone), { code: 1 }, "it is checked, asked for by itself");
	const json = await local("audit", "operators", "--json");
	const lines = json.out
		.trim()
		.split("\n")
		.map((line) => JSON.parse(line));
	t.equal(lines.filter(({ chain }) => chain === "operations").length, store.audit.page(0, 1_000).records.length);
	t.equal(
		lines.filter(({ result }) => result === "refused").length,
		store.audit.page(0, 1_000, "refused").records.length,
	);
	const times = lines.map(({ atMs }) => atMs);
	t.same(times, [...times].sort(), "merged by time");
	t.ok(lines.findIndex(({ chain }) => chain === "refused") < lines.length - 1, "not one after the other");
});

t.test("audit verification against a noted head that is no longer kept proves nothing, and reports that", async (t) => {
	const made = await mutualApi(t, { storeOptions: { auditRecords: 3 } });
	const { owner } = made;
	const { local } = await operatorCommand(t, made);
	const applyOne = (n: number) =>
		owner.apply([{ name: "m.yaml", text: CLICKS.replace("name: clicks", `name: clicks${n}`) }], { dryRun: false });
	await applyOne(0);
	const verify = (...more: string[]) => local("audit", "operators", "--verify", ...more);
	const head = /note its head: (\S+)/.exec((await verify()).out)?.[1] ?? "";
	for (let n = 1; n < 4; n++) await applyOne(n);
	t.match(await verify("--noted", head), {
		code: 1,
		out: /^operations: the chain holds.*\noperations: NOT PROVED: the noted record 1 is not kept, nothing is proved of it$/m,
		stderr: /1 older records of the chain operations were dropped/,
	});
	t.match(await verify(), { code: 0 });
});

t.test("an unusable certificate or token is reported before a request is sent", async (t) => {
	const api = "https://127.0.0.1:1";
	t.match(await run(["status"], { WEIR_API: api, WEIR_API_CERT: "/nowhere.pem" }), {
		code: 64,
		stderr: /WEIR_API_CERT/,
	});
	const directory = await temporaryDirectory(t);
	const token = await fileOf(directory, "token", "abc\n");
	const plain = await run(["status"], { WEIR_API: "http://127.0.0.1:1", WEIR_API_TOKEN_FILE: token });
	t.match(plain, { code: 64, stderr: /not sent over plain http/ });
	t.notMatch(plain.stderr, /abc/);
});

t.test(
	"an OIDC operator needs a valid signature, issuer, audience and lifetime; groups come from the token",
	async (t) => {
		const directory = await temporaryDirectory(t);
		const [pair, other] = [await keyPair(), await keyPair()];
		const jwk = await publicJwk(pair, { kid: "k1", alg: "ES256", use: "sig" });
		const keys = await fileOf(directory, "jwks.json", JSON.stringify({ keys: [jwk] }));
		const options = { issuer: "https://id.example", audience: "weir-api", keys, groupsClaim: "groups" };
		const { owner, withToken } = await mutualApi(t, { tokens: operatorTokens(options, NO_LOG) });
		const binding = (name: string, subject: string, verb: string) => `apiVersion: weir.dev/v1alpha1
kind: RoleBinding
metadata: {name: ${name}}
spec: {verbs: [${verb}], subjects: ["${subject}"], namespaces: [default]}
`;
		const rules = [binding("ml", "group:ml", "read"), binding("ada", "https://id.example#ada", "promote")].join(
			"---\n",
		);
		await owner.apply([{ name: "all.yaml", text: [ALL, rules].join("---\n") }], { dryRun: false });
		const seconds = Math.floor(Date.now() / 1_000);
		const claims = { iss: "https://id.example", aud: "weir-api", sub: "ada", iat: seconds, exp: seconds + 600 };
		const paused = await withToken(await signed(claims, pair)).act("boosted", "pause");
		t.match(paused, { outcome: "done", decision: { by: "https://id.example#ada" } });
		const inGroup = withToken(await signed({ ...claims, sub: "eve", groups: ["ml"] }, pair));
		t.equal((await inGroup.status()).experiments.length, 1);
		await t.rejects(inGroup.act("boosted", "resume"), {
			code: "permission-denied",
			message: /eve needs the verb promote/,
		});
		const denied = { code: "permission-denied", message: /does not know who calls/ };
		const wrong: readonly [string, Readonly<Record<string, unknown>>, typeof pair][] = [
			["another's signature", {}, other],
			["another audience", { aud: "shop" }, pair],
			["another issuer", { iss: "https://evil.example" }, pair],
			["too old", { iat: seconds - 900, exp: seconds - 300 }, pair],
			["a life of a week", { exp: seconds + 7 * 86_400 }, pair],
			["no subject", { sub: undefined }, pair],
			["bound to a certificate that is not shown", { cnf: { "x5t#S256": "x".repeat(43) } }, pair],
		];
		for (const [what, more, key] of wrong) {
			await t.rejects(withToken(await signed({ ...claims, ...more }, key)).status(), denied, what);
		}
		const typed = async (typ: string) =>
			withToken(await signed({ ...claims, sub: "eve", groups: ["ml"] }, pair, { typ }));
		for (const typ of ["logout+jwt", "application/logout+jwt", "secevent+jwt", "dpop+jwt", "id_token+jwt"])
			await t.rejects((await typed(typ)).status(), denied, typ);
		for (const typ of ["JWT", "at+jwt", "application/at+jwt", "AT+JWT"])
			t.equal((await (await typed(typ)).status()).experiments.length, 1, typ);
		// Each request meets keys that have not been read yet, as with the newest key of an issuer.
		const anew = await mutualApi(t, { tokens: (...asked) => operatorTokens(options, NO_LOG)(...asked) });
		await t.rejects(anew.withToken(await signed(claims, pair)).get(), READS_NOTHING, "an unknown key is waited for");
	},
);

t.test("a token of a removed key is refused, also without requests in between", async (t) => {
	const pair = await keyPair();
	const jwk = await publicJwk(pair, { kid: "k1", alg: "ES256", use: "sig" });
	const keys = await fileOf(await temporaryDirectory(t), "jwks.json", JSON.stringify({ keys: [jwk] }));
	const options = { issuer: "https://id.example", audience: "weir-api", keys, groupsClaim: "groups" };
	const seconds = Math.floor(Date.now() / 1_000);
	const claims = { iss: "https://id.example", aud: "weir-api", sub: "ada", iat: seconds, exp: seconds + 600 };
	const shown = async (jti: string) => `Bearer ${await signed({ ...claims, jti }, pair)}`;
	const asker = { method: "GET", socket: { remoteAddress: "10.0.0.1", getPeerCertificate: () => ({}) } };
	const logged = new EventEmitter();
	const log = {
		info: (message: string, fields?: object) => void logged.emit("info", message, fields),
		warn: (message: string, fields?: object) => void logged.emit("warn", message, fields),
	};
	const judge = operatorTokens(options, log);
	const judged = async (jti: string) => judge(await shown(jti), asker as never);
	t.match(await judged("1"), { subject: "https://id.example#ada" });
	// Timers of the judge keep no process alive.
	const awake = setInterval(() => {}, 1_000);
	const [none, well] = [once(logged, "warn"), once(logged, "info")];
	await writeFile(keys, JSON.stringify({ keys: [] }));
	t.match(await none, [/are unavailable$/, { source: keys, usesCachedKeys: false, why: /\w/ }]);
	t.match(await judged("2"), { refused: /invalid-token/ });
	await writeFile(keys, JSON.stringify({ keys: [jwk] }));
	t.match(await well, [/are usable again$/, { source: keys }]);
	clearInterval(awake);
	t.match(await judged("3"), { subject: "https://id.example#ada" });
});

t.test("a token that is bound to a certificate (RFC 8705) is accepted with that certificate only", async (t) => {
	const directory = await temporaryDirectory(t);
	const [pair, holder] = [await keyPair(), await keyPair()];
	const jwk = await publicJwk(pair, { kid: "k1", alg: "ES256", use: "sig" });
	const keys = await fileOf(directory, "jwks.json", JSON.stringify({ keys: [jwk] }));
	const options = { issuer: "https://id.example", audience: "weir-api", keys, groupsClaim: "groups" };
	const { ca, withToken } = await mutualApi(t, { tokens: operatorTokens(options, NO_LOG) });
	const [own, other] = [await ca.issue({ spiffeId: operator("ada") }), await ca.issue({ spiffeId: operator("ada") })];
	const otherCa = await newCa();
	const elsewhere = await otherCa.issue({ spiffeId: operator("ada") });
	const seconds = Math.floor(Date.now() / 1_000);
	const claims = { iss: "https://id.example", aud: "weir-api", sub: "ada", iat: seconds, exp: seconds + 600 };
	const hash = (certificate: string): string =>
		createHash("sha256").update(new X509Certificate(certificate).raw).digest("base64url");
	const bound = await signed({ ...claims, cnf: { "x5t#S256": hash(own.certificate) } }, pair);
	const toOutside = await signed({ ...claims, cnf: { "x5t#S256": hash(elsewhere.certificate) } }, pair);
	const jkt = await calculateJwkThumbprint(await publicJwk(holder));
	const toBoth = await signed({ ...claims, cnf: { jkt, "x5t#S256": hash(own.certificate) } }, pair);
	const toKey = await signed({ ...claims, cnf: { jkt } }, pair);
	const unbound = await signed(claims, pair);
	const denied = { code: "permission-denied", message: /does not know who calls/ };
	for (let round = 0; round < 2; round++) {
		await t.rejects(withToken(bound, own).get(), READS_NOTHING, "with its certificate");
		await t.rejects(withToken(toOutside, elsewhere).get(), READS_NOTHING, "whichever CA signed the certificate");
		await t.rejects(withToken(bound).get(), denied, "without one");
		await t.rejects(withToken(bound, other).get(), denied, "with another of the same name");
		await t.rejects(withToken(toOutside, own).get(), denied);
		await t.rejects(withToken(toBoth, own).get(), denied, "bound to a key too");
		await t.rejects(withToken(toKey, own).get(), denied, "bound to a key");
		await t.rejects(withToken(unbound).get(), READS_NOTHING, "bound to nothing");
		await t.rejects(withToken(unbound, other).get(), READS_NOTHING);
	}
});

t.test("an operation on more than fifty objects is recorded in full, in numbered lines", async (t) => {
	const { api, owner } = await mutualApi(t);
	const many = Array.from({ length: 60 }, (_, at) => METRIC.replace("accuracy", `metric-${at}`));
	await owner.apply([{ name: "all.yaml", text: many.join("---\n") }], { dryRun: false });
	const log = await run(["audit", "operators", "--verify"], { WEIR_API: `unix:${api.socket}` });
	t.equal(log.code, 0);
	const lines = (await run(["audit", "operators"], { WEIR_API: `unix:${api.socket}` })).out;
	t.match(lines, /created Metric metric-49 \(50 of 60\)/);
	t.match(lines, /created Metric metric-59 \(10 of 60\)/);
});
