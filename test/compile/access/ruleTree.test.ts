/** The rule index is linear in size; a request tries each rule once, and no rule of other callers. */
import fc from "fast-check";
import t, { type Test } from "tap";
import { NO_MORE } from "../../../src/compile/access/rules/accessTable.js";
import { Rule } from "../../../src/compile/access/rules/rule.js";
import { RuleIndex } from "../../../src/compile/access/rules/ruleIndex.js";
import { type Below, type RuleNode, treeSteps } from "../../../src/compile/access/rules/ruleTree.js";
import type { VerifiedToken } from "../../../src/compile/access/users/token.js";
import type { AccessRequest } from "../../../src/compile/access/verdict.js";
import type { MoreConditions, PolicyTable } from "../../../src/compile/plan/compiledPlan.js";
import { finish } from "../../../src/limits/slices.js";

type RuleFields = Partial<Omit<PolicyTable, "more">> & Partial<MoreConditions>;

const CALLER = "spiffe://weir.test/a";

const ruleOf = ({ principals = [CALLER], methods = [], pathPrefixes = [], ...more }: RuleFields, order: number): Rule =>
	new Rule(
		{
			name: `p${order}`,
			action: "allow",
			principals,
			methods,
			pathPrefixes,
			variants: [],
			shadow: false,
			more: { ...NO_MORE, ...more },
		},
		order,
		"s",
	);

const texts = (prefix: string, count: number, from = 0): string[] =>
	Array.from({ length: count }, (_, at) => `${prefix}${from + at}`);
const rulesOf = (count: number, fields: (at: number) => RuleFields): Rule[] =>
	Array.from({ length: count }, (_, at) => ruleOf(fields(at), at));

const ruleTree = (rules: readonly Rule[]): RuleNode => finish(treeSteps(rules));

const filesIn = (below: Below) =>
	[
		...[below.principal, below.user, below.tenant, below.group, below.purpose, below.path],
		...[...below.segments, ...below.claims].map(({ files }) => files),
	].filter((files) => files !== null);

function sizeOf({ rules, below }: RuleNode): { nodes: number; places: number; levels: number } {
	const size = { nodes: 1, places: rules.length, levels: 0 };
	for (const node of below === null ? [] : filesIn(below).flatMap((files) => [...files.values()])) {
		const { nodes, places, levels } = sizeOf(node);
		size.nodes += nodes;
		size.places += places;
		size.levels = Math.max(size.levels, levels + 1);
	}
	return size;
}

const namesOf = ({ principals, users, groups, tenants, purposes, claims, paths }: Rule): number =>
	[principals, groups, tenants, purposes, ...claims.map(({ values }) => values)].reduce(
		(sum, one) => sum + (one?.size ?? 0),
		1 + (users?.length ?? 0) + paths.prefixes.length + paths.templates.flat().length + paths.templates.length,
	);

function isLinear(t: Test, rules: readonly Rule[], what: string): void {
	const { nodes, places, levels } = sizeOf(ruleTree(rules));
	const most = rules.reduce((sum, rule) => sum + Math.max(16, namesOf(rule)), 0);
	t.ok(places <= most, `${what}: ${places} places of rules that name ${most} things`);
	t.ok(nodes <= 1 + 5 * most && levels <= 5, `${what}: ${nodes} nodes on ${levels} levels`);
}

/** Rule i leaves out field i; all other rules share their fields. */
const alikeBut = (keys: number, places: number): Rule[] =>
	rulesOf(places + 5, (rule) => ({
		pathTemplates: texts("k", keys).map(
			(key) => `/{v}/${Array.from({ length: places }, (_, at) => (at === rule ? "{w}" : `d${at}${key}`)).join("/")}`,
		),
	}));

t.test("the index of few rules with many keys in many dimensions stays small", async (t) => {
	for (const [keys, places] of [
		[8, 6],
		[8, 7],
		[8, 14],
		[2, 15],
		[60, 14],
	] as const) {
		isLinear(t, alikeBut(keys, places), `${keys} templates of ${places} places`);
	}
	const users = (from: number) => texts("https://i.test#u", 12, from);
	const wide = rulesOf(40, (at) => ({
		principals: texts("spiffe://weir.test/c", 12, at),
		groups: texts("g", 12, at),
		tenants: texts("t", 12, at),
		purposes: texts("p", 12, at),
		users: users(at),
		claims: texts("claim", 20).map((claim) => ({ claim, values: texts("v", 12, at) })),
		pathTemplates: texts("/{a}/m", 12, at).map((path) => `${path}/{b}/infer`),
	}));
	isLinear(t, wide, "groups, tenants, users, purposes, claims and templates");
	isLinear(
		t,
		rulesOf(300, (at) => ({ principals: texts("spiffe://weir.test/c", 300), groups: texts("g", 300, at) })),
		"many callers of many groups",
	);
});

/** Counts the rules that are tried. */
function asked(rules: readonly Rule[]): { index: RuleIndex; tries: () => number } {
	let tries = 0;
	for (const rule of rules) {
		const matches = rule.matches.bind(rule);
		rule.matches = (request) => {
			tries++;
			return matches(request);
		};
	}
	return {
		index: new RuleIndex(rules),
		tries: () => {
			const now = tries;
			tries = 0;
			return now;
		},
	};
}

const tokenOf = (of: Partial<VerifiedToken>): VerifiedToken => ({
	issuer: "https://i.test",
	subject: "u1",
	claims: {},
	groups: [],
	tenants: [],
	purposes: [],
	...of,
});
const request = (of: Partial<AccessRequest>): AccessRequest => ({
	principal: CALLER,
	method: "GET",
	path: "/v",
	variant: "v1",
	token: null,
	region: null,
	nowMs: 0,
	...of,
});

t.test("a request tries each rule once, however many keys lead to it", async (t) => {
	const groups = texts("g", 300);
	const allBut = (own: string) => groups.filter((group) => group !== own);
	const { index, tries } = asked(rulesOf(300, (at) => ({ groups: allBut(`g${at}`), methods: ["PUT"] })));
	const token = tokenOf({ groups: [...groups, ...groups] });
	for (let times = 0; times < 2; times++) {
		t.equal(index.first(request({ token })), null);
		t.equal(tries(), 300, `request ${times}`);
	}
});

t.test("a request tries no rule that names only other callers", async (t) => {
	const { index, tries } = asked(
		rulesOf(1_000, (at) => ({
			principals: [`spiffe://weir.test/c${Math.floor(at / 25)}`],
			groups: [`g${at % 300}`],
			pathPrefixes: ["/v"],
			methods: ["PUT"],
		})),
	);
	const token = tokenOf({ groups: texts("g", 300) });
	t.equal(index.first(request({ principal: "spiffe://weir.test/c7", token })), null);
	t.ok(tries() <= 25);
	t.equal(index.first(request({ principal: "spiffe://weir.test/unknown", token })), null);
	t.equal(tries(), 0);
});

t.test("a rule with many names is found by each name", async (t) => {
	const { index, tries } = asked(rulesOf(100, (at) => ({ groups: texts(`own${at}-`, 40), methods: ["PUT"] })));
	t.equal(index.first(request({ token: tokenOf({ groups: ["own7-39"] }) })), null);
	t.equal(tries(), 1);
});

t.test("rules are indexed by every claim, not only the first", async (t) => {
	const claims = (own: string) => [
		{ claim: "tier", values: ["gold"] },
		{ claim: "scope", values: [own] },
	];
	const { index, tries } = asked(rulesOf(1_000, (at) => ({ principals: [], claims: claims(`s${at}`) })));
	const words = texts("q", 600);
	const found = (scope: readonly string[]) =>
		index.first(request({ token: tokenOf({ claims: { tier: "gold", scope: scope.join(" ") } }) }));
	t.equal(found(words), null);
	t.equal(tries(), 0);
	t.equal(found([...words, "s7"])?.order, 7);
	t.equal(tries(), 1);
});

const some = <T>(...of: readonly T[]) => fc.subarray([...of]);
const oneOrMore = <T>(...of: readonly T[]) => fc.subarray([...of], { minLength: 1 });
/** Most rules have few fields: rules with all of them would never match. */
const maybe = <T>(of: fc.Arbitrary<T[]>) => fc.oneof({ weight: 2, arbitrary: fc.constant<T[]>([]) }, of);
const callers = [CALLER, "spiffe://weir.test/b", "spiffe://weir.test/n/c"];
const fields: fc.Arbitrary<RuleFields> = fc.record({
	principals: maybe(oneOrMore(...callers, "spiffe://weir.test/n/*", "*", "anyone")),
	methods: maybe(oneOrMore("GET", "PUT")),
	users: maybe(oneOrMore("https://i.test#u1", "https://i.test#u2", "https://j.test#u1", "https://i.test#*", "*")),
	groups: maybe(oneOrMore("a", "b", "c")),
	tenants: maybe(oneOrMore("a", "b", "c")),
	purposes: maybe(oneOrMore("a", "b")),
	claims: maybe(
		fc
			.tuple(oneOrMore("x", "y"), oneOrMore("r", "w", "q"))
			.map(([x, scope]) => [
				{ claim: "org.x", values: x },
				{ claim: "scope", values: scope },
			])
			.chain((all) => oneOrMore(...all)),
	),
	pathPrefixes: maybe(oneOrMore("/", "/v", "/v/w", "/m-1", "/m/k", "/m", "/w")),
	pathTemplates: maybe(oneOrMore("/{x}/w", "/v/{x}", "/m/{x}/k", "/v/w", "/{x}/{y}/k", "/v/{x}/")),
});
const long = (list: readonly string[]): readonly string[] => [...list, ...texts("long", 20), ...list];
const token = fc
	.record({
		subject: fc.constantFrom("u1", "u2", null),
		issuer: fc.constantFrom("https://i.test", "https://j.test"),
		groups: some("a", "b", "c"),
		tenants: some("a", "b", "c"),
		purposes: some("a", "b"),
		x: some("x", "y"),
		scope: some("r", "w", "q"),
		isLong: fc.boolean(),
	})
	.map(({ x, scope, isLong, groups, ...rest }) =>
		tokenOf({
			...rest,
			groups: isLong ? long(groups) : groups,
			claims: { org: { x }, scope: (isLong ? long(scope) : scope).join(" ") },
		}),
	);
const requests = fc
	.record({
		principal: fc.constantFrom(...callers, null),
		method: fc.constantFrom("GET", "PUT"),
		path: fc.constantFrom("/v", "/v/w", "/m-1/w", "/m/k/k", "/m/k", "/w/", "/v/w/k", "/", "/mm"),
		token: fc.oneof(fc.constant(null), token),
	})
	.map(request);

t.test("the index finds the same first rule as trying all rules in order", async (t) => {
	let matched = 0;
	fc.assert(
		fc.property(
			fc.array(fields, { minLength: 5, maxLength: 40 }),
			fc.array(requests, { minLength: 5, maxLength: 10 }),
			(declared, asks) => {
				const rules = declared.map(ruleOf);
				const index = new RuleIndex(rules);
				return asks.every((one) => {
					const found = rules.find((rule) => naive(declared[rule.order] ?? {}, one)) ?? null;
					if (found !== null) matched++;
					return (
						index.first(one) === found &&
						rules.every((rule) => rule.matches(one) === naive(declared[rule.order] ?? {}, one))
					);
				});
			},
		),
		{ numRuns: 1_500 },
	);
	t.ok(matched > 1_000, `${matched} matched`);
});

/** Evaluates the declaration without an index. */
function naive(rule: RuleFields, { principal, method, path, token }: AccessRequest): boolean {
	const any = <T>(list: readonly T[] | undefined, holds: (one: T) => boolean) =>
		list === undefined || list.length === 0 || list.some(holds);
	const under = (prefix: string) => path === prefix || path.startsWith(prefix === "/" ? "/" : `${prefix}/`);
	const like = (template: string) => new RegExp(`^${template.replaceAll(/\{.\}/g, "[^/]+")}$`).test(path);
	const { users = [], groups, tenants, purposes, claims = [], pathPrefixes = [], pathTemplates = [] } = rule;
	const words = (claim: string): readonly string[] =>
		claim === "scope"
			? String(token?.claims.scope).split(" ")
			: ((token?.claims.org as { x: readonly string[] } | undefined)?.x ?? []);
	const user = (one: string) =>
		token?.subject != null &&
		(one === "*" || one === `${token.issuer}#*` || one === `${token.issuer}#${token.subject}`);
	return (
		any(rule.methods, (one) => one === method) &&
		any(
			rule.principals,
			(one) =>
				one === "anyone" ||
				(principal !== null &&
					(one === "*" || one === principal || (one.endsWith("/*") && principal.startsWith(one.slice(0, -1))))),
		) &&
		(pathPrefixes.length + pathTemplates.length === 0 || pathPrefixes.some(under) || pathTemplates.some(like)) &&
		any(users, user) &&
		any(groups, (one) => token?.groups.includes(one) === true) &&
		any(tenants, (one) => token?.tenants.includes(one) === true) &&
		any(purposes, (one) => token?.purposes.includes(one) === true) &&
		claims.every(({ claim, values }) => token !== null && values.some((one) => words(claim).includes(one)))
	);
}

t.test("after request numbers wrap around, a rule last tried under the same number is tried again", async (t) => {
	const callers = texts("spiffe://weir.test/c", 10);
	const index = new RuleIndex(
		rulesOf(callers.length, (at) => ({ principals: texts("spiffe://weir.test/c", 1, at) })),
		callers.length,
	);
	for (let round = 0; round < 3; round++)
		t.same(
			callers.map((principal) => index.first(request({ principal }))?.order),
			callers.map((_, at) => at),
		);
});
