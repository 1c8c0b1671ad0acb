/** The unit of an Experiment: exactly one source, each in its own form, and a claim only where tokens are verified. */

import t from "tap";
import { COOKIE_AGE_MS_MAX } from "../../../src/declare/resources/fields/unitSource.js";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { experiment, GOOD, spoil } from "./declaration.js";
import { checkRows, problemsOf, type Row } from "./faultTable.js";

const SOURCES = "write unit: {header: x-user-id}, {claim: sub} or {cookie: {name: weir_id}}";
const HEADER = "write the name of a request header that carries a user or tenant id, such as x-user-id";
const CLAIM = "write the name of a claim such as sub, or a path such as org.tenant";
const COOKIE = "write the name of a cookie such as weir_id: letters, digits, hyphens and underscores";
const DURATION = "write whole numbers with units d, h, m, s, ms, largest first, such as 10s, 1500ms or 1m30s";

const TOKENS = "  port: 8080\n  tokens: [{issuer: a, audiences: [b], jwksFile: keys.json}]";
const verifying = spoil("  port: 8080", TOKENS);
const unit = (written: string, text = GOOD): string => spoil("{header: x-user-id}", written, text);
const long = "c".repeat(65);

const rows: readonly Row[] = [
	["no source", unit("{}"), [`w.yaml:46:9: spec.unit names no source; ${SOURCES}`]],
	[
		"header and claim",
		unit("{header: x-user-id, claim: sub}", verifying),
		[`w.yaml:47:9: spec.unit names more than one source; ${SOURCES}`],
	],
	[
		"claim and cookie",
		unit("{claim: sub, cookie: {name: a}}", verifying),
		[`w.yaml:47:9: spec.unit names more than one source; ${SOURCES}`],
	],
	[
		"all three sources",
		unit("{header: x-user-id, claim: sub, cookie: {name: a}}", verifying),
		[`w.yaml:47:9: spec.unit names more than one source; ${SOURCES}`],
	],
	["a word", unit("x-user-id"), [`w.yaml:46:9: spec.unit is "x-user-id"; ${SOURCES}`]],
	["a list", unit("[header, x-user-id]"), [`w.yaml:46:9: spec.unit is a list of 2; ${SOURCES}`]],
	["nothing", unit("null"), [`w.yaml:46:9: spec.unit is empty; ${SOURCES}`]],
	[
		"unknown field beside a source",
		unit("{header: x-user-id, colour: red}"),
		["w.yaml:46:29: unknown field spec.unit.colour; known fields: header, claim, cookie"],
	],
	[
		"mistyped source: said once, not as a missing one too",
		unit("{cookei: {name: weir_id}}"),
		['w.yaml:46:10: unknown field spec.unit.cookei; did you mean "cookie"? known fields: header, claim, cookie'],
	],
	["empty header", unit('{header: ""}'), [`w.yaml:46:18: spec.unit.header is "", no valid header name; ${HEADER}`]],
	["header that is nothing", unit("{header: null}"), [`w.yaml:46:18: spec.unit.header is empty; ${HEADER}`]],
	["empty claim", unit('{claim: ""}', verifying), [`w.yaml:47:17: spec.unit.claim is ""; ${CLAIM}`]],
	[
		"claim that is a number",
		unit("{claim: 7}", verifying),
		[`w.yaml:47:17: spec.unit.claim is the number 7; ${CLAIM}`],
	],
	[
		"claim that is a list",
		unit("{claim: [sub]}", verifying),
		[`w.yaml:47:17: spec.unit.claim is a list of 1; ${CLAIM}`],
	],
	["claim with a space", unit("{claim: a b}", verifying), [`w.yaml:47:17: spec.unit.claim is "a b"; ${CLAIM}`]],
	[
		"claim that is an address",
		unit('{claim: "a:/b"}', verifying),
		[`w.yaml:47:17: spec.unit.claim is "a:/b"; ${CLAIM}`],
	],
	["claim with an empty step", unit("{claim: a..b}", verifying), [`w.yaml:47:17: spec.unit.claim is "a..b"; ${CLAIM}`]],
	[
		"claim of five steps",
		unit("{claim: a.b.c.d.e}", verifying),
		[`w.yaml:47:17: spec.unit.claim is "a.b.c.d.e"; ${CLAIM}`],
	],
	[
		"claim of 65 characters",
		unit(`{claim: ${long}}`, verifying),
		[`w.yaml:47:17: spec.unit.claim is "${long}"; ${CLAIM}`],
	],
	["claim of four steps", unit("{claim: a.b.c.d}", verifying), []],
	["claim of capitals and marks", unit("{claim: https_Tenant-Id}", verifying), []],
	[
		"cookie that is a word",
		unit("{cookie: weir_id}"),
		['w.yaml:46:18: spec.unit.cookie is "weir_id"; write cookie: {name: weir_id}'],
	],
	["cookie without a name", unit("{cookie: {}}"), [`w.yaml:46:18: spec.unit.cookie.name is missing; ${COOKIE}`]],
	[
		"cookie name with a space",
		unit('{cookie: {name: "a b"}}'),
		[`w.yaml:46:25: spec.unit.cookie.name is "a b"; ${COOKIE}`],
	],
	["cookie name with =", unit("{cookie: {name: a=b}}"), [`w.yaml:46:25: spec.unit.cookie.name is "a=b"; ${COOKIE}`]],
	["cookie name with ;", unit('{cookie: {name: "a;b"}}'), [`w.yaml:46:25: spec.unit.cookie.name is "a;b"; ${COOKIE}`]],
	["empty cookie name", unit('{cookie: {name: ""}}'), [`w.yaml:46:25: spec.unit.cookie.name is ""; ${COOKIE}`]],
	[
		"cookie name that is a number",
		unit("{cookie: {name: 7}}"),
		[`w.yaml:46:25: spec.unit.cookie.name is the number 7; ${COOKIE}`],
	],
	[
		"cookie name of 65 characters",
		unit(`{cookie: {name: ${long}}}`),
		[`w.yaml:46:25: spec.unit.cookie.name is "${long}"; ${COOKIE}`],
	],
	[
		"unknown field of a cookie",
		unit("{cookie: {name: id, path: /}}"),
		["w.yaml:46:29: unknown field spec.unit.cookie.path; known fields: name, maxAge"],
	],
	[
		"mistyped field of a cookie",
		unit("{cookie: {name: id, maxage: 1d}}"),
		['w.yaml:46:29: unknown field spec.unit.cookie.maxage; did you mean "maxAge"? known fields: name, maxAge'],
	],
	[
		"maxAge above a leap year",
		unit("{cookie: {name: id, maxAge: 8785h}}"),
		['w.yaml:46:37: spec.unit.cookie.maxAge is "8785h"; write at most 366d'],
	],
	[
		"maxAge of centuries",
		unit("{cookie: {name: id, maxAge: 40000d}}"),
		['w.yaml:46:37: spec.unit.cookie.maxAge is "40000d"; write at most 366d'],
	],
	[
		"maxAge of zero",
		unit("{cookie: {name: id, maxAge: 0s}}"),
		['w.yaml:46:37: spec.unit.cookie.maxAge is "0s"; write a duration above 0'],
	],
	[
		"maxAge below a second, which would take the cookie away",
		unit("{cookie: {name: id, maxAge: 500ms}}"),
		['w.yaml:46:37: spec.unit.cookie.maxAge is "500ms"; write whole seconds, such as 90d'],
	],
	[
		"maxAge that is a number",
		unit("{cookie: {name: id, maxAge: 90}}"),
		[`w.yaml:46:37: spec.unit.cookie.maxAge is the number 90; ${DURATION}`],
	],
	["maxAge of a leap year", unit("{cookie: {name: __Host-id, maxAge: 366d}}"), []],
	[
		"claim without tokens",
		unit("{claim: sub}"),
		["w.yaml:46:17: claim sub is the unit, but Gateway public verifies no tokens; add spec.tokens to the Gateway"],
	],
	[
		"claim with tokens at one of two Gateways",
		`${unit("{claim: sub}", verifying)}---\napiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: inner}\nspec: {port: 1}\n`,
		["w.yaml:47:17: claim sub is the unit, but Gateway inner verifies no tokens; add spec.tokens to the Gateway"],
	],
	[
		"claim of tokens whose proof nobody looks at",
		unit("{claim: sub}", spoil("jwksFile: keys.json", "jwksFile: keys.json, binding: dpop", verifying)),
		[
			"w.yaml:47:17: claim sub is the unit, but all tokens at Gateway public need a proof of possession, which is not checked: no enforced AccessPolicy of Service employment is about users; name users, groups, tenants, purposes or claims in one, or add an issuer with binding: none",
		],
	],
	[
		"claim of tokens of which some need no proof",
		unit(
			"{claim: sub}",
			spoil(
				"jwksFile: keys.json",
				"jwksFile: keys.json, binding: mtls}, {issuer: c, audiences: [b], jwksFile: keys.json",
				verifying,
			),
		),
		[],
	],
	[
		"claim of bound tokens where users are judged",
		`${unit("{claim: sub}", spoil("  access: open\n", "", spoil("jwksFile: keys.json", "jwksFile: keys.json, binding: dpop", verifying)))}---\napiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: users}\nspec: {action: allow, services: [employment], users: ['*']}\n`,
		[],
	],
	[
		"claim, and a Gateway that did not parse: that alone is said",
		unit("{claim: sub}", spoil("  port: 8080", "  port: x")),
		['w.yaml:18:9: spec.port is "x"; write a whole number from 0 to 65535'],
	],
];

checkRows(t, rows);

t.test("each source in its complete form", async (t) => {
	const sourceOf = (text: string) => {
		const { resources, problems } = loadResources([{ name: "w.yaml", text }]);
		t.same(problems, []);
		return resources.experiments[0]?.spec.unit;
	};
	t.same(sourceOf(unit("{header: X-Tenant}")), { from: "header", header: "x-tenant" });
	t.same(sourceOf(unit("{claim: org.tenantId}", verifying)), { from: "claim", claim: "org.tenantId" });
	const quarter = 90 * 24 * 3_600_000;
	t.same(sourceOf(unit("{cookie: {name: weir_id}}")), { from: "cookie", cookie: "weir_id", maxAgeMs: quarter });
	t.same(sourceOf(unit("{cookie: {name: ID, maxAge: 366d}}")), {
		from: "cookie",
		cookie: "ID",
		maxAgeMs: COOKIE_AGE_MS_MAX,
	});
});

t.test("two units in one layer of a Service: sources are compared, not only names", async (t) => {
	const half = spoil("[0%, 100%]", "[0%, 50%]", verifying);
	const second = experiment("second", { layer: "{name: models, slot: [50%, 100%]}" });
	const both = (first: string, other: string) => problemsOf(unit(first, half) + unit(other, second));
	const apart = (what: string) => [
		`w.yaml:69:9: unit ${what} of Experiment boosted-vs-logistic in the same layer and Service; use one unit per layer of a Service`,
	];
	t.same(both("{header: sub}", "{claim: sub}"), apart("claim sub differs from header sub"));
	t.same(both("{claim: sub}", "{cookie: {name: sub}}"), apart("cookie sub differs from claim sub"));
	t.same(both("{claim: sub}", "{claim: sub}"), []);
	t.same(
		both("{cookie: {name: id, maxAge: 1d}}", "{cookie: {name: id, maxAge: 2d}}"),
		[],
		"how long a browser keeps an id changes no unit",
	);
});
