/** The scenario of other people's meshes on the older Envoys that we test; the fast tier has the newest. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { envoyGatewayManifests } from "../../src/compile/mesh/envoyGateway.js";
import { istioManifests } from "../../src/compile/mesh/istio.js";
import { PROTOCOLS } from "../compile/mesh/cases.js";
import { type EnvoyGatewayXds, envoyGatewayBootstrap } from "../compile/mesh/envoyGatewayXds.js";
import { fixture } from "../compile/mesh/golden.js";
import { istioBootstrap } from "../compile/mesh/istioGateway.js";
import { runScenario, scenarioOptions, scenarioResources } from "../compile/mesh/scenario.js";

for (const version of ["1.36.2", "1.38.3"]) {
	for (const protocol of PROTOCOLS) {
		t.test(`Istio's gateway, Envoy ${version}, ${protocol}`, (t) =>
			runScenario(t, {
				output: istioManifests(scenarioResources(), scenarioOptions(protocol)),
				bootstrap: istioBootstrap,
				plainNeedsNone: protocol === "ext_authz",
				rawBytes: true,
				version,
			}),
		);
		t.test(`Envoy Gateway's, Envoy ${version}, ${protocol}`, async (t) => {
			const recorded: Record<string, EnvoyGatewayXds> = JSON.parse(
				await readFile(fixture("envoyGatewayXds.json"), "utf8"),
			);
			const xds = recorded[protocol];
			if (xds === undefined) throw new Error(`nothing is recorded for ${protocol}`);
			await runScenario(t, {
				output: envoyGatewayManifests(scenarioResources(), scenarioOptions(protocol)),
				bootstrap: envoyGatewayBootstrap(xds),
				plainNeedsNone: true,
				rawBytes: protocol === "ext_proc",
				version,
			});
		});
	}
}
