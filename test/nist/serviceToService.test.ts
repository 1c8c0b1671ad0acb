/**
 * NIST SP 800-207A, point 3: service-to-service authorisation. Of two services with good identities only the one that an
 * AccessPolicy names may call; everything else is denied, here at the edge and there at the model server.
 */
import t from "tap";
import { APP, INFER, startScene } from "./scene.js";

t.setTimeout(180_000);

t.test("an authenticated service without a permission is denied", async (t) => {
	const scene = await startScene(t, {
		documents: () => `apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: app-may-infer}
spec: {action: allow, services: [model], principals: ["${APP}"], methods: [POST], pathPrefixes: [/v2/models/employment]}
---`,
	});
	const allowed = await scene.ask({ as: "app" });
	t.equal(allowed.status, 200, allowed.text);
	t.match(JSON.parse(allowed.text), { model_name: "employment" });
	t.equal((await scene.ask({ as: "unauthorised" })).status, 403);
	t.equal((await scene.ask({ as: "app", path: "/v2/models/other/infer" })).status, 403);
	t.equal((await scene.ask({ as: "app", method: "GET", path: INFER })).status, 403);
	t.equal((await scene.ask({ as: "app", headers: { host: "other.test" } })).status, 403, "an undeclared host");
});
