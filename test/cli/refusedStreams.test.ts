/** What of refused xDS streams goes into the audit log. */
import t from "tap";
import { type RefusedStream, refusedStreams } from "../../src/cli/roles/refusedStreams.js";
import { gatewaysOfEnvoy } from "../../src/cli/roles/role.js";
import { XDS_REFUSALS_AUDITED_MS, XDS_REFUSED_IDS_MAX } from "../../src/limits.js";

t.test("each id once a minute for each reason, and of very many ids not each", async (t) => {
	let nowMs = 1_000;
	const told: RefusedStream[] = [];
	const refused = refusedStreams(
		(one) => void told.push(one),
		() => nowMs,
	);
	refused("no-gateway", "spiffe://a/x");
	refused("another-node", "spiffe://a/x");
	refused("no-svid", null);
	refused("another-node", "spiffe://a/x");
	refused("no-svid", null);
	t.same(told, [
		{ id: "spiffe://a/x", reason: "no-gateway", atMs: 1_000 },
		{ id: "spiffe://a/x", reason: "another-node", atMs: 1_000 },
		{ id: null, reason: "no-svid", atMs: 1_000 },
	]);
	nowMs += XDS_REFUSALS_AUDITED_MS;
	refused("another-node", "spiffe://a/x");
	t.equal(told.length, 4, "again after a minute");
	for (let index = 0; index < 2 * XDS_REFUSED_IDS_MAX; index++) refused("not-a-client", `spiffe://a/${index}`);
	t.ok(told.length <= 4 + XDS_REFUSED_IDS_MAX + 1, String(told.length));
	const before = told.length;
	refused("type", "spiffe://a/late");
	refused("type", "spiffe://a/later");
	t.equal(told.length, before + 1, "of one reason those of many ids hide no other");
});

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
