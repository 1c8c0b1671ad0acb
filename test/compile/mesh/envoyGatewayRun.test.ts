/** Runs Envoy Gateway's recorded translation of the manifests on a real Envoy with the real sidecar. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { envoyGatewayManifests } from "../../../src/compile/mesh/envoyGateway.js";
import { PROTOCOLS } from "./cases.js";
import { type EnvoyGatewayXds, envoyGatewayBootstrap } from "./envoyGatewayXds.js";
import { fixture } from "./golden.js";
import { runScenario, scenarioOptions, scenarioResources } from "./scenario.js";

for (const protocol of PROTOCOLS) {
	t.test(
		`Envoy Gateway, ${protocol}: assigns, decides access by Variant, and is closed without the sidecar`,
		async (t) => {
			const output = envoyGatewayManifests(scenarioResources(), scenarioOptions(protocol));
			t.same(output.problems, []);
			const recorded: Record<string, EnvoyGatewayXds> = JSON.parse(
				await readFile(fixture("envoyGatewayXds.json"), "utf8"),
			);
			const xds = recorded[protocol];
			if (xds === undefined) throw new Error(`no recording for ${protocol}`);
			await runScenario(t, {
				output,
				bootstrap: envoyGatewayBootstrap(xds),
				plainNeedsNone: true,
				rawBytes: protocol === "ext_proc",
			});
		},
	);
}
