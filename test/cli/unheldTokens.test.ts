/** Tokens that give no unit, through all of Weir: `weir status` says that they come, `weir why` by which rule. */
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { AUDIENCE, createMinter, ISSUER } from "../compiler/secure/tokens.js";
import { startBackend } from "./backend.js";
import { fileOf, temporaryDirectory, weir, weirUp } from "./command.js";

t.setTimeout(120_000);

const UNVERIFIED =
	"Envoy could not verify it (signature, key, issuer, audience, exp, nbf, or more left to live than its issuer's maxLifetime), or it is not written as one token";
const WORDS = {
	times: "its life, its iat or its length",
	form: "kid, crit, cnf, iat, its audience or form",
	unverified: "Envoy could not verify it",
};
type Cause = keyof typeof WORDS;

const experimentOf = (name: string, unit: string): string => `---
apiVersion: weir.dev/v1alpha1
kind: Experiment
metadata: {name: by-${name}}
spec:
  service: ${name}
  unit: ${unit}
  layer: {name: ${name}}
  arms:
    - {name: control, variant: v1, weight: 1, baseline: true}
    - {name: copy, variant: v2, weight: 1}
  goal: {metric: quality, improveBy: {absolute: 1pp}}
  rollout: {steps: [100%], every: 1h, minUnits: 1000}
`;

const serviceOf = (name: string, host: string, port: number): string => `---
apiVersion: weir.dev/v1alpha1
kind: Service
metadata: {name: ${name}}
spec:
  hosts: [${host}]
  access: open
  defaultVariant: v1
  variants:
    - {name: v1, endpoints: [{address: 127.0.0.1, port: ${port}}]}
    - {name: v2, endpoints: [{address: 127.0.0.1, port: ${port}}]}
`;

t.test("who comes with a token that does not hold is missed by nobody", async (t) => {
	const directory = await temporaryDirectory(t);
	const port = await startBackend(t);
	const minter = createMinter(Date.now());
	const jwks = await fileOf(directory, "jwks.json", JSON.stringify(minter.jwks));
	const file = await fileOf(
		directory,
		"weir.yaml",
		`apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec:
  port: 0
  exposeArm: true
  tokens: [{issuer: "${ISSUER}", audiences: [${AUDIENCE}], jwksFile: ${jwks}, maxLifetime: 1h}]
---
apiVersion: weir.dev/v1alpha1
kind: Metric
metadata: {name: quality}
spec: {type: rate, source: outcome, window: 1s}
${serviceOf("claims", "127.0.0.1", port)}${experimentOf("claims", "{claim: nick}")}${serviceOf("headers", "localhost", port)}${experimentOf("headers", "{header: x-user-id}")}`,
	);
	const up = await weirUp(file, `${directory}/data`);
	t.teardown(async () => void (await up.stop()));
	const { gateways } = JSON.parse(await readFile(`${directory}/data/addresses.json`, "utf8"));
	const asked = async (token: string | null) => {
		const headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` };
		const response = await fetch(gateways.edge, { headers });
		await response.text();
		t.equal(response.status, 200);
		return { id: response.headers.get("x-request-id") ?? "", arm: response.headers.get("x-weir-arm") };
	};
	/** The line about its unit. */
	const unit = async (id: string): Promise<string> => {
		for (let tries = 0; ; tries++) {
			const { stdout, stderr } = await weir(["why", id, "--api", up.ready.api]);
			const line = /^unit +(.*)$/m.exec(stdout.toString())?.[1];
			if (line !== undefined && !/not ended/.test(stdout.toString())) return line;
			if (tries > 100) throw new Error(`no account of ${id}: ${stdout}${stderr}\n${up.log()}`);
			await pause(100);
		}
	};
	const status = async (...args: readonly string[]): Promise<string> =>
		(await weir(["status", "--api", up.ready.api, ...args])).stdout.toString();

	const good = await asked(minter.token({ nick: "ann" }));
	t.match(good.arm, /^by-claims\/(control|copy)$/);
	t.match(await unit(good.id), /^[0-9a-f]{32} \(pseudonym\), from claim nick$/);
	const none = await asked(null);
	t.equal(
		await unit(none.id),
		"none in claim nick (no token was verified): unassigned, default Variant v1",
		"no token at all",
	);
	const now = Math.floor(Date.now() / 1_000);
	for (const [claims, why] of [
		[{}, "the token has no such claim"],
		[{ nick: "ann smith" }, "the claim is no unit: printable ASCII without blanks and commas"],
	] as const) {
		const { id, arm } = await asked(minter.token(claims));
		t.equal(arm, null);
		t.equal(await unit(id), `none in claim nick (${why}): unassigned, default Variant v1`);
	}
	t.notMatch(await status(), /does not hold/, "nobody is missed yet");

	const unheld: readonly (readonly [token: string, why: string, cause: Cause])[] = [
		[minter.token({ nick: "ann" }, { kid: undefined }), "it has no kid", "form"],
		[minter.token({ nick: "ann" }, { crit: ["x"], x: 1 }), "it has crit", "form"],
		[
			minter.token({ nick: "ann", cnf: { jkt: "x".repeat(43) } }),
			"it is bound to a key (cnf), and nobody checks the proof",
			"form",
		],
		[minter.token({ nick: "ann", iat: undefined }), "it has no iat", "form"],
		[minter.token({ nick: "ann", iat: now + 3_000, exp: now + 3_500 }), "it is issued in the future", "times"],
		[
			minter.token({ nick: "ann", iat: now - 86_400, exp: now + 600 }),
			"its life of 87000 s (exp − iat) is beyond its issuer's maxLifetime, or it is too long",
			"times",
		],
		[
			minter.token({ nick: "ann", aud: `http://${AUDIENCE}/` }),
			"its audience or form is not as it must be (aud, typ, sub, client_id, jti, alg, how it is written), or its issuer binds all tokens to keys",
			"form",
		],
		[minter.token({ nick: "ann", iat: now - 7_200, exp: now - 3_600 }), UNVERIFIED, "unverified"],
		[minter.token({ nick: "ann", iat: now, exp: now + 7_200 }), UNVERIFIED, "unverified"],
	];
	const seen: Record<Cause, readonly string[]> = { times: [], form: [], unverified: [] };
	for (const [token, why, cause] of unheld) {
		const { id, arm } = await asked(token);
		t.equal(arm, null, why);
		t.equal(
			await unit(id),
			`none in claim nick (the token does not hold as a unit: ${why}): unassigned, default Variant v1`,
		);
		seen[cause] = [...seen[cause], id];
	}
	// A stranger's junk, which comes after them all.
	for (let count = 0; count < 3; count++) {
		const { id } = await asked("eyJhbGciOiJFUzI1NiJ9.e30.AAAA");
		t.match(await unit(id), UNVERIFIED.slice(0, 25));
		seen.unverified = [...seen.unverified, id];
	}
	const lines = (await status()).split("\n");
	const at = lines.findIndex((line) => line.startsWith("by-claims"));
	t.same(
		lines.slice(at + 1, at + 4).map((line) => line.replace(/ since \S+Z /, " ")),
		(["times", "form", "unverified"] as const).map(
			(cause) =>
				`  ${seen[cause].length} requests had a token that does not hold (${WORDS[cause]}), so no unit: weir why ${seen[cause].at(-1)}`,
		),
		"by cause, what anybody can send last",
	);
	t.equal(lines.filter((line) => line.includes("does not hold")).length, 3, "of the Experiment by claims alone");
	t.notMatch(await status("--json"), /"ann"|eyJ/);
});
