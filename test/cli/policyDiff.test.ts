/** Random pairs of declarations: where sampled requests tell them apart, `weir policy diff` must find a difference. */
import fc from "fast-check";
import t from "tap";
import { ANYONE } from "../../src/access/requests/principal.js";
import { type PolicyRequest, policyJudge } from "../../src/access/review/policyCheck.js";
import { diffPolicies } from "../../src/access/review/policyDiff.js";
import type { AccessPolicy, GatewayTls, ResourceSet, TokenIssuer } from "../../src/resources/resource.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../fixtures/resources.js";

const ISSUER = "https://issuer.test";
/** Principals are known there. */
const MUTUAL: GatewayTls = { from: "identity" };
const NOW = Date.UTC(2026, 5, 3, 12);
const DAY = 86_400_000;
const some = <Value>(values: readonly Value[], max = 2) => fc.subarray([...values], { minLength: 0, maxLength: max });

/** The alphabet of requests is wider than that of rules: what no rule names must be met too. */
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

/** Old, and new: other rules altogether, or one of the old ones changed. */
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

/** @returns of the pairs that sampled requests tell apart, those of which diff tells a difference */
function measure(runs: number, requestsMax?: number): Tally {
	const tally: Tally = { pairs: 0, found: 0 };
	fc.assert(
		fc.property(pair, fc.array(request, { minLength: 300, maxLength: 300 }), ([before, after], sampled) => {
			const sets = [set(before), set(after)] as const;
			const judges = sets.map(policyJudge);
			const differs = (one: PolicyRequest): boolean => judges[0]?.judge(one).allowed !== judges[1]?.judge(one).allowed;
			const diff = diffPolicies(...sets, [], NOW, requestsMax);
			// What it names must be true, cut or not.
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

t.test("of pairs that differ on sampled requests, the share that diff finds", (t) => {
	const whole = measure(12, 10_000);
	t.comment(`bound of 10,000 requests a Service: ${whole.found} of ${whole.pairs} pairs`);
	t.ok(whole.pairs > 5, `${whole.pairs} pairs differ`);
	t.equal(whole.found, whole.pairs, "every one is found");
	const small = measure(25, 500);
	t.comment(`cut to 500 requests: ${small.found} of ${small.pairs} pairs`);
	t.ok(small.found / small.pairs > 0.7, "cut to 500 requests still most of them");
	t.end();
});

t.test("the same rules differ in nothing, and a cut is told", (t) => {
	const rules = fc.sample(policy, { numRuns: 4, seed: 3 });
	const same = diffPolicies(set(rules), set([...rules].reverse()), [], NOW, 5_000);
	t.match(same, { newlyAllowed: 0, newlyDenied: 0, differences: [] }, "order of declaration decides nothing");
	t.same(diffPolicies(set(rules), set(rules), [], NOW, 10).cut, ["shop"]);
	t.end();
});

t.test("a request that needs no time has one verdict at all times", (t) => {
	let free = 0;
	let bound = 0;
	const asking = fc.tuple(fc.array(policy, { minLength: 1, maxLength: 4 }), fc.array(request, { minLength: 30 }));
	for (const [policies, asked] of fc.sample(asking, { numRuns: 300, seed: 7 })) {
		if (policies.every(({ schedule, validUntilMs }) => schedule === null && validUntilMs === null)) continue;
		const judge = policyJudge(set(policies));
		for (const one of asked) {
			if (judge.dependsOnTime(one)) {
				bound++;
				continue;
			}
			free++;
			const verdicts = Array.from({ length: 28 }, (_, index) => {
				const { reason, policy } = judge.judge({ ...one, nowMs: NOW + (index - 14) * 6 * 3_600_000 });
				return `${reason} ${policy}`;
			});
			if (new Set(verdicts).size > 1) t.fail(JSON.stringify({ policies, one, verdicts }));
		}
	}
	t.ok(free > 2_000 && bound > 300, `${free} need none, ${bound} need one`);
	t.end();
});

t.test("a condition that reads the time needs one, where it can decide", (t) => {
	const condition = "request.time.getHours() >= 12";
	const judge = policyJudge(
		resourceSet({
			services: [service("shop", [variant("v1", 1)], { access: null })],
			accessPolicies: [
				accessPolicy("all", "allow", ["shop"], { principals: ["anyone"] }),
				accessPolicy("evening", "deny", ["shop"], { methods: ["POST"], condition }),
			],
		}),
	);
	const asked = { ...{ service: "shop", host: null, gateway: null, region: null, variant: null }, path: "/a" };
	const needs = (method: string): boolean => judge.dependsOnTime({ ...asked, method, principal: null, token: null });
	t.same([needs("POST"), needs("GET")], [true, false]);
	t.end();
});

t.test(
	"a zone's clock is asked once for each quarter of an hour, however many schedules and Services look at it",
	(t) => {
		const services = ["a", "b", "c"];
		const scheduled = (first: number) =>
			resourceSet({
				services: services.map((name) => service(name, [variant("v1", 1)], { access: null })),
				accessPolicies: Array.from({ length: 4 }, (_, index) =>
					accessPolicy(`p${index}`, "allow", services, {
						principals: ["*"],
						schedule: { timezone: "Asia/Almaty", days: [1], fromMinute: first + index * 61, untilMinute: 900 },
					}),
				),
			});
		let asked = 0;
		const format = Intl.DateTimeFormat.prototype;
		const { formatToParts } = format;
		format.formatToParts = function (this: Intl.DateTimeFormat, ...time) {
			asked++;
			return formatToParts.apply(this, time);
		};
		t.teardown(() => {
			format.formatToParts = formatToParts;
		});
		const before = scheduled(60);
		t.match(diffPolicies(before, scheduled(61), [], NOW), { cut: [], loosened: [], tightened: [] });
		// Eight days of quarters, and a year's days at which the clock may have changed.
		t.ok(asked > 0 && asked <= 8 * 96 + 2 * 366 + 4, `${asked}`);
		t.end();
	},
);

t.test("what a rule's change lets in and keeps out, and what the log has asked", (t) => {
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
	t.equal(parts.withoutPath, masked.length, "nobody has asked for what the log holds of a path");
	t.same(
		parts.differences.filter(({ from }) => from === "log").map(({ request }) => request.path),
		["/v3/orders"],
	);
	t.equal(parts.compared, diffPolicies(before, after, [logged], NOW).compared);
	t.end();
});

const WEB = "spiffe://a/web";

t.test("what is refused before any rule is asked", (t) => {
	const one = (access: "open" | null, spec: Partial<AccessPolicy["spec"]> | null): ResourceSet =>
		resourceSet({
			gateways: [gateway({ tls: MUTUAL, tokens: [tokenIssuer(ISSUER, ["weir"], "/keys")] })],
			services: [service("shop", [variant("v1", 1)], { access })],
			accessPolicies: spec === null ? [] : [accessPolicy("p", "allow", ["shop"], spec)],
		});
	const closed = diffPolicies(one("open", null), one(null, { principals: [ANYONE] }), [], NOW);
	t.ok(closed.newlyDenied > 0);
	const denied = closed.differences.filter(({ after }) => after.reason === "not-canonical");
	t.ok(
		denied.some(({ request }) => request.method === "TRACE"),
		"a refused method",
	);
	t.ok(
		denied.some(({ request }) => request.path.includes(";")),
		"a path that is not canonical",
	);
	t.same(closed.changed, ["Service shop, access: open → protected"]);
	const users = diffPolicies(
		one(null, { principals: [WEB] }),
		{
			...one(null, { principals: [WEB] }),
			accessPolicies: [
				accessPolicy("p", "allow", ["shop"], { principals: [WEB] }),
				accessPolicy("users", "allow", ["shop"], { principals: [WEB], users: ["*"] }),
			],
		},
		[],
		NOW,
	);
	t.match(users.differences, [{ request: { principal: WEB, token: "invalid" }, after: { reason: "invalid-token" } }]);
	t.ok(users.differences.length > 0);
	t.end();
});

t.test("nobody's principal is known where no certificate is demanded, before or after", (t) => {
	const BAD = "spiffe://a/bad";
	const one = (tls: Readonly<Record<string, GatewayTls | null>>, denied: readonly string[]): ResourceSet =>
		resourceSet({
			gateways: Object.entries(tls).map(([name, tls]) =>
				gateway({ tls, trustedProxies: name === "behind" ? ["spiffe://a/proxy"] : [] }, name),
			),
			services: [service("shop", [variant("v1", 1)], { access: null })],
			accessPolicies: [
				accessPolicy("all", "allow", ["shop"], { principals: [ANYONE] }),
				...denied.map((id) => accessPolicy("not-bad", "deny", ["shop"], { principals: [id] })),
			],
		});
	const files: GatewayTls = { from: "files", certificateFile: "c.pem", privateKeyFile: "k.pem", clientCaFile: null };
	const byFiles: GatewayTls = { ...files, clientCaFile: "ca.pem" };
	const told = (before: ResourceSet, after: ResourceSet): readonly string[] => [
		...new Set(
			diffPolicies(before, after, [], NOW).differences.map(
				({ request: { gateway, principal }, after }) =>
					`${principal} at ${gateway}: ${after.allowed ? "allow" : "deny"}`,
			),
		),
	];
	const all = { plain: null, tls: files, edge: byFiles, mesh: MUTUAL, behind: MUTUAL };
	const known = ["edge", "mesh", "behind"].map((name) => `${BAD} at ${name}: allow`);
	t.same(told(one(all, [BAD]), one(all, [])), known, "a deny removed lets in nobody elsewhere");
	t.same(told(one({ edge: byFiles }, [BAD]), one({ edge: files }, [BAD])), [`${BAD} at edge: allow`], "asked no more");
	t.same(told(one({ edge: null }, [BAD]), one({ edge: MUTUAL }, [BAD])), [`${BAD} at edge: deny`], "asked now");
	const { plain, ...others } = all;
	t.same(told(one(others, [BAD]), one(all, [])), known, "nor where a Gateway is new");
	t.same(told(one({}, [BAD]), one({}, [])), [`${BAD} at null: allow`], "of a file without Gateways nothing is known");
	t.end();
});

t.test("nobody is named who does not get to the Gateway, as policy test has it", (t) => {
	const one = (tls: GatewayTls | null, access: "open" | null): ResourceSet =>
		resourceSet({
			gateways: [gateway({ tls })],
			services: [service("shop", [variant("v1", 1)], { access })],
			accessPolicies:
				access === null
					? [accessPolicy("web", "allow", ["shop"], { principals: ["spiffe://a/*"], methods: ["GET"] })]
					: [],
		});
	const told = (before: ResourceSet, after: ResourceSet) => {
		const { differences } = diffPolicies(before, after, [], NOW);
		const [judge, former] = [policyJudge(after), policyJudge(before)];
		for (const { request, after } of differences)
			t.ok((after.allowed ? judge : former).admits(request), `${request.principal}`);
		return new Set(differences.map(({ request: { principal } }) => principal));
	};
	const [closed, open] = [one(MUTUAL, null), one(MUTUAL, "open")];
	for (const callers of [told(closed, open), told(open, closed)]) {
		t.ok(callers.size > 0);
		t.notOk(callers.has(null), "no certificate");
		t.notOk(callers.has("spiffe://a"), "a trust domain alone is nobody's id");
	}
	t.ok(told(one(null, null), one(null, "open")).has(null), "where none is demanded");
	t.notOk(told(one(null, null), open).has(null), "nor where one is demanded after, which alone lets him in");
	t.notOk(told(one(MUTUAL, "open"), one(null, null)).has(null), "nor where one was demanded");
	const files = { from: "files", certificateFile: "c.pem", privateKeyFile: "k.pem", clientCaFile: "ca.pem" } as const;
	const callers = (tls: GatewayTls): readonly (string | null)[] => [...told(one(tls, null), one(tls, "open"))];
	t.ok(callers(files).includes("spiffe://outsider.invalid/weir-outside-nobody"));
	t.same(
		callers({ ...files, trustDomains: ["b", "c"] }),
		["spiffe://b/weir-outside-nobody", "spiffe://c/weir-outside-nobody"],
		"nor of a trust domain that it does not take",
	);
	t.same(
		callers({ ...files, trustDomains: ["a"] }),
		["spiffe://a/weir-outside"],
		"whom its rule names stands for all of a",
	);
	const through = (principals: readonly string[], methods: readonly string[]): ResourceSet =>
		resourceSet({
			gateways: [gateway({ tls: { ...files, trustDomains: ["b"] }, trustedProxies: ["spiffe://b/proxy"] })],
			services: [service("shop", [variant("v1", 1)])],
			accessPolicies: [
				accessPolicy("web", "allow", ["shop"], { principals, methods }),
				accessPolicy("ban", "deny", ["shop"], { principals: ["spiffe://b/proxy"], methods: ["PUT"] }),
			],
		});
	t.ok(
		told(through(["*"], ["GET"]), through(["*"], ["GET", "POST"])).has("spiffe://b/weir-outside-nobody"),
		"by the rule for all",
	);
	const more = { ...closed, gateways: [...closed.gateways, gateway({ tls: MUTUAL }, "more")] };
	t.same(told(more, more), new Set());
	const { differences } = diffPolicies(one(MUTUAL, "open"), more, [], NOW);
	const places = new Set(differences.map(({ request }) => request.gateway));
	t.same(places, new Set(["edge"]), "nor was anybody let in where no Gateway was yet");
	t.end();
});

t.test("a ban on a trusted proxy is met by who comes through it, made or logged", (t) => {
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

t.test("the issuers that a Gateway believes, field by field", (t) => {
	const believing = (...tokens: readonly TokenIssuer[]): ResourceSet =>
		resourceSet({ gateways: [gateway({ tokens })] });
	const issuer = tokenIssuer(ISSUER, ["weir"], "/keys");
	const changed = (before: ResourceSet, after: ResourceSet) => diffPolicies(before, after, [], NOW).changed;
	t.same(changed(believing(issuer), believing({ ...issuer })), []);
	t.same(changed(believing(issuer), believing()), [`Gateway edge, tokens of ${ISSUER}: believed no more`]);
	t.same(changed(believing(), believing(issuer)), [`Gateway edge, tokens of ${ISSUER}: believed now`]);
	const other: Partial<TokenIssuer> = {
		audiences: ["other"],
		keys: { from: "file", file: "/others" },
		profile: "at+jwt",
		binding: "mtls",
		maxLifetimeMs: 1,
	};
	t.equal(changed(believing(issuer), believing({ ...issuer, ...other })).length, Object.keys(other).length);
	t.end();
});
