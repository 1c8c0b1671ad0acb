/** The access log contains the headers of segments, and ingest finds them in the plan. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { experiment, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";

const variants = [variant("v1", 9001), variant("v2", 9002)];
const arms = [
	{ name: "control", variant: "v1", weight: 1, baseline: true },
	{ name: "hot", variant: "v2", weight: 1, baseline: false },
];

const planOf = (segments: readonly { name: string; header: string }[]) => {
	const declared = experiment("e", "s", arms);
	const resources = resourceSet({
		gateways: [gateway()],
		services: [service("s", variants)],
		experiments: [{ ...declared, spec: { ...declared.spec, segments } }],
	});
	const collectors = { ...NO_COLLECTORS, accessLogSocket: "/run/weir/als.sock" };
	return compile(resources, EMPTY_STATUS, { collectors });
};

t.test("each header of a segment is logged once", async (t) => {
	const plan = planOf([
		{ name: "country", header: "x-country" },
		{ name: "again", header: "x-country" },
	]);
	const listeners = JSON.stringify(plan.envoy.listeners);
	t.match(listeners, /"additional_request_headers_to_log":\["x-user-id","x-country","traceparent"\]/);
	t.same(plan.table.services[0]?.experiments[0]?.segments?.length, 2);
	const without = planOf([]);
	t.notOk("segments" in (without.table.services[0]?.experiments[0] ?? {}), "plans without any are as they were");
});
