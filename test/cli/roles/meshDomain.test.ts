/** The trust domain of a Gateway with `tls: {identity: mesh}` comes from control's own identity, or from flags of `weir compile`. */
import { join } from "node:path";
import t from "tap";
import { alarmLines } from "../../../src/cli/commands/alarms.js";
import { startControlRole } from "../../../src/cli/roles/control.js";
import { meshClientTroubles } from "../../../src/cli/roles/meshClients.js";
import { places } from "../../../src/cli/stack/places.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import type { Identity } from "../../../src/trust/identity/svid.js";
import { gateway, resourceSet } from "../../fixtures/resources.js";
import { AdsClient } from "../../publish/xds/adsClient.js";
import { createDevelopmentCa } from "../../trust/identity/developmentCa.js";
import { fileOf, temporaryDirectory, weir } from "../command.js";
import { MESH_GATEWAY } from "../documents.js";
import { roleContext } from "./roleContext.js";

t.setTimeout(60_000);

/** The listener that an Envoy gets, as text. */
async function listenerOf(
	t: Parameters<typeof temporaryDirectory>[0],
	identity: Identity | null,
): Promise<{ listener: string; lines: string }> {
	const at = places(join(await temporaryDirectory(t), "data"));
	const lines: string[] = [];
	const control = await startControlRole({ ...roleContext(at, "control", lines), identity });
	t.teardown(() => control.close());
	await new ApiClient(`unix:${at.apiSocket}`).apply([{ name: "a.yaml", text: MESH_GATEWAY }], { dryRun: false });
	const client = new AdsClient(`unix:${at.adsSocket}`);
	t.teardown(async () => client.close());
	client.ask("listeners", [], undefined, { node: "edge" });
	const [listener] = (await client.next()).resources;
	return { listener: Buffer.from(listener?.value ?? []).toString("latin1"), lines: lines.join("") };
}

/** The lines of `weir status` about it. */
const troublesOf = (trustDomain: string | null, trustedProxies: readonly string[] = []) =>
	meshClientTroubles(resourceSet({ gateways: [gateway({ tls: { from: "identity" }, trustedProxies })] }), trustDomain);

const NO_CLIENT = /accepts no client: control has no identity/;

t.test("control uses the trust domain of its own identity", async (t) => {
	const ca = await createDevelopmentCa({ trustDomain: "own.test", nowMs: Date.now(), lifetimeMs: 3_600_000 });
	const spiffeId = "spiffe://own.test/weir/control";
	const own = await ca.issue({ spiffeId });
	const svid = { spiffeId, ...own, trustBundle: ca.certificate, notBeforeMs: 0, notAfterMs: Number.MAX_SAFE_INTEGER };
	const identity = { current: () => svid, onRotated: () => () => {}, idOf: () => null };
	const { listener, lines } = await listenerOf(t, identity);
	t.match(listener, "spiffe://own\\.test(?:/");
	t.notMatch(lines, NO_CLIENT);
});

t.test("control without an identity accepts no client, and logs that", async (t) => {
	const { listener, lines } = await listenerOf(t, null);
	t.match(listener, "spiffe://");
	t.notMatch(listener, /spiffe:\/\/[a-z]/);
	t.match(lines, NO_CLIENT);
});

t.test("weir status names Gateways that accept no client, and trusted proxies that cannot connect", async (t) => {
	const [alarm] = troublesOf(null);
	t.match(alarm, { alarm: "no-clients", why: /--identity SOCKET/ });
	t.same(troublesOf("own.test", ["spiffe://own.test/lb"]), []);
	t.match(troublesOf("own.test", ["spiffe://own.test/lb", "spiffe://other.org/lb"]), [
		{ alarm: "trusted-proxy-refused", why: "spiffe://other.org/lb is not in own.test" },
	]);
	t.match(alarmLines(troublesOf(null)), [/^ALARM no-clients at Gateway .*: no client can connect there: /]);
	t.same(meshClientTroubles(resourceSet({ gateways: [gateway()] }), null), [], "of other Gateways nothing");
});

t.test("weir compile takes the trust domain and the agent from flags, and refuses without them", async (t) => {
	const file = await fileOf(await temporaryDirectory(t), "mesh.yaml", MESH_GATEWAY);
	const compiled = (...more: readonly string[]) => weir(["compile", "-f", file, ...more]);
	const flags = (domain: string) => ["--trust-domain", domain, "--identity-socket", "/run/agent.sock"];
	const { code, stdout, stderr } = await compiled(...flags("own.test"));
	t.equal(code, 0, stderr);
	t.match(stdout.toString(), /"regex": "spiffe:\/\/own\\\\\.test\(\?:\//);
	t.match(stdout.toString(), '"path": "/run/agent.sock"');
	const refused = "Gateway edge has tls: {identity: mesh}, but the mesh's trust domain and its agent are not given";
	for (const more of [[], flags("own.test").slice(0, 2), flags("own.test").slice(2)]) {
		const answer = await compiled(...more);
		t.equal(answer.code, 64);
		t.match(answer.stderr, refused);
	}
	for (const wrong of ["spiffe://own.test", "Own.test", "", "a/b"])
		t.match(await compiled(...flags(wrong)), { code: 64 });
	t.equal((await compiled("--format", "table")).code, 0, "a table has no listener");
	t.equal((await compiled("--format", "table", ...flags("own.test"))).code, 64, "and the flags no meaning there");
	t.equal((await weir(["explain", "-f", file])).code, 0);
});
