/**
 * `weir policy diff` as a gate: whenever a request of a finite universe is newly allowed, or newly denied, the rule that does it
 * must be named. Named cases are those that once got through with "0 newly allowed" or "0 newly denied".
 */
import fc from "fast-check";
import t from "tap";
import { policyJudge } from "../../src/access/review/policyCheck.js";
import { diffPolicies } from "../../src/access/review/policyDiff.js";
import { openings } from "../../src/access/review/policyLoosened.js";
import { accessTable } from "../../src/access/rules/table.js";
import type { AccessPolicy, GatewayTls, ResourceSet } from "../../src/resources/resource.js";
import { accessPolicy, gateway, resourceSet, service, tokenIssuer, variant } from "../fixtures/resources.js";

const ISSUER = "https://issuer.test";
/** Principals are known there. */
const MUTUAL: GatewayTls = { from: "identity" };
/** In winter: Berlin and Lagos agree for months. */
const NOW = Date.UTC(2026, 10, 26, 12);

type Spec = Partial<AccessPolicy["spec"]>;
type Rules = Readonly<Record<string, ["allow" | "deny", Spec]>>;

const set = (rules: Rules): ResourceSet =>
	resourceSet({
		gateways: [gateway({ tls: MUTUAL, tokens: [tokenIssuer(ISSUER, ["weir"], "/keys")], region: "eu" })],
		services: [service("shop", [variant("v1", 1), variant("v2", 2)], { access: null })],
		accessPolicies: Object.entries(rules).map(([name, [action, spec]]) => accessPolicy(name, action, ["shop"], spec)),
	});

const diff = (before: Rules, after: Rules) => diffPolicies(set(before), set(after), [], NOW, 3_000);
const ALL: Spec = { principals: ["*"] };
const office = (timezone: string) => ({ timezone, days: [1], fromMinute: 480, untilMinute: 1_020 });

t.test("what got through: found by a request, and the rule is named", (t) => {
	const cases: Readonly<Record<string, [Rules, Rules, string]>> = {
		"one of three groups' denials": [
			{
				staff: ["allow", { ...ALL, groups: ["staff"] }],
				interns: ["deny", { groups: ["interns"] }],
				suspended: ["deny", { groups: ["suspended"] }],
			},
			{ staff: ["allow", { ...ALL, groups: ["staff"] }], interns: ["deny", { groups: ["interns"] }] },
			"deny removed: suspended, of Service shop",
		],
		"of tenants": [
			{ one: ["allow", { ...ALL, tenants: ["t1"] }], two: ["deny", { tenants: ["t2"] }] },
			{ one: ["allow", { ...ALL, tenants: ["t1"] }] },
			"deny removed: two, of Service shop",
		],
		"of templates that cross": [
			{ a: ["allow", { ...ALL, pathTemplates: ["/a/{m}"] }], b: ["deny", { pathTemplates: ["/{n}/b"] }] },
			{ a: ["allow", { ...ALL, pathTemplates: ["/a/{m}"] }] },
			"deny removed: b, of Service shop",
		],
		"of a template and a prefix": [
			{ a: ["allow", { ...ALL, pathPrefixes: ["/a/b"] }], b: ["deny", { pathTemplates: ["/{n}/b/c/{x}"] }] },
			{ a: ["allow", { ...ALL, pathPrefixes: ["/a/b"] }] },
			"deny removed: b, of Service shop",
		],
		"a template to one of its own paths": [
			{ a: ["allow", ALL], d: ["deny", { pathTemplates: ["/v2/{m}/infer"] }] },
			{ a: ["allow", ALL], d: ["deny", { pathTemplates: ["/v2/x/infer"] }] },
			"deny weakened: d (paths), of Service shop",
		],
		"a zone that differs in summer only": [
			{ a: ["allow", { ...ALL, schedule: office("Europe/Berlin") }] },
			{ a: ["allow", { ...ALL, schedule: office("Africa/Lagos") }] },
			"allow widened: a (schedule), of Service shop",
		],
		"a claim's values": [
			{
				a: ["allow", { ...ALL, claims: [{ claim: "org.role", values: ["x", "y"] }] }],
				d: ["deny", { claims: [{ claim: "org.role", values: ["z"] }] }],
			},
			{ a: ["allow", { ...ALL, claims: [{ claim: "org.role", values: ["x", "y"] }] }] },
			"deny removed: d, of Service shop",
		],
	};
	for (const [name, [before, after, rule]] of Object.entries(cases)) {
		const { newlyAllowed, loosened } = diff(before, after);
		t.ok(newlyAllowed > 0, `${name}: ${newlyAllowed} newly allowed`);
		t.same(loosened, [rule], name);
	}
	t.end();
});

t.test("a rule that loses nothing is not named", (t) => {
	const onDays = (...days: number[]): Rules => ({ a: ["allow", { ...ALL, schedule: { ...office("UTC"), days } }] });
	const { loosened: more, tightened: less } = diff(onDays(1, 2), onDays(2, 1));
	t.same([more, less], [[], []], "the same days");
	const before: Rules = {
		a: ["allow", { principals: ["spiffe://a/*"], pathPrefixes: ["/v2"], users: [`${ISSUER}#*`] }],
		d: ["deny", { principals: ["spiffe://a/x"], pathTemplates: ["/v2/{m}/infer"], methods: ["POST"], regions: ["eu"] }],
	};
	const after: Rules = {
		a: ["allow", { principals: ["spiffe://a/web"], pathTemplates: ["/v2/{m}"], users: [`${ISSUER}#ann`] }],
		d: ["deny", { principals: ["spiffe://a/*"], pathPrefixes: ["/v2"], methods: [], regions: ["eu", "us"] }],
		more: ["deny", { groups: ["interns"] }],
	};
	t.same(diff(before, before).loosened, []);
	t.same(diff(before, after).loosened, []);
	t.same(diff(after, before).loosened, [
		"deny weakened: d (principals, methods, paths, regions), of Service shop",
		"deny removed: more, of Service shop",
		"allow widened: a (principals, users, paths), of Service shop",
	]);
	t.same(
		diff({ a: ["allow", ALL], d: ["deny", {}] }, { a: ["allow", ALL], d: ["deny", { mode: "shadow" }] }).loosened,
		["deny removed: d, of Service shop"],
	);
	t.same(diff({ a: ["allow", { users: ["*"] }], b: ["allow", ALL] }, { b: ["allow", ALL] }).loosened, [
		"tokens that do not hold are refused no more, of Service shop",
	]);
	t.same(diff({ a: ["allow", { ...ALL, pathPrefixes: ["/v2"] }], b: ["allow", ALL] }, { b: ["allow", ALL] }).loosened, [
		"paths that can be read in two ways are refused no more, of Service shop",
	]);
	const [reads, below] = [{ condition: 'request.path == "/a"' }, { ...ALL, pathPrefixes: ["/v2"] }];
	t.same(diff({ a: ["allow", { ...ALL, ...reads }], b: ["allow", below] }, { b: ["allow", below] }).loosened, []);
	t.same(diff({ a: ["allow", { ...ALL, ...reads }], b: ["allow", ALL] }, { b: ["allow", ALL] }).loosened, [
		"paths that can be read in two ways are refused no more, of Service shop",
	]);
	const secret: Rules = { a: ["allow", ALL], d: ["deny", { condition: 'request.path == "/my secret|é"' }] };
	const { differences } = diff(secret, { a: ["allow", ALL] });
	t.same(
		[...new Set(differences.map(({ request }) => request.path))],
		["/my%20secret%7C%C3%A9"],
		"a condition's text is asked for as a client sends it",
	);
	t.same(
		diff({ a: ["allow", {}] }, { a: ["allow", ALL] }).loosened,
		["allow added: a, of Service shop"],
		"an allow that named nobody was for nobody",
	);
	const [here, there] = ["eu", "us"].map((region) => ({ ...set(before), gateways: [gateway({ region })] }));
	if (here === undefined || there === undefined) throw new Error("no sets");
	t.same(diffPolicies(here, there, [], NOW, 100).changed, ["Gateway edge, region: eu → us"]);
	t.end();
});

const shop = service("shop", [variant("v1", 1)], { access: null });
const tableOf = (rules: Rules, of = shop) => accessTable(of, set(rules).accessPolicies, []);
const opened = (before: Rules, after: Rules, of = shop): readonly string[] =>
	openings(tableOf(before, of), tableOf(after, of)).map(({ policy, what }) => `${policy?.name ?? "-"}: ${what}`);

t.test("openings: what lets nobody in anew is none, under whatever name", (t) => {
	const [all, below] = [
		{ ...ALL, methods: ["GET"] },
		{ ...ALL, methods: ["GET"], pathPrefixes: ["/v2"] },
	];
	const more = "it lets in more than the rules of now";
	const lost = "what it denies is denied no more";
	t.same(opened({ a: ["allow", all] }, { b: ["allow", all] }), []);
	t.same(opened({ a: ["allow", all] }, { b: ["allow", ALL] }), [`b: ${more}`]);
	t.same(
		opened({ a: ["allow", {}] }, { b: ["allow", ALL] }),
		[`b: ${more}`],
		"an allow that names nobody is for nobody",
	);
	t.same(opened({ a: ["allow", { ...all, mode: "shadow" }] }, { a: ["allow", all] }), [`a: ${more}`]);
	t.same(
		opened({ a: ["allow", all], d: ["deny", below] }, { a: ["allow", all], e: ["deny", { pathPrefixes: ["/v2"] }] }),
		[],
		"a wider denial",
	);
	t.same(opened({ a: ["allow", all], d: ["deny", {}] }, { a: ["allow", all], d: ["deny", below] }), [`d: ${lost}`]);
	t.same(opened({ d: ["deny", {}] }, { b: ["allow", ALL], d: ["deny", {}] }), [], "an allow that a denial keeps out");
	t.same(opened({ a: ["allow", all], d: ["deny", below] }, {}), [], "where nothing allows no denial is missed");
	t.match(opened({ a: ["allow", below], b: ["allow", all] }, { b: ["allow", all] }), [/^-: paths/]);
	t.match(opened({ a: ["allow", { users: ["*"] }], b: ["allow", all] }, { b: ["allow", all] }), [/^-: tokens/]);
	const open = service("shop", [variant("v1", 1)], { access: "open" });
	t.match(opened({ a: ["allow", all] }, {}, open), [/^-: no rule is left/]);
	t.same(opened({}, { a: ["allow", ALL] }, open), [], "anyone could");
	const many: Rules = Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`p${at}`, ["allow", all]] as const));
	t.same(opened(many, { ...many, p0: ["allow", below] }), [], "of many, its own former self is asked");
	t.same(opened(many, { ...many, q: ["allow", all] }), [], "and the others");
	t.end();
});

t.test("what lets in less is named too, where no request shows it", (t) => {
	const level: Spec = { ...ALL, condition: "user.claims.level > 3" };
	const staff: Rules = { staff: ["allow", { ...ALL, groups: ["staff"], methods: ["GET"] }] };
	const cases: Readonly<Record<string, [Rules, Rules, readonly string[]]>> = {
		"an allow with a condition, removed": [
			{ ...staff, seniors: ["allow", level] },
			staff,
			["allow removed: seniors, of Service shop"],
		],
		"tried only, from now on": [
			{ ...staff, seniors: ["allow", level] },
			{ ...staff, seniors: ["allow", { ...level, mode: "shadow" }] },
			["allow removed: seniors, of Service shop"],
		],
		"an allow made a deny": [
			{ ...staff, seniors: ["allow", level] },
			{ ...staff, seniors: ["deny", level] },
			["deny added: seniors, of Service shop", "allow removed: seniors, of Service shop"],
		],
		"its condition narrowed": [
			{ ...staff, seniors: ["allow", level] },
			{ ...staff, seniors: ["allow", { ...level, condition: "user.claims.level > 4" }] },
			["allow narrowed: seniors (condition), of Service shop"],
		],
		"a deny with a condition, added": [
			{ ...staff, seniors: ["allow", level] },
			{ ...staff, seniors: ["allow", level], odd: ["deny", { condition: "user.claims.level == 17" }] },
			["deny added: odd, of Service shop"],
		],
		"its condition taken away": [
			{
				...staff,
				seniors: ["allow", level],
				odd: ["deny", { methods: ["PUT"], condition: "user.claims.level == 17" }],
			},
			{ ...staff, seniors: ["allow", level], odd: ["deny", { methods: ["PUT"] }] },
			["deny widened: odd (condition), of Service shop"],
		],
		"an allow that names nobody any more": [
			{ ...staff, b: ["allow", ALL] },
			{ ...staff, b: ["allow", {}] },
			["allow removed: b, of Service shop"],
		],
	};
	for (const [name, [before, after, told]] of Object.entries(cases)) {
		t.same(diff(before, after).tightened, told, name);
		t.same(diff(before, before).tightened, [], name);
		t.equal(diff(after, before).loosened.length, told.length, `${name}: and the other way round`);
	}
	t.equal(diff({ ...staff, seniors: ["allow", level] }, staff).newlyDenied, 0, "which no request shows");
	t.same(diff({ b: ["allow", ALL] }, { b: ["allow", ALL], a: ["allow", { users: ["*"] }] }).tightened, [
		"tokens that do not hold are refused now, of Service shop",
	]);
	t.same(
		diff({ b: ["allow", ALL] }, { b: ["allow", ALL], a: ["allow", { ...ALL, pathPrefixes: ["/v2"] }] }).tightened,
		["paths that can be read in two ways are refused now, of Service shop"],
	);
	const open = (rules: Rules): ResourceSet => ({ ...set(rules), services: [service("other", [variant("v1", 1)])] });
	t.same(diffPolicies(set(staff), open({}), [], NOW, 100).tightened, [], "a Service that is gone is told as such");
	t.end();
});

const few = <Value>(values: readonly Value[], max = 2) => fc.subarray([...values], { minLength: 0, maxLength: max });

const rule = fc.record(
	{
		action: fc.constantFrom("allow" as const, "allow" as const, "deny" as const),
		mode: fc.constantFrom("enforce" as const, "enforce" as const, "enforce" as const, "shadow" as const),
		principals: few(["spiffe://a/web", "spiffe://a/web/x", "spiffe://a/*", "*", "anyone"]),
		groups: few(["red", "green", "blue"], 1),
		tenants: few(["t1", "t2"], 1),
		users: few([`${ISSUER}#ann`, `${ISSUER}#*`], 1),
		claims: few([{ claim: "org.role", values: ["admin"] }], 1),
		methods: few(["GET", "POST"], 1),
		pathPrefixes: few(["/a", "/a/b", "/b"], 1),
		pathTemplates: few(["/a/{m}", "/{n}/b", "/a/b", "/a/{m}/c"], 1),
		variants: few(["v1", "v2"], 1),
		regions: few(["eu", "us"], 1),
		schedule: fc.constantFrom(null, null, null, office("Europe/Berlin"), office("Africa/Lagos")),
		condition: fc.constantFrom(null, null, null, null, 'request.method == "GET"'),
	},
	{ requiredKeys: ["action"] },
);
type Drawn = typeof rule extends fc.Arbitrary<infer Value> ? Value : never;

const rulesOf = (drawn: readonly (Drawn | null)[]): Rules =>
	Object.fromEntries(
		drawn.flatMap((one, at) => {
			if (one === null) return [];
			const { action, ...spec } = one;
			return [[`p${at}`, [action, spec]] as const];
		}),
	) as Rules;

/** Old rules, and some of them taken away, drawn anew, or with one field drawn anew; and a new one now and then. */
const pair = fc
	.tuple(
		fc.array(rule, { minLength: 1, maxLength: 4 }),
		fc.array(rule, { minLength: 4, maxLength: 4 }),
		fc.nat(),
		fc.nat(),
	)
	.map(([before, other, at, how]): readonly [Rules, Rules] => {
		const index = at % before.length;
		const [was, drawn] = [before[index] as Drawn, other[0] as Drawn];
		const fields = Object.keys(drawn) as (keyof Drawn)[];
		const field = fields[how % fields.length] as keyof Drawn;
		const changes: readonly (Drawn | null)[] = [null, drawn, { ...was, [field]: drawn[field] }];
		const after: (Drawn | null)[] = before.map((one, n) => (n === index ? (changes[how % 3] as Drawn | null) : one));
		if (how % 5 === 0) after.push(drawn);
		return [rulesOf(before), rulesOf(after)];
	});

const TOKENS = [
	null,
	"invalid" as const,
	...[[], ["red"], ["red", "green"], ["green", "blue"], ["red", "green", "blue"]].flatMap((groups) =>
		[[], ["t1"], ["t1", "t2"]].map((tenant) => ({ iss: ISSUER, sub: "ann", groups, tenant, org: { role: "admin" } })),
	),
	{ iss: ISSUER, sub: "bob", groups: ["red"], tenant: "t2" },
];
const JULY_MONDAY = Date.UTC(2027, 6, 5);

/** All requests over a few values of each part. */
function* universe() {
	for (const principal of [null, "spiffe://a/web", "spiffe://a/web/x", "spiffe://b/job"])
		for (const token of TOKENS)
			for (const method of ["GET", "POST", "PUT"])
				for (const path of ["/", "/a", "/a/b", "/a/c", "/c/b", "/a/b/c", "/ab", "/a/%21"])
					for (const variant of [null, "v2"])
						for (const nowMs of [NOW, JULY_MONDAY + 6.5 * 3_600_000, JULY_MONDAY + 15.5 * 3_600_000])
							yield {
								service: "shop",
								host: null,
								gateway: null,
								region: null,
								principal,
								token,
								method,
								path,
								variant,
								nowMs,
							};
}

t.setTimeout(120_000);

t.test("whatever a universe of requests finds newly allowed or denied, diff tells", (t) => {
	const requests = [...universe()];
	const tally = { opened: 0, byRequest: 0, shut: 0 };
	fc.assert(
		fc.property(pair, ([before, after]) => {
			const [was, is] = [policyJudge(set(before)), policyJudge(set(after))];
			const told = diff(before, after);
			const lost = requests.find((request) => was.judge(request).allowed && !is.judge(request).allowed);
			if (lost !== undefined) tally.shut++;
			if (lost !== undefined && told.tightened.length === 0)
				throw new Error(`no rule is named: ${JSON.stringify({ before, after, lost })}`);
			const found = requests.find((request) => is.judge(request).allowed && !was.judge(request).allowed);
			if (found === undefined) return;
			tally.opened++;
			if (told.newlyAllowed > 0) tally.byRequest++;
			if (opened(before, after).length === 0)
				throw new Error(`no opening is named: ${JSON.stringify({ before, after, found })}`);
			if (told.loosened.length === 0) throw new Error(`no rule is named: ${JSON.stringify({ before, after, found })}`);
		}),
		{ numRuns: 100, seed: 11, endOnFailure: true },
	);
	t.comment(`${tally.opened} pairs let in more; ${tally.byRequest} of them shown by a request`);
	t.ok(tally.opened > 20, `${tally.opened} pairs let in more`);
	t.ok(tally.shut > 20, `${tally.shut} pairs let in less`);
	t.ok(tally.byRequest / tally.opened > 0.9, "most are shown by a request, even cut to 3,000");
	t.end();
});
