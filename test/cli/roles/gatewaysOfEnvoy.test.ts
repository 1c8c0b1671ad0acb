/** Which Gateways an Envoy of another machine is given. */
import t from "tap";
import { gatewaysOfEnvoy } from "../../../src/cli/roles/role.js";

t.test("an Envoy has the Gateways that are written for it, all only by *, and otherwise none", async (t) => {
	const listed = new Map([
		["spiffe://a/weir/envoy/one", ["edge", "team/inner"]],
		["spiffe://a/weir/envoy/all", ["*"]],
	]);
	t.same(gatewaysOfEnvoy(listed, "spiffe://a/weir/envoy/one"), ["edge", "team/inner"]);
	t.equal(gatewaysOfEnvoy(listed, "spiffe://a/weir/envoy/all"), null);
	t.same(gatewaysOfEnvoy(listed, "spiffe://a/weir/envoy/rogue"), []);
	t.same(gatewaysOfEnvoy(new Map(), "spiffe://a/weir/envoy/one"), []);
});
