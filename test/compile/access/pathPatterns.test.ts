/** Compares path pattern sets with single patterns, and the rule index with rules in order; bounds the cost of long paths. */
import fc from "fast-check";
import t from "tap";
import { fitsSegments, templateSegments, underPrefix } from "../../../src/compile/access/requests/path.js";
import { NO_MORE } from "../../../src/compile/access/rules/accessTable.js";
import { PathPatterns } from "../../../src/compile/access/rules/pathPatterns.js";
import { Rule } from "../../../src/compile/access/rules/rule.js";
import { RuleIndex } from "../../../src/compile/access/rules/ruleIndex.js";
import type { AccessRequest } from "../../../src/compile/access/verdict.js";
import type { PolicyTable } from "../../../src/compile/plan/compiledPlan.js";
import { PATH_TEMPLATE_CHARS_MAX } from "../../../src/limits/index.js";

const segment = fc.constantFrom("a", "b", "ab", "c", "", "a-b", "a!", "a0");
const path = fc.oneof(
	fc.array(segment, { maxLength: 6 }).map((all) => `/${all.join("/")}`),
	fc.constantFrom("", "a", "a/b", "//", "/a/b/c/"),
);
const template = fc
	.array(fc.constantFrom("a", "b", "ab", "{x}", "{y}"), { minLength: 1, maxLength: 5 })
	.chain((all) => fc.constantFrom(`/${all.join("/")}`, `/${all.join("/")}/`));
/** Some that come before a slash in the order of texts, and some after it. */
const prefix = fc
	.array(fc.constantFrom("a", "b", "ab", "a-b", "a!", "a0"), { maxLength: 3 })
	.map((all) => `/${all.join("/")}`);

t.test("a set of templates and prefixes matches if one of them matches", async (t) => {
	const patterns = fc.tuple(
		fc.oneof(fc.array(prefix, { maxLength: 1 }), fc.array(prefix, { maxLength: 12 })),
		fc.oneof(fc.constant<string[]>([]), fc.array(template, { maxLength: 12 })),
	);
	fc.assert(
		fc.property(patterns, path, ([prefixes, templates], asked) => {
			const none = prefixes.length + templates.length === 0;
			const expected =
				none ||
				prefixes.some((one) => underPrefix(asked, one)) ||
				templates.some((one) => fitsSegments(asked, templateSegments(one)));
			return new PathPatterns(prefixes, templates).fits(asked) === expected;
		}),
		{ numRuns: 20_000 },
	);
	const long = "a".repeat(600);
	t.ok(new PathPatterns([], ["/{x}"]).fits(`/${long}`), "one long segment");
	t.notOk(new PathPatterns([], ["/{x}"]).fits(`/${long}/`));
	t.notOk(new PathPatterns([], ["/{x}"]).fits(`/${"/a".repeat(600)}`));
});

t.test("templates may have the maximum number of segments", async (t) => {
	const deepest = PATH_TEMPLATE_CHARS_MAX / 2;
	for (const depth of [19, 20, 21, 200, deepest]) {
		for (const count of [1, 8]) {
			const of = (end: string): string => `${"/a".repeat(depth - 1)}/${end}`;
			const patterns = new PathPatterns(
				[],
				Array.from({ length: count }, (_, at) => of(`${at}`)),
			);
			t.ok(patterns.fits(of("0")), `${count} of ${depth} segments`);
			for (const other of [of("x"), `${of("0")}/`, `${of("0")}/a`, of("0").slice(2)]) t.notOk(patterns.fits(other));
		}
	}
});

t.test("few of many similar prefixes are compared with a path", async (t) => {
	const alike = `/${"v".repeat(500)}`;
	const patterns = new PathPatterns(
		Array.from({ length: 20_000 }, (_, at) => `${alike}${at}`),
		[],
	);
	t.ok(patterns.fits(`${alike}19999/x`));
	const before = process.cpuUsage();
	for (let asked = 0; asked < 300; asked++) if (patterns.fits(`${alike}x${asked}`)) t.fail("is under none");
	const { user, system } = process.cpuUsage(before);
	// 2 ms; one by one it would be half a second.
	t.ok(user + system < 100_000, `${user + system} µs`);
});

const policyOf = (
	order: number,
	prefixes: readonly string[],
	templates: readonly string[],
	deny: boolean,
): PolicyTable => ({
	name: `p${order}`,
	action: deny ? "deny" : "allow",
	principals: ["anyone"],
	methods: [],
	pathPrefixes: prefixes,
	variants: [],
	shadow: false,
	more: templates.length === 0 ? null : { ...NO_MORE, pathTemplates: templates },
});

const request = (asked: string): AccessRequest => ({
	principal: "spiffe://weir.test/a",
	method: "GET",
	path: asked,
	variant: "v1",
	token: null,
	region: null,
	nowMs: 0,
});

t.test("the index finds the first rule that matches", async (t) => {
	const paths = fc.oneof(
		{
			weight: 1,
			arbitrary: fc.tuple(fc.array(prefix, { minLength: 1, maxLength: 2 }), fc.array(template, { maxLength: 2 })),
		},
		{ weight: 4, arbitrary: fc.tuple(fc.constant<string[]>([]), fc.array(template, { minLength: 1, maxLength: 3 })) },
	);
	const rules = fc.array(paths, { minLength: 5, maxLength: 20 });
	fc.assert(
		fc.property(rules, fc.array(path, { minLength: 3, maxLength: 6 }), (declared, asked) => {
			const all = declared.map(
				([prefixes, templates], at) => new Rule(policyOf(at, prefixes, templates, false), at, "s"),
			);
			const index = new RuleIndex(all);
			return asked.every((one) => {
				const found = all.find((rule) => rule.matches(request(one))) ?? null;
				return index.first(request(one)) === found;
			});
		}),
		{ numRuns: 3_000 },
	);
	t.pass();
});

t.test("a path of 60 KiB costs no more than a short one", async (t) => {
	const long = ["/a".repeat(29_500), `/${"a".repeat(59_000)}`, `/x/${"a/".repeat(29_000)}`, "/".repeat(59_000)];
	for (const [rules, templates] of [
		[3_000, 5],
		[3_000, 4],
		[1, 10_000],
	] as const) {
		const all = Array.from({ length: rules }, (_, at) => {
			const own = Array.from({ length: templates }, (_, one) => `/{x}/{y}/p${at}-${one}`);
			return new Rule(policyOf(at, [], own, false), at, "s");
		});
		const index = new RuleIndex(all);
		for (const asked of long) {
			index.first(request(asked));
			const before = process.cpuUsage();
			t.equal(index.first(request(asked)), null);
			for (const rule of all) rule.matches(request(asked));
			const { user, system } = process.cpuUsage(before);
			// All rules one by one take a millisecond; with a look through the path for each it was seconds.
			t.ok(user + system < 200_000, `${rules} rules of ${templates}: ${user + system} µs`);
		}
	}
});
