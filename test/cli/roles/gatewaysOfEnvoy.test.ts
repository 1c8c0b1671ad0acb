/** Which Gateways a remote Envoy gets. */
import t from "tap";
import { gatewaysOfEnvoy } from "../../../src/cli/roles/role.js";

t.test("an Envoy gets the Gateways that are bound to it; `*` gives all, and no binding gives none", async (t) => {
	const listed = new Map([
		["spiffe://a/weir/envoy/one", ["edge", "team/inner"]],
		["spiffe://a/weir/envoy/all", ["*"]],
	]);
	t.same(gatewaysOfEnvoy(listed, "spiffe://a/weir/envoy/one"), ["edge", "team/inner"]);
	t.equal(gatewaysOfEnvoy(listed, "spiffe://a/weir/envoy/all"), null);
	t.same(gatewaysOfEnvoy(listed, "spiffe://a/weir/envoy/rogue"), []);
	t.same(gatewaysOfEnvoy(new Map(), "spiffe://a/weir/envoy/one"), []);
});
