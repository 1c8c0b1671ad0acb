/** Listeners with the rule that a certificate must name one caller; test/compile/access/identities.test.ts tests it. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { NO_SINGLE_IDENTITY } from "../../../src/compile/envoy/accessControl.js";
import type { CompiledPlan } from "../../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import { accessPolicy, CALLOUT, experiment, gateway, resourceSet, service, variant } from "../../fixtures/resources.js";
import { type VirtualHost, valuesUnder, weightedClusters } from "./virtualHosts.js";

const variants = [variant("v1", 9001), variant("v2", 9002)];
const guarded = { access: null } as const;
const names = ["native", "asks", "judged"];
const tls = { from: "files" as const, certificateFile: "a.pem", privateKeyFile: "b.pem" };

const resources = resourceSet({
	gateways: [
		gateway({ tls: { ...tls, clientCaFile: "ca.pem" } }, "demands"),
		gateway({ tls: { ...tls, clientCaFile: null } }, "tls"),
		gateway({}, "plain"),
	],
	services: [
		service("native", variants, guarded),
		service("asks", variants, { ...guarded, callout: { ...CALLOUT, access: "sidecar" } }),
		service("judged", variants, guarded),
		service("open", variants),
	],
	experiments: [...names, "open"].map((name) => experiment(`e-${name}`, name, [1, 1], { layer: name })),
	accessPolicies: [
		accessPolicy("alice", "allow", names, { principals: ["spiffe://x.test/alice"] }),
		accessPolicy("alice-v2", "allow", ["judged"], { principals: ["spiffe://x.test/alice"], variants: ["v2"] }),
	],
});

const hostsOf = (plan: CompiledPlan, gatewayName: string): readonly VirtualHost[] =>
	plan.envoy.routes
		.filter(({ name }) => String(name).endsWith(`/${gatewayName}`))
		.flatMap(({ virtual_hosts }) => virtual_hosts as readonly VirtualHost[]);

/** Rules that require exactly one id, and an id of at most the maximum length. */
const RULES = [NO_SINGLE_IDENTITY, `${NO_SINGLE_IDENTITY} too long`];

const ruled = (config: unknown): boolean =>
	valuesUnder(config, "policies").some((policies) => RULES.every((name) => name in (policies as object)));

for (const form of [{}, { mode: "callout" }, { mode: "callout", protocol: "ext_proc" }] as const) {
	const plan = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, ...form });
	t.test(`${JSON.stringify(form)}: listeners that require and judge certificates have the rule`, async (t) => {
		for (const host of hostsOf(plan, "demands")) {
			t.equal(ruled(host.typed_per_filter_config["weir.gate"]), host.name !== "open", host.name);
			for (const entry of weightedClusters(host))
				t.notOk(entry.typed_per_filter_config?.["weir.gate"], `${host.name}: no entry replaces the host's`);
		}
		t.equal(hostsOf(plan, "demands").length, 4);
	});
	t.test(`${JSON.stringify(form)}: on other listeners no rule reads the identity header`, async (t) => {
		for (const name of ["tls", "plain"]) {
			const hosts = hostsOf(plan, name);
			t.equal(hosts.length, 4);
			t.notMatch(JSON.stringify(hosts), /x-forwarded-client-cert|no single identity/);
		}
	});
}
