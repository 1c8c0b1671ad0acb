/** Policies tested without a mesh: effects of an invalid token, and subjects at which verdicts can change. */
import t from "tap";
import { boundariesOf } from "../../../src/compile/access/review/boundaries.js";
import { policyJudge } from "../../../src/compile/access/review/policyCheck.js";
import { accessTable } from "../../../src/compile/access/rules/policy.js";
import type { GatewayTls, TokenIssuer } from "../../../src/declare/resources/resource.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../../fixtures/resources.js";

const ISSUER = "https://id.test";
const guarded = service("s", [variant("v1", 1)], { access: null });

t.test("a bad token is refused if an enforced policy uses users; a shadow policy only reports", async (t) => {
	const judged = (mode: "enforce" | "shadow") =>
		policyJudge(
			resourceSet({
				gateways: [gateway({ tokens: [tokenIssuer(ISSUER, [], "k.json")] })],
				services: [guarded],
				accessPolicies: [
					accessPolicy("all", "allow", ["s"], { principals: ["anyone"] }),
					accessPolicy("clerks", "deny", ["s"], { mode, groups: ["clerks"] }),
				],
			}),
		).judge({
			...{
				service: "s",
				host: null,
				gateway: null,
				region: null,
				principal: null,
				method: "GET",
				path: "/",
				variant: null,
			},
			token: "invalid",
			nowMs: 0,
		});
	t.match(judged("enforce"), { allowed: false, reason: "invalid-token", shadow: null });
	t.match(judged("shadow"), { allowed: true, policy: "all", shadow: { allowed: false, reason: "invalid-token" } });
});

t.test("a token that every execution refuses for its claims is invalid", async (t) => {
	const thumbprint = "A".repeat(43);
	const [key, certificate] = [{ jkt: thumbprint }, { "x5t#S256": thumbprint }];
	const judged = (binding: TokenIssuer["binding"], claims: object, tls: GatewayTls | null = { from: "identity" }) =>
		policyJudge(
			resourceSet({
				gateways: [gateway({ tls, tokens: [{ ...tokenIssuer(ISSUER, ["weir"], "k.json"), binding }] })],
				services: [guarded],
				accessPolicies: [accessPolicy("clerks", "allow", ["s"], { groups: ["clerks"] })],
			}),
		).judge({
			...{ service: "s", host: null, gateway: null, region: null, principal: null, method: "GET", path: "/" },
			...{ variant: null, nowMs: 0 },
			token: { iss: ISSUER, sub: "ann", groups: ["clerks"], ...claims },
		}).reason;
	for (const claims of [
		...[null, {}, [], "x", { jkt: "x" }, { jkt: 5 }, { jwk: {} }, { ...key, more: thumbprint }].map((cnf) => ({ cnf })),
		...[{ sub: 5 }, { sub: null }, { jti: 5 }, { exp: "2030" }, { nbf: -1 }, { iat: null }, { aud: [1] }],
		...[{ cnf: key }, { cnf: certificate }],
	])
		t.equal(judged("none", claims), "invalid-token", JSON.stringify(claims));
	for (const claims of [{}, { sub: "" }, { jti: "a" }, { exp: 0, aud: "other" }, { nbf: 2 ** 40 }, { iat: 1.5 }])
		t.equal(judged("none", claims), "allowed", JSON.stringify(claims));
	const cases = [
		...[["dpop", key] as const, ["either", key] as const, ["mtls", certificate] as const],
		...[["either", certificate] as const, ["mtls", { ...key, ...certificate }] as const],
	];
	for (const [binding, cnf] of cases) t.equal(judged(binding, { cnf }), "allowed", `${binding} ${JSON.stringify(cnf)}`);
	t.equal(judged("dpop", { cnf: certificate }), "invalid-token", "not bound to a key");
	t.equal(judged("mtls", { cnf: key }), "invalid-token", "not bound to a certificate");
	t.equal(judged("dpop", {}), "allowed", "what is left out is as it must be");
	t.equal(judged("mtls", { cnf: certificate }, null), "invalid-token", "no certificate is presented");
	t.equal(judged("dpop", { cnf: key }, null), "allowed");
});

t.test("a subject that ends like `any` is tried", (t) => {
	const subjects = (user: string): readonly unknown[] => {
		const { policies } = accessTable(guarded, [accessPolicy("p", "allow", ["s"], { users: [user] })]);
		const { tokens } = boundariesOf(policies, [], [tokenIssuer(ISSUER, [], "k.json")], 0);
		return tokens.map((token) => (typeof token === "object" ? token?.sub : token));
	};
	t.ok(subjects(`${ISSUER}#x#*`).includes("x#*"));
	t.notOk(subjects(`${ISSUER}#*`).includes("*"));
	t.end();
});

t.test("times to try are the edges of validity and the changes of a schedule within a week", (t) => {
	const monday = Date.UTC(2026, 5, 1);
	const schedule = { timezone: "UTC", days: [1], fromMinute: 60, untilMinute: 90 };
	const times = (spec: Parameters<typeof accessPolicy>[3]) =>
		boundariesOf(accessTable(guarded, [accessPolicy("p", "allow", ["s"], spec)]).policies, [], [], monday).timesMs;
	const [one, two] = [monday + 3_600_000, monday + 5_400_000];
	t.same(times({ schedule }), [monday, one - 1, one, two - 1, two]);
	t.same(times({ validUntilMs: one }), [monday, one - 1, one]);
	t.same(times({}), [monday]);
	t.end();
});

t.test("a host is matched as in Envoy: ignoring case and port", async (t) => {
	const judge = policyJudge(
		resourceSet({ services: [service("m", [variant("v1", 1)], { hosts: ["m.test", "*.m.test"] })] }),
	);
	for (const host of ["m.test", "M.Test", "m.test:8443", "M.TEST:1", "a.M.test:8443"])
		t.equal(judge.serviceOf({ service: null, host }), "m", host);
	for (const host of ["m.test:", "m.test:x", "m.test.", "[m.test]:1", "m.test:1:2", "M"])
		t.equal(judge.serviceOf({ service: null, host }), null, host);
});

t.test("a host selects the Service that declares it, and a Service name is not a host", async (t) => {
	const judge = policyJudge(
		resourceSet({
			services: [
				service("pay", [variant("v1", 1)], { hosts: ["pay.test"], access: null }),
				service("old-pay", [variant("v1", 1)], { hosts: ["pay"] }),
			],
		}),
	);
	const asked = (named: { service: string; host: null } | { service: null; host: string }) =>
		judge.judge({
			...{ gateway: null, region: null, principal: null, token: null, method: "GET", path: "/", variant: null },
			...{ ...named, nowMs: 0 },
		});
	for (const host of ["pay", "PAY", "Pay:80"]) {
		t.equal(judge.serviceOf({ service: null, host }), "old-pay", host);
		t.match(asked({ service: null, host }), { allowed: true, reason: "open" }, host);
	}
	t.match(asked({ service: "pay", host: null }), { allowed: false, reason: "no-policy-allows" });
	for (const service of ["pay.test", "PAY"])
		t.match(asked({ service, host: null }), { allowed: false, reason: "unknown-service" }, service);
	t.match(asked({ service: null, host: "old-pay" }), { allowed: false, reason: "unknown-service" });
	t.match(
		judge.undeclared({ service: null, host: "old-pay", gateway: null, region: null, variant: null }),
		[{ field: "host", name: "old-pay", known: ["pay.test", "pay"] }],
		"although a Service has that name",
	);
});

t.test("conditions see the path percent-decoded, enforced and shadow", async (t) => {
	const judged = (mode: "enforce" | "shadow", path: string) =>
		policyJudge(
			resourceSet({
				services: [guarded],
				accessPolicies: [
					accessPolicy("all", "allow", ["s"], { principals: ["anyone"] }),
					accessPolicy("no", "deny", ["s"], { mode, condition: 'request.path == "/docs/my secret"' }),
				],
			}),
		).judge({
			...{ service: "s", host: null, gateway: null, region: null, principal: null, method: "GET", path, variant: null },
			...{ token: null, nowMs: 0 },
		});
	t.match(judged("enforce", "/docs/my%20secret?q"), { allowed: false, policy: "no" });
	t.match(judged("shadow", "/docs/my%20secret"), { allowed: true, shadow: { allowed: false, policy: "no" } });
	t.match(judged("enforce", "/docs/my%20secrets"), { allowed: true });
	t.match(judged("enforce", "/docs/%c3"), { allowed: false, reason: "not-canonical" }, "what is no UTF-8 is denied");
	t.match(judged("enforce", "/docs/my%2520secret"), { allowed: false, reason: "not-canonical" });
});

const id = (name: string): string => `spiffe://weir.test/${name}`;

t.test("a request of a trusted proxy needs the rights of its client and of the proxy", async (t) => {
	const judge = policyJudge(
		resourceSet({
			gateways: [
				gateway({ tls: { from: "identity" }, trustedProxies: [id("proxy"), id("banned")] }),
				gateway({ tls: { from: "identity" } }, "direct"),
				gateway({}, "bare"),
			],
			services: [guarded],
			accessPolicies: [
				accessPolicy("all", "allow", ["s"], { principals: ["*"] }),
				accessPolicy("no-mallory", "deny", ["s"], { principals: [id("mallory")] }),
				accessPolicy("ban", "deny", ["s"], { principals: [id("banned")] }),
			],
		}),
	);
	const asked = (principal: string | null, via: string | null, gateway = "edge") => {
		const who = { principal, via, gateway };
		const { reason, policy } = judge.judge({
			...{ service: "s", host: null, region: null, token: null, method: "GET", path: "/", variant: null, nowMs: 0 },
			...who,
		});
		return policy === null ? reason : `${reason} by ${policy}`;
	};
	for (const [principal, via, expected] of [
		[id("alice"), null, "allowed by all"],
		[id("alice"), id("proxy"), "allowed by all"],
		[id("mallory"), id("proxy"), "forbidden by no-mallory"],
		[id("alice"), id("banned"), "forbidden by ban"],
		[id("proxy"), null, "not-canonical"],
		[null, id("proxy"), "not-canonical"],
		["spiffe://other.test/alice", id("proxy"), "not-canonical"],
		[id("proxy"), id("proxy"), "allowed by all"],
		[id("alice"), id("mallory"), "forbidden by no-mallory"],
	] as const)
		t.equal(asked(principal, via), expected, `${principal} via ${via}`);
	t.equal(asked(id("proxy"), null, "direct"), "allowed by all", "where it is not a trusted proxy");
	const through = (via: string | null, gateway: string | null = null, region: string | null = null) =>
		judge.gatewaysOf({ principal: id("alice"), via, gateway, region });
	t.same(through(null), ["edge", "direct"]);
	t.same(through(id("proxy")), ["edge"]);
	t.same(through(id("proxy"), "direct"), []);
	t.same(judge.refusals({ principal: id("alice"), via: id("mallory"), gateway: "edge", region: null }), [
		`Gateway edge does not trust the proxy ${id("mallory")}`,
	]);
});

t.test("a dry run has the same order of verdicts as enforced policies", async (t) => {
	const judged = (open: boolean, request: object, users = false) => {
		const set = resourceSet({
			gateways: [gateway({ tls: { from: "identity" }, tokens: [tokenIssuer(ISSUER, [], "k.json")] })],
			services: [service("s", [variant("v1", 1)], { access: open ? "open" : null })],
			accessPolicies: [
				...(open ? [] : [accessPolicy("all", "allow", ["s"], { principals: ["*"] })]),
				...(users ? [accessPolicy("no-eve", "deny", ["s"], { users: [`${ISSUER}#eve`], pathPrefixes: ["/e"] })] : []),
				accessPolicy("tried", "allow", ["s"], { mode: "shadow", users: [`${ISSUER}#ann`], pathPrefixes: ["/a"] }),
			],
		});
		const { reason, shadow } = policyJudge(set).judge({
			...{ service: "s", host: null, gateway: null, region: null, principal: id("alice"), token: null },
			...{ method: "GET", path: "/", variant: null, nowMs: 0 },
			...request,
		});
		return `${reason}, ${shadow?.reason ?? "-"}`;
	};
	const bad = { token: "invalid" };
	t.equal(judged(true, { path: "/b;c" }), "open, not-canonical");
	t.equal(judged(true, { path: "/.well-known/weir-probe" }), "open, forbidden");
	t.equal(judged(true, {}), "open, no-policy-allows");
	t.equal(judged(true, { ...bad, path: "/b;c" }), "open, not-canonical");
	t.equal(judged(true, { ...bad, path: "/a%2Cb" }), "open, not-canonical", "an ambiguous path before its token");
	t.equal(judged(true, bad), "open, invalid-token");
	t.equal(judged(false, { path: "/b;c" }), "not-canonical, -");
	t.equal(judged(false, { ...bad, path: "/a%2Cb" }), "allowed, not-canonical");
	t.equal(judged(false, { ...bad, path: "/a%2Cb" }, true), "not-canonical, -", "in force too");
	t.equal(judged(false, bad, true), "invalid-token, -");
	t.equal(judged(false, { path: "/.well-known/weir-probe" }), "forbidden, forbidden");
});
