/**
 * Envoy Gateway's own translator on our manifests: it accepts every one, and makes of them what the fast tier runs
 * (test/fixtures/mesh/envoyGatewayXds.json). Needs Go; the first run builds egctl, which takes minutes.
 */
import t from "tap";
import { envoyGatewayManifests } from "../../src/compile/mesh/envoyGateway.js";
import { CASES, PROTOCOLS } from "../compile/mesh/cases.js";
import { egctl, translate } from "../compile/mesh/envoyGatewayXds.js";
import { golden } from "../compile/mesh/golden.js";
import { scenarioOptions, scenarioResources } from "../compile/mesh/scenario.js";

t.test("what the fast tier runs is what Envoy Gateway makes", async (t) => {
	const binary = await egctl();
	const made: Record<string, unknown> = {};
	for (const protocol of PROTOCOLS) {
		const { refused, xds } = await translate(
			binary,
			envoyGatewayManifests(scenarioResources(), scenarioOptions(protocol)),
		);
		t.same(refused, [], `${protocol}: accepted`);
		made[protocol] = xds;
	}
	t.same(made, await golden("envoyGatewayXds.json", made));
});

t.test("external authorisation comes after tokens where claims are needed", async (t) => {
	const one = CASES.find(({ name }) => name === "claim unit");
	if (one === undefined) throw new Error("no case");
	const output = envoyGatewayManifests(one.resources, { ...one.options, protocol: "ext_authz" });
	const { refused, xds } = await translate(await egctl(), output);
	t.same(refused, []);
	const found = JSON.stringify(xds.listener).matchAll(/envoy\.filters\.http\.(jwt_authn|ext_authz|router)(?=[/"])/g);
	const names = [...found].map(([, name]) => name);
	t.same(names, ["jwt_authn", "ext_authz", "router"]);
});

t.test("every declaration that we do not refuse is accepted", async (t) => {
	const binary = await egctl();
	for (const { name, resources, options } of CASES) {
		// Its certificates are the user's: without them a listener is rightly not accepted.
		const gateways = resources.gateways.map((one) => ({ ...one, spec: { ...one.spec, tls: null } }));
		for (const protocol of PROTOCOLS) {
			const output = envoyGatewayManifests({ ...resources, gateways }, { ...options, protocol, gateway: null });
			if (output.problems.length > 0) continue;
			const { refused } = await translate(binary, output);
			t.same(refused, [], `${protocol}: ${name}`);
		}
	}
});
