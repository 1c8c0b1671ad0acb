/** `weir probe` and its alarm with a real Envoy, its agent and control; then with a listener that asks for no verdict. */

import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { startControlRole } from "../../../src/cli/roles/control.js";
import { collectorsOf, places } from "../../../src/cli/stack/places.js";
import { startProbeAgent } from "../../../src/cli/stack/probeAgent.js";
import { dynamicBootstrap } from "../../../src/compile/envoy/bootstrap.js";
import { ApiClient } from "../../../src/operate/api/apiClient.js";
import { startEnvoy } from "../../envoy/harness.js";
import { startVariants } from "../../envoy/variantServer.js";
import { answerOf } from "../../fixtures/answerOf.js";
import { freePort } from "../../trust/identity/mesh.js";
import { temporaryDirectory, weir } from "../command.js";
import { protectedService } from "../documents.js";
import { roleContext } from "./roleContext.js";

t.setTimeout(120_000);

/** A listener that sends everything to the Variant, as an operator may have added it to Envoy's bootstrap. */
const bypassing = (port: number, cluster: string): object => ({
	name: "bypass",
	address: { socket_address: { address: "127.0.0.1", port_value: port } },
	filter_chains: [
		{
			filters: [
				{
					name: "envoy.filters.network.http_connection_manager",
					typed_config: {
						"@type":
							"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
						stat_prefix: "bypass",
						route_config: {
							validate_clusters: false,
							virtual_hosts: [
								{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster } }] },
							],
						},
						http_filters: [
							{
								name: "envoy.filters.http.router",
								typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
							},
						],
					},
				},
			],
		},
	],
});

t.test("a probe passes, and fails with an alarm where requests bypass the verdict", async (t) => {
	const at = places(join(await temporaryDirectory(t), "data"));
	const [upstream] = await startVariants(t, 1);
	const [port, bypassPort] = [await freePort(), await freePort()];
	const lines: string[] = [];
	const control = await startControlRole(roleContext(at, "control", lines));
	t.teardown(() => control.close());
	const client = new ApiClient(`unix:${at.apiSocket}`);
	const gateway = `apiVersion: weir.dev/v1alpha1
kind: Gateway
metadata: {name: edge}
spec: {address: 127.0.0.1, port: ${port}}
`;
	const text = [gateway, protectedService("shop", upstream?.port ?? 0, "anyone")].join("---\n");
	t.match(await client.apply([{ name: "a.yaml", text }], { dryRun: false }), { outcome: "applied" });
	const probe = async () => {
		const { code, stdout, stderr } = await weir(["probe", "--api", `unix:${at.apiSocket}`]);
		return { code, text: `${stdout}${stderr}` };
	};
	t.match(await probe(), { code: 1, text: /no Envoy is connected/ });
	await startEnvoy(t, (adminSocket) => {
		symlinkSync(adminSocket, at.envoyAdminSocket);
		const bootstrap = dynamicBootstrap(at.adsSocket, {
			...{ collectors: collectorsOf(at, 0), nodeId: "weir-gateway", adminSocket, sidecarSocket: at.sidecarSocket },
		}) as { readonly static_resources: object };
		const listeners = [bypassing(bypassPort, "shop/v1")];
		return { ...bootstrap, static_resources: { ...bootstrap.static_resources, listeners } };
	});
	const notices: string[] = [];
	const agent = startProbeAgent({
		...{ node: "weir-gateway", adminSocket: at.envoyAdminSocket, control: at.adsSocket, identity: null },
		notice: (line) => notices.push(line),
	});
	t.teardown(() => agent.close());
	const statusOf = async (of: number): Promise<number> =>
		(await answerOf({ port: of, headers: { host: "shop.test" } })).status;
	while ((await probe()).code !== 0) await pause(100); // the first routes may not have arrived
	const passed = await probe();
	t.same(passed, { code: 0, text: "denied      Envoy weir-gateway  Gateway edge  Service shop\n" });
	t.equal(await statusOf(port), 200);
	t.equal((await probe()).code, 0, "a request with a verdict is no bypass");
	t.same((await client.status()).alarms, []);

	t.equal(await statusOf(bypassPort), 200);
	const failed = await probe();
	t.equal(failed.code, 1);
	t.match(failed.text, /^denied .*\nbypassed {4}Envoy weir-gateway: requests that were served without a verdict: 1\n$/);
	const { stdout } = await weir(["status", "--api", `unix:${at.apiSocket}`]);
	t.match(stdout.toString(), /^ALARM probe-failed of Envoy weir-gateway: .*without a verdict: 1$/m);
	t.match(await client.raw("GET", "/metrics"), {
		text: /weir_bypass_probe_failures\{[^}]*envoy="weir-gateway"[^}]*\} 1/,
	});
	t.match(lines.join("\n"), /requests were served without a verdict/);
	t.same(notices, []);
});
