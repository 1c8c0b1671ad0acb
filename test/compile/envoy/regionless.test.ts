/** At a Gateway without a region, policies on regions never allow and always deny, natively and in the pure rules. */
import t from "tap";
import { accessTable, compileAccess } from "../../../src/compile/access/rules/policy.js";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { callerIs } from "../../../src/compile/envoy/principalRule.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { accessPolicy, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { type VirtualHost, valuesUnder } from "./virtualHosts.js";

const shop = service("shop", [variant("v1", 1)], { access: null });
const accessPolicies = [
	accessPolicy("anybody", "allow", ["shop"], { principals: ["anyone"] }),
	accessPolicy("europeans", "allow", ["shop"], { principals: ["anyone"], regions: ["eu"] }),
	accessPolicy("no-europe", "deny", ["shop"], { regions: ["eu"] }),
	accessPolicy("no-america", "deny", ["shop"], { regions: ["us"] }),
];

/** Names of the native rules of a filter, without our own. */
function native(region: string | null, filter: string): readonly string[] {
	const { envoy } = compile(
		resourceSet({ gateways: [gateway({ region })], services: [shop], accessPolicies }),
		EMPTY_STATUS,
		{ collectors: NO_COLLECTORS, mode: "native" },
	);
	const hosts = envoy.routes.flatMap(({ virtual_hosts }) => virtual_hosts as readonly VirtualHost[]);
	return hosts
		.flatMap((host) => valuesUnder(host.typed_per_filter_config?.[filter] ?? {}, "policies"))
		.flatMap((policies) => Object.keys(policies as object))
		.filter((name) => !name.startsWith("("));
}

t.test("without a known region a deny on regions applies, an allow on regions does not", async (t) => {
	t.same(native(null, "weir.deny"), ["no-america", "no-europe"]);
	t.same(native(null, "weir.allow"), ["anybody"]);
	t.same(native("eu", "weir.deny"), ["no-europe"]);
	t.same(native("eu", "weir.allow"), ["anybody", "europeans"]);
	const ask = compileAccess(accessTable(shop, accessPolicies), "shop");
	const request = { principal: null, method: "GET", path: "/", variant: "v1", token: null, region: null, nowMs: 0 };
	t.match(ask(request), { allowed: false, reason: "forbidden", policy: "no-america" }, "the first by name");
});

t.test("the bare prefix of principals identifies no client, also without weir.gate", async (t) => {
	const rule = callerIs("spiffe://a.test/ns/*", true);
	t.match(rule, {
		and_ids: {
			ids: [
				{ header: { string_match: { contains: ";URI=spiffe://a.test/ns/" } } },
				{ not_id: { header: { string_match: { suffix: ";URI=spiffe://a.test/ns/" } } } },
				{ authenticated: { principal_name: { prefix: "spiffe://a.test/ns/" } } },
			],
		},
	});
});
