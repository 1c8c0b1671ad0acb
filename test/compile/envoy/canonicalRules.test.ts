/** Parts of a request that the canonical rule checks; test/attack/http1 shows its refusals. */
import t from "tap";
import {
	BAD_PATH,
	BAD_UTF8_PATH,
	GOOD_AUTHORIZATION,
	GOOD_DPOP,
	GOOD_ESCAPES,
	GOOD_HOST,
	GOOD_METHOD,
	GOOD_PATH,
	GOOD_SCHEME,
	OVERRIDE_HEADERS,
	OVERRIDE_QUERY,
	REFUSED_METHODS,
} from "../../../src/compile/access/requests/canonical.js";
import { AMBIGUOUS_PATH_PARTS, ESCAPED_UNRESERVED } from "../../../src/compile/access/rules/policy.js";
import { ambiguousPaths, longPaths, notCanonicalRules, strangePaths } from "../../../src/compile/envoy/canonical.js";

const header = (name: string, matcher: object) => ({ header: { name, ...matcher } });
const present = (name: string) => header(name, { present_match: true });
const not = (name: string, regex: string) => ({
	not_rule: header(name, { string_match: { safe_regex: { regex } } }),
});
const path = (matcher: object) => ({ url_path: { path: matcher } });
const all = (...rules: readonly object[]) => ({ and_rules: { rules } });
const any = (...rules: readonly object[]) => ({ or_rules: { rules } });
const escaped = (...matchers: readonly object[]) =>
	all(path({ contains: "%" }), any(...matchers.map((one) => ("not_rule" in one ? one : path(one)))));

/** Where there is no escape, GOOD_PATH and BAD_PATH say it. */
const AMBIGUOUS = AMBIGUOUS_PATH_PARTS.filter((part) => part.includes("%"));

const always = [
	not(":path", GOOD_PATH),
	path({ safe_regex: { regex: BAD_PATH } }),
	header(":path", { string_match: { safe_regex: { regex: OVERRIDE_QUERY } } }),
	not(":method", GOOD_METHOD),
	...REFUSED_METHODS.map((exact) => header(":method", { string_match: { exact } })),
	not(":authority", GOOD_HOST),
	all(present("authorization"), not("authorization", GOOD_AUTHORIZATION)),
	all(header("authorization", { string_match: { contains: "," } }), not("authorization", GOOD_SCHEME)),
	all(present("dpop"), not("dpop", GOOD_DPOP)),
	...[...OVERRIDE_HEADERS, "x-weir-arm", "x-weir-variant", "x-weir-decision"].map(present),
];

const rulesOf = (judgesPaths: boolean) =>
	notCanonicalRules(judgesPaths) as Readonly<Record<string, { readonly permissions: readonly object[] }>>;
const utf8 = { safe_regex: { regex: BAD_UTF8_PATH } };
const misfit = { not_rule: path({ safe_regex: { regex: GOOD_ESCAPES } }) };
const anybody = [{ any: true }];
const urlPath = { select_expr: { operand: { ident_expr: { name: "request" } }, field: "url_path" } };
const size = { call_expr: { function: "size", args: [urlPath] } };
const tooLong = {
	...{ permissions: [path({ safe_regex: { regex: "[!-~]{80}[!-~]*" } })], principals: anybody },
	condition: { call_expr: { function: "_>_", args: [size, { const_expr: { int64_value: "2048" } }] } },
};
const unreserved = { safe_regex: { regex: `[!-~]*${ESCAPED_UNRESERVED}[!-~]*` } };

for (const judgesPaths of [false, true]) {
	t.test(
		judgesPaths ? "the canonical rule if policies read paths" : "the canonical rule if none reads paths",
		async (t) => {
			const permissions = rulesOf(judgesPaths)["(not canonical)"]?.permissions ?? [];
			const escapes = permissions.filter((one) => JSON.stringify(one).includes('"contains":"%"'));
			t.same(
				permissions.filter((one) => !escapes.includes(one)),
				always,
			);
			const ambiguous = judgesPaths ? AMBIGUOUS.map((contains) => ({ contains, ignore_case: true })) : [];
			const long = rulesOf(judgesPaths)["(not canonical, path length)"];
			t.same(long, judgesPaths ? tooLong : undefined);
			t.same(escapes, [escaped(utf8, misfit, ...(judgesPaths ? [unreserved] : []), ...ambiguous)]);
		},
	);
}

t.test("a dry run of policies that read paths refuses only ambiguous paths", async (t) => {
	const plain = AMBIGUOUS_PATH_PARTS.filter((part) => !part.includes("%")).map((contains) => path({ contains }));
	const escapes = AMBIGUOUS.map((contains) => ({ contains, ignore_case: true }));
	const strange = not(":path", GOOD_PATH);
	t.same(ambiguousPaths(), { permissions: [strange, ...plain, escaped(unreserved, ...escapes)], principals: anybody });
	t.same(strangePaths(), { permissions: [strange], principals: anybody });
	t.same(longPaths(), tooLong);
});

t.test("two proofs are one header with several values, which only CEL sees as a list", async (t) => {
	const { permissions, condition } = rulesOf(false)["(not canonical, DPoP)"] as {
		readonly permissions: readonly object[];
		readonly condition?: unknown;
	};
	t.same(permissions, [present("dpop")]);
	const headers = { select_expr: { operand: { ident_expr: { name: "request" } }, field: "headers" } };
	const value = { call_expr: { function: "_[_]", args: [headers, { const_expr: { string_value: "dpop" } }] } };
	const comma = [{ const_expr: { string_value: "," } }];
	t.same(condition, { call_expr: { target: value, function: "contains", args: comma } });
});
