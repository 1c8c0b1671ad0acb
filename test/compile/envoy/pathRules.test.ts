/** A policy's path prefixes in its rule: whole segments, and a rule without conditions matches any request. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { accessPolicy, resourceSet, service, variant } from "../../fixtures/resources.js";
import { valuesUnder, virtualHost } from "./virtualHosts.js";

const path = (matcher: object) => ({ url_path: { path: matcher } });
const under = (text: string) => [path({ exact: text }), path({ prefix: `${text}/` })];
const get = { or_rules: { rules: [{ header: { name: ":method", string_match: { exact: "GET" } } }] } };

const PERMISSIONS: readonly (readonly [fields: { pathPrefixes?: string[]; methods?: string[] }, permission: object])[] =
	[
		[{}, { any: true }],
		[{ methods: ["GET"] }, { and_rules: { rules: [get] } }],
		[{ pathPrefixes: ["/"] }, { and_rules: { rules: [{ or_rules: { rules: [path({ prefix: "/" })] } }] } }],
		[{ pathPrefixes: ["/v2"] }, { and_rules: { rules: [{ or_rules: { rules: under("/v2") } }] } }],
		[{ pathPrefixes: ["/v2/"] }, { and_rules: { rules: [{ or_rules: { rules: under("/v2") } }] } }],
		[
			{ pathPrefixes: ["/v2", "/a/b"], methods: ["GET"] },
			{ and_rules: { rules: [{ or_rules: { rules: [...under("/v2"), ...under("/a/b")] } }, get] } },
		],
	];

for (const action of ["allow", "deny"] as const) {
	for (const [fields, permission] of PERMISSIONS) {
		t.test(`${action} ${JSON.stringify(fields)} has the wanted rule`, async (t) => {
			const set = resourceSet({
				services: [service("s", [variant("v1", 1)], { access: null })],
				accessPolicies: [accessPolicy("p", action, ["s"], { principals: ["spiffe://x.test/a"], ...fields })],
			});
			const plan = compile(set, EMPTY_STATUS, { collectors: NO_COLLECTORS });
			const [rule] = valuesUnder(virtualHost(plan, "s").typed_per_filter_config[`weir.${action}`], "p");
			t.same((rule as { readonly permissions: unknown }).permissions, [permission]);
		});
	}
}
