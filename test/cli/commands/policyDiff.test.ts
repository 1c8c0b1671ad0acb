/** Random pairs of declarations: where sampled requests differ in their verdict, `weir policy diff` must find a difference. */
import fc from "fast-check";
import t from "tap";
import { ANYONE } from "../../../src/compile/access/requests/principal.js";
import { policyJudge } from "../../../src/compile/access/review/policyCheck.js";
import { diffPolicies } from "../../../src/compile/access/review/policyDiff.js";
import type { PolicyRequest } from "../../../src/compile/access/review/policyRequest.js";
import type { AccessPolicy, GatewayTls, ResourceSet } from "../../../src/declare/resources/resource.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../../fixtures/resources.js";

const ISSUER = "https://issuer.test";
/** The Gateway knows principals. */
const MUTUAL: GatewayTls = { from: "identity" };
const NOW = Date.UTC(2026, 5, 3, 12);
const DAY = 86_400_000;
const some = <Value>(values: readonly Value[], max = 2) => fc.subarray([...values], { minLength: 0, maxLength: max });

/** The alphabet of requests is wider than that of rules, so that requests match no rule too. */
const PRINCIPALS = ["spiffe://a/web", "spiffe://a/web/x", "spiffe://a/job", "spiffe://b/web"];
const METHODS = ["GET", "POST", "PUT", "DELETE"];
const PATHS = [
	"/",
	"/v2",
	"/v2/x",
	"/v20",
	"/v2/models/m/infer",
	"/v2/models/m",
	"/admin",
	"/admin/x",
	"/else",
	"/v2;x",
];

const policy = fc.record({
	action: fc.constantFrom("allow" as const, "deny" as const),
	principals: some([...PRINCIPALS.slice(0, 3), "spiffe://a/*", "*"]),
	methods: some(METHODS.slice(0, 2)),
	pathPrefixes: some(["/v2", "/admin", "/v2/models/"]),
	pathTemplates: some(["/v2/models/{model}/infer", "/{x}"], 1),
	groups: some(["red", "blue"], 1),
	users: some([`${ISSUER}#alice`, `${ISSUER}#bob`], 1),
	claims: some([{ claim: "org.role", values: ["admin", "root"] }], 1),
	variants: some(["v1", "v2"], 1),
	regions: some(["eu", "us"], 1),
	validUntilMs: fc.constantFrom(null, null, NOW, NOW + DAY),
	schedule: fc.constantFrom(null, null, {
		timezone: "Europe/Berlin",
		days: [1, 2, 3, 4, 5],
		fromMinute: 480,
		untilMinute: 1_080,
	}),
});
type Drawn = typeof policy extends fc.Arbitrary<infer Value> ? Value : never;

const set = (policies: readonly Drawn[]): ResourceSet =>
	resourceSet({
		gateways: ["eu", "us"].map((region) =>
			gateway({ tls: MUTUAL, region, tokens: [tokenIssuer(ISSUER, ["weir"], "/keys")] }, region),
		),
		services: [service("shop", [variant("v1", 1), variant("v2", 2)], { access: null })],
		accessPolicies: policies.map(
			({ action, ...spec }, index): AccessPolicy => accessPolicy(`p${index}`, action, ["shop"], spec),
		),
	});

const request = fc.record({
	service: fc.constant("shop"),
	host: fc.constant(null),
	gateway: fc.constantFrom("eu", "us"),
	region: fc.constant(null),
	principal: fc.constantFrom(null, ...PRINCIPALS, "spiffe://c/other"),
	token: fc.constantFrom(
		null,
		...["alice", "bob", "eve"].flatMap((sub) =>
			[[], ["red"], ["blue"], ["red", "blue"]].flatMap((groups) =>
				["admin", "guest"].map((role) => ({ iss: ISSUER, sub, groups, org: { role } })),
			),
		),
	),
	method: fc.constantFrom(...METHODS),
	path: fc.constantFrom(...PATHS),
	variant: fc.constantFrom(null, "v1", "v2"),
	nowMs: fc.constantFrom(NOW - 1, NOW, NOW + DAY, NOW + 4 * DAY, NOW + 10 * 3_600_000),
});

/** The old rules, and the new: all rules are new, or one of the old ones changed. */
const pair = fc
	.tuple(
		fc.array(policy, { minLength: 1, maxLength: 4 }),
		fc.array(policy, { minLength: 1, maxLength: 4 }),
		fc.boolean(),
		fc.nat(),
	)
	.map(([before, other, changed, at]): readonly [readonly Drawn[], readonly Drawn[]] => [
		before,
		changed ? before.with(at % before.length, other[0] as Drawn) : other,
	]);

interface Tally {
	pairs: number;
	found: number;
}

/** @returns the share of pairs with different sampled verdicts for which diff finds a difference */
function measure(runs: number, requestsMax?: number): Tally {
	const tally: Tally = { pairs: 0, found: 0 };
	fc.assert(
		fc.property(pair, fc.array(request, { minLength: 300, maxLength: 300 }), ([before, after], sampled) => {
			const sets = [set(before), set(after)] as const;
			const judges = sets.map(policyJudge);
			const differs = (one: PolicyRequest): boolean => judges[0]?.judge(one).allowed !== judges[1]?.judge(one).allowed;
			const diff = diffPolicies(...sets, [], NOW, requestsMax);
			// What it names must be true, also in a cut list.
			for (const one of diff.differences.slice(0, 5)) {
				if (!differs(one.request)) throw new Error(`no difference at ${JSON.stringify(one.request)}`);
			}
			if (!sampled.some(differs)) return;
			tally.pairs++;
			if (diff.differences.length > 0) tally.found++;
		}),
		{ numRuns: runs, seed: 7 },
	);
	return tally;
}

t.setTimeout(120_000);

t.test("diff finds a difference for most pairs that differ on sampled requests", (t) => {
	const whole = measure(12, 10_000);
	t.comment(`bound of 10,000 requests a Service: ${whole.found} of ${whole.pairs} pairs`);
	t.ok(whole.pairs > 5, `${whole.pairs} pairs differ`);
	t.equal(whole.found, whole.pairs, "every one is found");
	const small = measure(25, 500);
	t.comment(`cut to 500 requests: ${small.found} of ${small.pairs} pairs`);
	t.ok(small.found / small.pairs > 0.7, "cut to 500 requests still most of them");
	t.end();
});

t.test("equal rules have no difference, and a cut list is marked", (t) => {
	const rules = fc.sample(policy, { numRuns: 4, seed: 3 });
	const same = diffPolicies(set(rules), set([...rules].reverse()), [], NOW, 5_000);
	t.match(same, { newlyAllowed: 0, newlyDenied: 0, differences: [] }, "order of declaration decides nothing");
	t.same(diffPolicies(set(rules), set(rules), [], NOW, 10).cut, ["shop"]);
	t.end();
});

t.test("diff shows what a changed rule allows and denies, also for logged requests", (t) => {
	const one = (spec: Partial<AccessPolicy["spec"]>): ResourceSet =>
		resourceSet({
			gateways: [gateway({ tls: MUTUAL })],
			services: [service("shop", [variant("v1", 1)], { access: null }), service("gone", [variant("v1", 1)])],
			accessPolicies: [accessPolicy("p", "allow", ["shop"], spec)],
		});
	const before = one({ principals: ["spiffe://a/web"], methods: ["GET"] });
	const after = { ...one({ principals: ["spiffe://a/web"], methods: ["GET", "POST"], pathPrefixes: ["/v2"] }) };
	const logged: PolicyRequest = {
		service: "shop",
		host: null,
		gateway: "edge",
		region: null,
		principal: "spiffe://a/web",
		token: null,
		method: "GET",
		path: "/v3/orders",
		variant: null,
		nowMs: NOW,
	};
	const diff = diffPolicies(
		before,
		{ ...after, services: after.services.slice(0, 1) },
		[logged, { ...logged, path: "/v2" }],
		NOW,
	);
	const [first] = diff.differences;
	t.match(first, { from: "log", request: { path: "/v3/orders" }, before: { allowed: true, policy: "p" } });
	t.match(first, { after: { allowed: false, reason: "no-policy-allows", policy: null } });
	t.ok(
		diff.differences.some(
			({ request, after }) => request.method === "POST" && request.path === "/v2" && after.policy === "p",
		),
	);
	t.ok(diff.differences.some(({ request, after }) => request.service === "gone" && after.reason === "unknown-service"));
	t.notOk(diff.differences.some(({ request }) => request.principal !== "spiffe://a/web" && request.service === "shop"));
	const users = diffPolicies(before, one({ groups: ["g"] }), [logged], NOW);
	t.equal(users.withoutToken, 1, "a log holds no tokens");
	const masked = ["/v3/(masked)", "/v3;(masked)/orders", "/v3/x…"].map((path) => ({ ...logged, path }));
	const parts = diffPolicies(before, after, [logged, ...masked], NOW);
	t.equal(parts.withoutPath, masked.length, "no logged request has a complete path");
	t.same(
		parts.differences.filter(({ from }) => from === "log").map(({ request }) => request.path),
		["/v3/orders"],
	);
	t.equal(parts.compared, diffPolicies(before, after, [logged], NOW).compared);
	t.end();
});

const WEB = "spiffe://a/web";

t.test("an invalid token is refused once a rule reads tokens", (t) => {
	const one = (...names: readonly string[]): ResourceSet =>
		resourceSet({
			gateways: [gateway({ tls: MUTUAL, tokens: [tokenIssuer(ISSUER, ["weir"], "/keys")] })],
			services: [service("shop", [variant("v1", 1)], { access: null })],
			accessPolicies: names.map((name) =>
				accessPolicy(name, "allow", ["shop"], { principals: [WEB], users: name === "users" ? ["*"] : [] }),
			),
		});
	const { differences } = diffPolicies(one("p"), one("p", "users"), [], NOW);
	t.ok(differences.length > 0);
	for (const { request, after } of differences)
		t.match([request.principal, request.token, after.reason], [WEB, "invalid", "invalid-token"]);
	t.end();
});

t.test("diff compares clients that a Gateway of both declarations accepts", (t) => {
	const files: GatewayTls = {
		from: "files",
		certificateFile: "c.pem",
		privateKeyFile: "k.pem",
		clientCaFile: "ca.pem",
	};
	const one = (tls: Readonly<Record<string, GatewayTls | null>>, access: "open" | null): ResourceSet =>
		resourceSet({
			gateways: Object.entries(tls).map(([name, tls]) => gateway({ tls }, name)),
			services: [service("shop", [variant("v1", 1)], { access })],
			accessPolicies:
				access === null ? [accessPolicy("web", "allow", ["shop"], { principals: [WEB], methods: ["GET"] })] : [],
		});
	const differences = (before: ResourceSet, after: ResourceSet): readonly string[] => [
		...new Set(
			diffPolicies(before, after, [], NOW).differences.map(
				({ request: { gateway, principal }, before, after }) =>
					`${gateway} ${principal}: ${before.reason}, ${after.reason}`,
			),
		),
	];
	const OUTSIDER = "edge spiffe://outsider.invalid/weir-other";
	t.same(differences(one({ edge: MUTUAL }, null), one({ edge: MUTUAL }, "open")), [
		`${OUTSIDER}: no-policy-allows, open`,
		`edge ${WEB}/weir-other: no-policy-allows, open`,
		`edge ${WEB}: no-policy-allows, open`,
	]);
	t.same(differences(one({ edge: null }, null), one({ edge: null }, "open")), ["edge null: no-policy-allows, open"]);
	t.same(
		differences(one({ edge: MUTUAL }, "open"), one({ edge: null }, "open")),
		["edge null: not-connected, open", `${OUTSIDER}: open, not-connected`],
		"certificates are demanded no more",
	);
	const own = { ...files, trustDomains: ["b"] };
	t.same(differences(one({ edge: own }, null), one({ edge: own }, "open")), [
		"edge spiffe://b/weir-other: no-policy-allows, open",
	]);
	t.same(
		differences(one({ edge: MUTUAL }, "open"), one({ edge: MUTUAL, more: MUTUAL }, "open")),
		[],
		"a Gateway that is new is not compared",
	);
	t.match(differences(one({ edge: null }, null), one({ other: null }, "open")), ["null null: no-policy-allows, open"]);
	t.end();
});

t.test("a host that moves to another Service is judged by the rules of both", (t) => {
	const one = (hosts: Readonly<Record<"shop" | "free", readonly string[]>>): ResourceSet =>
		resourceSet({
			services: [
				service("shop", [variant("v1", 1)], { access: null, hosts: hosts.shop }),
				service("free", [variant("v1", 3)], { access: "open", hosts: hosts.free }),
			],
			accessPolicies: [accessPolicy("pub", "allow", ["shop"], { principals: [ANYONE], pathPrefixes: ["/pub"] })],
		});
	const before = one({ shop: ["shop.example", "*.shop.example"], free: ["free.example"] });
	const hostsOf = (after: ResourceSet) => {
		const { differences } = diffPolicies(before, after, [], NOW);
		t.ok(differences.every(({ request: { service, path } }) => service === null && !path.startsWith("/pub/")));
		return [...new Set(differences.map(({ request }) => request.host))];
	};
	const [name, wildcard] = ["shop.example", "*.shop.example"];
	t.same(hostsOf(one({ shop: [wildcard], free: ["free.example", name] })), ["shop.example"]);
	t.same(hostsOf(one({ shop: [name, wildcard], free: ["free.example", "pay.shop.example"] })), ["pay.shop.example"]);
	t.same(hostsOf(one({ shop: [name], free: ["free.example", wildcard] })), ["weir-other.shop.example"]);
	t.same(hostsOf(one({ shop: [name, wildcard, "new.example"], free: ["new.other"] })), [], "no other Service had them");
	t.end();
});

t.test("a ban on a trusted proxy applies to requests that it forwards, sampled or logged", (t) => {
	const PROXY = "spiffe://a/proxy";
	const one = (banned: boolean): ResourceSet =>
		resourceSet({
			gateways: [gateway({ tls: MUTUAL, trustedProxies: [PROXY] })],
			services: [service("shop", [variant("v1", 1)], { access: null })],
			accessPolicies: [
				accessPolicy("web", "allow", ["shop"], { principals: [WEB] }),
				...(banned ? [accessPolicy("ban", "deny", ["shop"], { principals: [PROXY] })] : []),
			],
		});
	const logged = {
		...{ service: "shop", host: null, gateway: "edge", region: null, principal: WEB, via: PROXY, token: null },
		...{ method: "GET", path: "/logged", variant: null, nowMs: NOW },
	};
	const { differences } = diffPolicies(one(false), one(true), [logged], NOW);
	t.same(
		new Set(differences.map(({ from, request: { principal, via } }) => `${from} ${principal} via ${via}`)),
		new Set([`log ${WEB} via ${PROXY}`, `constructed ${WEB} via ${PROXY}`]),
	);
	t.ok(differences.every(({ after }) => after.reason === "forbidden" && after.policy === "ban"));
	t.end();
});
