/**
 * NIST SP 800-207A, point 5: end-user-to-resource authorisation. The same service asks for several users; which model
 * each may use is decided by user, group and path, deny by default and forbid wins. With the verdict in the sidecar it
 * signs each decision, and the model server demands it on top of the mesh's identity.
 */
import { join } from "node:path";
import t from "tap";
import { temporaryDirectory } from "../cli/command.js";
import { bearer, ISSUER, provider, tokensYaml } from "./endUser.js";
import { APP, INFER, type Scene, startScene } from "./scene.js";

t.setTimeout(240_000);

const policies = () => `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: analysts-infer}
spec:
  action: allow
  services: [model]
  principals: ["${APP}"]
  groups: [analysts]
  methods: [POST]
  pathTemplates: ["/v2/models/{model}/infer"]
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: owner-reads}
spec: {action: allow, services: [model], principals: ["${APP}"], users: ["${ISSUER}#owner"], methods: [GET]}
---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: never-mallory}
spec: {action: deny, services: [model], users: ["${ISSUER}#mallory"]}
---`;

for (const [execution, service, predictor] of [
	["native Envoy configuration", "", []],
	[
		"the sidecar, which signs each decision",
		"  callout: {access: sidecar, timeout: 5s, sign: true}",
		["--decision", "demand", "--as", "model/v1"],
	],
] as const) {
	t.test(`users, groups and paths decide in ${execution}`, async (t) => {
		const idp = await provider(join(await temporaryDirectory(t), "jwks.json"));
		const scene: Scene = await startScene(t, {
			gateway: tokensYaml(idp.jwksFile),
			documents: policies,
			service,
			predictor,
		});
		const ask = async (claims: Record<string, unknown>, more: { method?: string; path?: string } = {}) => {
			const answer = await scene.ask({ as: "app", headers: bearer(await idp.token(claims)), ...more });
			return answer.status;
		};
		const read = { method: "GET", path: "/v2/models/employment" };
		t.equal(await ask({ sub: "ann", groups: ["analysts"] }), 200, "an analyst infers");
		t.equal(await ask({ sub: "ann", groups: ["analysts"] }, read), 403, "an analyst does not read");
		t.equal(await ask({ sub: "owner" }, read), 200, "the owner reads");
		t.equal(await ask({ sub: "owner" }), 403, "the owner is no analyst");
		t.equal(await ask({ sub: "mallory", groups: ["analysts"] }), 403, "forbid wins");
		t.equal(
			await ask({ sub: "ann", groups: ["analysts"] }, { path: `${INFER}/../infer` }),
			200,
			"a path in its one form",
		);
		t.equal(
			await ask({ sub: "ann", groups: ["analysts"] }, { path: "/v2/models/a;b/infer" }),
			403,
			"a path with two readings",
		);
		t.equal(await ask({ sub: "ann", groups: ["others"] }), 403, "deny by default");
	});
}
