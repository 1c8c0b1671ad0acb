/** Text of `weir explain` on users of several issuers, and on expired policies. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../../src/compile/compile.js";
import { EMPTY_STATUS } from "../../../src/decide/rollout/status.js";
import type {
	AccessPolicy,
	Gateway,
	ResourceSet,
	Service,
	UnitSource,
} from "../../../src/declare/resources/resource.js";
import {
	accessPolicy,
	experiment,
	gateway,
	resourceSet,
	service,
	tokenIssuer,
	variant,
} from "../../fixtures/resources.js";
import { wordsOf } from "./explained.js";

const [ONE, OTHER] = ["https://id.test", "https://partner.test"] as const;
const BOTH = `${ONE}, ${OTHER}`;
const NOW = Date.UTC(2026, 10, 28);

const believing = (name: string, ...issuers: readonly string[]) =>
	gateway({ tls: { from: "identity" }, tokens: issuers.map((issuer) => tokenIssuer(issuer, ["weir"], "/keys")) }, name);

function explained(more: Partial<ResourceSet>): readonly (readonly [rule: string, because: string])[] {
	const resources = resourceSet({
		gateways: [believing("edge", ONE, OTHER)],
		services: [service("s", [variant("v1", 1), variant("v2", 2)], { access: null })],
		...more,
	});
	const { rules } = compile(resources, EMPTY_STATUS, { collectors: NO_COLLECTORS, nowMs: NOW });
	return rules.map((rule) => [rule.rule, wordsOf(rule)]);
}
const saidOf = (rule: string, more: Partial<ResourceSet>): string | undefined =>
	explained(more).find(([name]) => name === rule)?.[1];
const allow = (spec: Partial<AccessPolicy["spec"]>, name = "p") => accessPolicy(name, "allow", ["s"], spec);
const issuersOf = (...accessPolicies: readonly AccessPolicy[]) => saidOf("Service s: issuers", { accessPolicies });

t.test("explain names rules on users of any issuer, and how to limit them to one", async (t) => {
	const any = [
		{ groups: ["g"] },
		{ tenants: ["t"] },
		{ purposes: ["p"] },
		{ claims: [{ claim: "c", values: ["x"] }] },
		{ condition: 'user.subject == "ann"' },
		{ users: ["*"], groups: ["g"] },
	];
	for (const spec of any)
		t.match(issuersOf(allow(spec)), `users of any of ${BOTH} are judged alike by p; `, JSON.stringify(spec));
	t.match(issuersOf(accessPolicy("d", "deny", ["s"], { groups: ["g"] }), allow({ groups: ["g"] })), / alike by d, p; /);
	for (const spec of [
		{ principals: ["*"] },
		{ users: ["*"] },
		{ users: [`${ONE}#*`], groups: ["g"] },
		{ condition: `user.issuer == "${ONE}" && "g" in user.groups` },
		{ principals: ["*"], condition: 'request.method == "GET"' },
	])
		t.equal(issuersOf(allow(spec)), undefined, JSON.stringify(spec));
	const accessPolicies = [allow({ groups: ["g"] })];
	t.equal(saidOf("Service s: issuers", { accessPolicies, gateways: [believing("edge", ONE)] }), undefined);
	const two = [believing("edge", ONE), believing("inner", OTHER)];
	t.match(saidOf("Service s: issuers", { accessPolicies, gateways: two }), BOTH, "each Service is behind each Gateway");
});

t.test("explain names Experiments whose unit is a claim of any issuer", async (t) => {
	const unitOf = (unit: UnitSource, ...issuers: readonly string[]): string => {
		const experiments = [experiment("e", "s", [50, 50], { unit })];
		const all = explained({
			experiments,
			accessPolicies: [allow({ users: ["*"] })],
			gateways: [believing("edge", ...issuers)],
		});
		return all.find(([rule]) => rule.startsWith("Experiment e:"))?.[1] ?? "";
	};
	const claim = { from: "claim", claim: "sub" } as const;
	t.ok(unitOf(claim, ONE, OTHER).endsWith(`; units are of any of ${BOTH}: the same sub of two of them is one unit`));
	t.notMatch(unitOf(claim, ONE), "any of");
	t.notMatch(unitOf({ from: "header", header: "x-user-id" }, ONE, OTHER), "any of");
});

t.test("explain reports when a policy has ended or will begin", async (t) => {
	const times = [
		allow({ principals: ["*"], validUntilMs: NOW }, "past"),
		allow({ principals: ["*"], validUntilMs: NOW + 1 }, "present"),
		allow({ principals: ["*"], validFromMs: NOW + 1 }, "later"),
		accessPolicy("denied", "deny", ["s"], { validUntilMs: NOW - 1 }),
	];
	const said = saidOf("Service s: access", { accessPolicies: times });
	for (const fact of [
		"later (begins 2026-11-28T00:00:00.001Z)",
		"past (ended 2026",
		"present (until 2026",
		"denied (ended 2026",
	])
		t.match(said, fact);
});

t.test("explain reports that a policy on forbidden methods never matches", async (t) => {
	const policies = [
		allow({ principals: ["*"], methods: ["TRACE", "CONNECT"] }, "never"),
		allow({ principals: ["*"], methods: ["GET", "TRACE"] }, "gets"),
		allow({ principals: ["*"] }, "any"),
	];
	t.match(saidOf("Service s: access", { accessPolicies: policies }), "; allowed by any, gets, never (never holds: ");
});

t.test("explain has the longest path if policies read paths", async (t) => {
	const said = (...accessPolicies: readonly AccessPolicy[]) => [
		saidOf("Service s: canonical form", { accessPolicies }) ?? "",
		saidOf("Service s: access", { accessPolicies }) ?? "",
	];
	const caller = { principals: ["*"] };
	const shadow = allow({ ...caller, mode: "shadow", pathPrefixes: ["/a"] }, "later");
	const [form = "", rules = ""] = said(allow({ ...caller, pathPrefixes: ["/a"] }), shadow);
	t.match(form, /more than 2048 characters;/);
	t.notMatch(rules, /2048/, "the dry run never sees one");
	const [without = "", tried = ""] = said(allow(caller), shadow);
	t.notMatch(without, /2048/);
	t.match(tried, /tried only later \(shadow\); a path of more than 2048 characters, .* not tried; /);
	for (const text of said(allow(caller), allow({ ...caller, mode: "shadow" }, "later"))) t.notMatch(text, /2048/);
});

t.test("explain shows TLS or plain text to each Service's endpoints", async (t) => {
	const at = (...addresses: readonly string[]) => ({
		name: "v1",
		endpoints: addresses.map((address) => ({ address, port: 9001, locality: null })),
	});
	const hopOf = (spec: Partial<Service["spec"]>, ...addresses: readonly string[]) =>
		saidOf("Service s: hop to its endpoints", { services: [service("s", [at(...addresses)], spec)] });
	const remote = ["10.1.2.3", "v2.internal"] as const;
	const identities = ["spiffe://a/m", "spiffe://a/n"];
	t.match(hopOf({ access: null, identities }, ...remote), /^mutual TLS: .* spiffe:\/\/a\/m or spiffe:\/\/a\/n$/);
	for (const access of [null, "open"] as const)
		t.match(hopOf({ access }, "127.0.0.1", ...remote), /^PLAIN TEXT to 10.1.2.3:9001, v2.internal:9001: /);
	t.match(hopOf({}, "127.0.0.1", "localhost"), /^plain text to 127.0.0.1:9001, localhost:9001, beside Envoy: /);
	t.match(
		hopOf({}, ...Array.from({ length: 7 }, (_, n) => `10.0.0.${n}`)),
		/^PLAIN TEXT to .* 10.0.0.4:9001 and 2 more:/,
	);
	t.equal(hopOf({}), undefined, "no callout is made");
});

t.test("explain reports that a token bound to a mesh certificate ends with it", async (t) => {
	const bound = (binding: "none" | "mtls" | "dpop" | "either", tls: Gateway["spec"]["tls"] = { from: "identity" }) =>
		saidOf("Gateway edge: tokens", {
			gateways: [gateway({ tls, tokens: [{ ...tokenIssuer(ONE, ["weir"], "/keys"), binding }] }, "edge")],
		});
	t.match(bound("mtls"), /^tokens of https:\/\/id\.test end with the certificate that they are bound to: /);
	for (const other of ["none", "dpop", "either"] as const) t.equal(bound(other), undefined, other);
	const files = { from: "files", certificateFile: "/c", privateKeyFile: "/k", clientCaFile: "/ca" } as const;
	t.equal(bound("mtls", files), undefined, "whose life is their owner's business");
});

t.test("explain reports a Service in callout without rate limits", async (t) => {
	const NONE = { service: null, principal: null, tenant: null };
	const rate = { requests: 60, perMs: 1_000 };
	const said = (rateLimits: Partial<Service["spec"]["rateLimits"]>, more: Partial<ResourceSet> = {}) =>
		saidOf("Service s: rate limits", {
			accessPolicies: [allow({ principals: ["*"], condition: 'request.method == "GET"' })],
			services: [service("s", [variant("v1", 1)], { access: null, rateLimits: { ...NONE, ...rateLimits } })],
			...more,
		});
	t.match(said({}), /^none; not bounded .*; set rateLimits\.principal$/);
	t.match(said({ service: rate }), /all together 60 per 1s; not bounded .*; set rateLimits\.principal$/);
	t.notMatch(said({ principal: rate }), "not bounded");
	const withoutClients = [gateway()];
	t.match(said({}, { gateways: withoutClients }), /; set rateLimits\.service$/, "where no principal is identified");
	t.match(
		said({}, { gateways: [gateway({ tls: { from: "identity" }, trustedProxies: ["spiffe://a/p"] })] }),
		/\.service$/,
	);
	t.notMatch(said({ service: rate }, { gateways: withoutClients }), "not bounded");
	t.equal(said({}, { accessPolicies: [allow({ principals: ["*"] })] }), undefined, "Envoy judges alone");
});
