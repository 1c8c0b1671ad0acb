/** `weir status` and /readyz report issuers without usable keys; control stays ready. */
import { generateKeyPairSync } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { startControlRole } from "../../../src/cli/roles/control.js";
import { IssuerKeys } from "../../../src/cli/roles/issuerKeys.js";
import { places } from "../../../src/cli/stack/places.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { gateway, resourceSet, tokenIssuer } from "../../fixtures/resources.js";
import { ALL } from "../../operate/employment.js";
import { mutualApi } from "../../operate/mutualApi.js";
import { binding } from "../../operate/operatorBinding.js";
import { temporaryDirectory } from "../command.js";
import { operatorCommand } from "../operatorCommand.js";
import { roleContext } from "./roleContext.js";

const EC = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
const set = (...keys: readonly object[]) => JSON.stringify({ keys });
const WRONG = { ...EC, alg: "ES384" };

t.test("troubles name issuers without usable keys, and single unusable keys", async (t) => {
	const file = join(await temporaryDirectory(t), "keys.json");
	let nowMs = 0;
	const log = { warn: () => {}, info: () => {} };
	const keys = new IssuerKeys({ log, meter: { gauge: () => {} }, monotonicMs: () => nowMs });
	const resources = resourceSet({ gateways: [gateway({ tokens: [tokenIssuer("https://id.test", ["a"], file)] })] });
	const troubles = async (text: string | null, afterMs = 2_000) => {
		if (text === null) await rm(file, { force: true });
		else await writeFile(file, text);
		nowMs += afterMs;
		await keys.read(resources);
		return keys.troubles().map(({ gateway, alarm, why }) => `${gateway} ${alarm}: ${why}`);
	};
	t.match(await troubles(null), [
		/^edge no-issuer-keys: control has no key of https:\/\/id.test for Envoy to verify tokens with .the sidecar fetches its own.: .*ENOENT/,
	]);
	t.same(await troubles(set(EC)), []);
	t.match(await troubles(set(EC, WRONG)), [
		/^edge issuer-keys-note: no token of https:\/\/id.test is verified by key 2: /,
	]);
	t.match(await troubles(set(EC, WRONG, { ...WRONG, kid: "b" })), [/; nor by 1 more$/]);
	t.match(await troubles(null), [
		/^edge issuer-keys-note: the last keys of https:\/\/id.test are in use, newer ones are unavailable: /,
	]);
	t.match(await troubles(null, 3_600_001), [/^edge no-issuer-keys: /]);
	t.match(await troubles(set(WRONG)), [/: it holds no key that can be used \(key 1: /]);
	t.notMatch(await troubles(set(WRONG)), new RegExp(EC.x ?? ""));
	await keys.read(resourceSet({}));
	t.same(keys.troubles(), []);
});

t.test(
	"through control issuers without keys are an alarm of status and a note of readiness until a key comes",
	async (t) => {
		const directory = await temporaryDirectory(t);
		const at = places(join(directory, "data"));
		const file = join(directory, "keys.json");
		await writeFile(file, set(WRONG));
		const control = await startControlRole(roleContext(at, "control"));
		t.teardown(() => control.close());
		const client = new ApiClient(`unix:${at.apiSocket}`);
		const text = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge, namespace: mesh}
spec:
  port: 0
  tokens:
    - {issuer: "https://id.test", audiences: [a], jwksFile: ${file}}
`;
		t.match(await client.apply([{ name: "a.yaml", text }], { dryRun: false }), { outcome: "applied" });
		const alarms = async () => (await client.status()).alarms;
		while ((await alarms()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
		t.match(await alarms(), [
			{ gateway: "mesh/edge", alarm: "no-issuer-keys", why: /^control has no key of https:\/\/id.test for Envoy/ },
		]);
		const ready = await client.raw("GET", "/readyz");
		t.match(ready, {
			status: 200,
			text: "ready\nnote: token issuers without a usable key for Envoy: 1 (weir status)\n",
		});
		await writeFile(file, set(EC));
		// Control looks every two seconds.
		while ((await alarms()).length !== 0) await new Promise((resolve) => setTimeout(resolve, 100));
		t.match(await client.raw("GET", "/readyz"), { status: 200, text: "ready\n" });
	},
);

t.test(
	"readers of the Gateway's namespace see issuer alarms in status; a slow alarm does not delay readiness",
	async (t) => {
		let answers = true;
		const mutual = await mutualApi(t, {
			alarms: async (tooLate) =>
				answers
					? [
							{ gateway: "mesh/edge", alarm: "no-issuer-keys", why: "no token of https://id.test holds: it is gone" },
							{
								gateway: "mesh/edge",
								alarm: "issuer-keys-note",
								why: "no token of https://b.test is verified by key 1",
							},
							{ gateway: "mesh/edge", alarm: "no-sidecar-keys", why: "the last at noon" },
							{ gateway: "mesh/edge", alarm: "verdicts-unanswered", why: "the last at noon" },
						]
					: ((await tooLate) ?? []),
		});
		const rules = [binding("all", "read", ["bob"], '["*"]'), binding("one", "read", ["ann"], "[default]")].join(
			"---\n",
		);
		await mutual.owner.apply([{ name: "all.yaml", text: [ALL, rules].join("---\n") }], { dryRun: false });
		const { as } = await operatorCommand(t, mutual);
		const shown = async (name: string): Promise<readonly string[]> =>
			(await (await as(name))("status")).out.split("\n").filter((line) => /^(ALARM|note)/.test(line));
		t.match(await shown("bob"), [
			"ALARM no-issuer-keys at Gateway mesh/edge: no token of https://id.test holds: it is gone",
			"note: Gateway mesh/edge: no token of https://b.test is verified by key 1",
			/^ALARM no-sidecar-keys at Gateway mesh\/edge: .*: the last at noon$/,
			/^ALARM verdicts-unanswered at Gateway mesh\/edge: .*: the last at noon$/,
		]);
		t.same(await shown("ann"), []);
		t.match(await mutual.owner.raw("GET", "/readyz"), {
			status: 200,
			text: /^ready\nnote: token issuers without .*: 1 .*\nnote: Gateways that refuse tokens, .*: 1 .*\nnote: Gateways that get no verdict .*: 1 /,
		});
		answers = false;
		t.match(await mutual.owner.raw("GET", "/readyz"), { status: 200, text: "ready\n" });
	},
);
