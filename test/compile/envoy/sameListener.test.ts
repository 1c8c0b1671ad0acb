/**
 * Under control a Gateway's listener does not depend on its Services' need for the sidecar or rate limits: an open
 * connection keeps its listener, and gets the newer routes.
 */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../../src/declare/resources/resource.js";
import {
	accessPolicy,
	CALLOUT,
	experiment,
	gateway,
	layer,
	resourceSet,
	service,
	variant,
} from "../../fixtures/resources.js";
import { ISSUER, issuerOf } from "../../trust/tokens/issuer.js";

const on = [variant("v1", 9_001), variant("v2", 9_002)];
const cookie = { from: "cookie", cookie: "unit", maxAgeMs: 86_400_000 } as const;
const rules = [accessPolicy("users", "allow", ["shop"], { users: [`${ISSUER}#*`] })];

function declared(fields: Parameters<typeof service>[2] = {}, more: Partial<ResourceSet> = {}) {
	return resourceSet({
		gateways: [gateway({ tokens: [issuerOf()] })],
		services: [service("shop", on, { access: null, ...fields })],
		accessPolicies: rules,
		...more,
	});
}

const listeners = (resources: ResourceSet, sidecar: "always" | "when-needed" = "always") =>
	compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, sidecar, installation: "one" }).envoy.listeners;

const before = listeners(declared());
const perMinute = { requests: 5, perMs: 60_000 };
const assigned = {
	layers: [layer("models", null)],
	experiments: [experiment("trial", "shop", [1, 1], { unit: cookie })],
};
const changes: Readonly<Record<string, ResourceSet>> = {
	"the verdict moves to the sidecar": declared({ callout: { ...CALLOUT, access: "sidecar" } }),
	"a cookie Experiment comes": declared({}, assigned),
	"limits come": declared({ rateLimits: { service: perMinute, principal: null, tenant: null } }),
	"no policy reads users any more": declared(
		{},
		{ accessPolicies: [accessPolicy("all", "allow", ["shop"], { principals: ["anyone"] })] },
	),
};

for (const [what, resources] of Object.entries(changes)) {
	t.test(what, async (t) => {
		t.same(listeners(resources), before);
	});
}

t.test("an open Service's callout settings do not affect other Services", async (t) => {
	const [shop] = declared().services;
	const beside = (timeoutMs: number, fields: Parameters<typeof service>[2] = {}) =>
		listeners(
			declared(
				{},
				{
					services: [
						...(shop === undefined ? [] : [shop]),
						service("x", on, { ...fields, callout: { ...CALLOUT, timeoutMs } }),
					],
				},
			),
		);
	t.same(beside(9_000), before);
	t.notSame(beside(9_000, { access: null }), before, "one that may ask has the others wait as long");
});

t.test("a printed bootstrap has only the filters that it needs", async (t) => {
	const printed = JSON.stringify(listeners(declared(), "when-needed"));
	t.notMatch(printed, /ext_authz|local_ratelimit/);
	const shown = /"allowed_headers":\{"patterns":\[[^\]]*"exact":"authorization"[^\]]*"exact":"dpop"/;
	t.match(JSON.stringify(before), shown);
	const bare = (access: "native" | "sidecar", sidecar: "always" | "when-needed") =>
		JSON.stringify(listeners(declared({ callout: { ...CALLOUT, access } }, { gateways: [gateway()] }), sidecar));
	t.match(bare("native", "always"), shown, "where the Gateway names no issuer too: no token holds there");
	t.match(bare("sidecar", "when-needed"), shown);
	t.notMatch(bare("native", "when-needed"), shown);
});
