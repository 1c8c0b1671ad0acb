/** The Istio manifests in use: a real Envoy configured as istiod would (istioGateway.ts), and the real sidecar. */

import t from "tap";
import { istioManifests } from "../../../src/compile/mesh/istio.js";
import { tokenIssuer } from "../../fixtures/resources.js";
import { createIssuer } from "../../parity/requests.js";
import { ISSUER, onPort, PROTOCOLS } from "./cases.js";
import { istioBootstrap } from "./istioGateway.js";
import { runScenario, scenarioOptions, scenarioResources, startScenario, unitOf } from "./scenario.js";

for (const protocol of PROTOCOLS) {
	t.test(`Istio, ${protocol}: assigned, judged by Variant, not forged, closed without the sidecar`, async (t) => {
		const output = istioManifests(scenarioResources(), scenarioOptions(protocol));
		t.same(output.problems, []);
		await runScenario(t, {
			output,
			bootstrap: istioBootstrap,
			plainNeedsNone: protocol === "ext_authz",
			rawBytes: true,
		});
	});
}

t.test("a claim of a verified token is the unit, and no client can set it", async (t) => {
	const { jwks, token } = createIssuer(Date.now());
	const { issuer } = ISSUER;
	const all = scenarioResources();
	const unit = { from: "claim", claim: "sub" } as const;
	const resources = {
		...all,
		gateways: [onPort({ tokens: [tokenIssuer(issuer, [], "/etc/weir/jwks.json")] })],
		experiments: all.experiments.map((one) => ({ ...one, spec: { ...one.spec, unit } })),
	};
	const options = { ...scenarioOptions("ext_proc"), keySets: { [issuer]: JSON.stringify(jwks) } };
	const output = istioManifests(resources, options);
	t.same(output.problems, []);
	const { client, assignment, ask } = await startScenario(t, { output, bootstrap: istioBootstrap, resources });
	const [v1, v2] = [unitOf(assignment, "v1"), unitOf(assignment, "v2")];
	const bearer = (sub: string) => `authorization: Bearer ${token({ iss: issuer, sub })}`;
	t.equal(await ask(client, "", [bearer(v2)]), "200 employment-v2");
	t.equal(await ask(client, "", [bearer(v1)]), "200 employment-v1");
	t.equal(await ask(client, v2, [`x-weir-claim-sub: ${v2}`]), "200 employment-v1", "no token, no unit: the default");
});

t.test("a missing manifest opens no Service", async (t) => {
	for (const [protocol, missing] of [
		["ext_authz", "AuthorizationPolicy weir-employment"],
		["ext_authz", "EnvoyFilter weir-ext-authz"],
		["ext_proc", "EnvoyFilter weir-ext-proc"],
	] as const) {
		const whole = istioManifests(scenarioResources(), scenarioOptions(protocol));
		const manifests = whole.manifests.filter(({ kind, metadata }) => `${kind} ${metadata.name}` !== missing);
		t.equal(manifests.length, whole.manifests.length - 1);
		const output = { ...whole, manifests };
		const { client, assignment, ask, reached } = await startScenario(t, { output, bootstrap: istioBootstrap });
		t.equal(await ask(client, unitOf(assignment, "v1")), "503 ", `without ${missing}`);
		t.equal(await ask(client, unitOf(assignment, "v2"), ["x-weir-variant: v2"]), "503 ", "forged header");
		t.equal(reached(), 0);
	}
});

t.test("the sidecar also names the default Variant to an Envoy of a mesh", async (t) => {
	const all = scenarioResources();
	const resources = { ...all, accessPolicies: all.accessPolicies.slice(0, 1) };
	const output = istioManifests(resources, scenarioOptions("ext_authz"));
	const { client, assignment, ask } = await startScenario(t, { output, bootstrap: istioBootstrap, resources });
	t.equal(await ask(client, unitOf(assignment, "v2")), "200 employment-v2");
	t.equal(await ask(client, unitOf(assignment, "v1")), "200 employment-v1");
});
