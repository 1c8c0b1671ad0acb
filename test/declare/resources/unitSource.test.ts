/** The unit of an Experiment: exactly one source, each in its own form, and a claim only where tokens are verified. */

import t from "tap";
import { COOKIE_AGE_MS_MAX } from "../../../src/declare/resources/fields/unitSource.js";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { experiment, GOOD, spoil } from "./declaration.js";
import { checkRows, type Row, shortProblemsOf } from "./faultTable.js";

const TOKENS = "  port: 8080\n  tokens: [{issuer: a, audiences: [b], jwksFile: keys.json}]";
const verifying = spoil("  port: 8080", TOKENS);
const unit = (written: string, text = GOOD): string => spoil("{header: x-user-id}", written, text);
const long = "c".repeat(65);

const rows: readonly Row[] = [
	["no source", unit("{}"), [`w.yaml:46:9: spec.unit names no source`]],
	[
		"header and claim",
		unit("{header: x-user-id, claim: sub}", verifying),
		[`w.yaml:47:9: spec.unit names more than one source`],
	],
	[
		"claim and cookie",
		unit("{claim: sub, cookie: {name: a}}", verifying),
		[`w.yaml:47:9: spec.unit names more than one source`],
	],
	[
		"all three sources",
		unit("{header: x-user-id, claim: sub, cookie: {name: a}}", verifying),
		[`w.yaml:47:9: spec.unit names more than one source`],
	],
	["a word", unit("x-user-id"), [`w.yaml:46:9: spec.unit is "x-user-id"`]],
	["a list", unit("[header, x-user-id]"), [`w.yaml:46:9: spec.unit is a list of 2`]],
	["nothing", unit("null"), [`w.yaml:46:9: spec.unit is empty`]],
	[
		"unknown field beside a source",
		unit("{header: x-user-id, colour: red}"),
		["w.yaml:46:29: unknown field spec.unit.colour"],
	],
	[
		"mistyped source: reported once, not also as missing",
		unit("{cookei: {name: weir_id}}"),
		["w.yaml:46:10: unknown field spec.unit.cookei"],
	],
	["empty header", unit('{header: ""}'), [`w.yaml:46:18: spec.unit.header is "", no valid header name`]],
	["header that is nothing", unit("{header: null}"), [`w.yaml:46:18: spec.unit.header is empty`]],
	["empty claim", unit('{claim: ""}', verifying), [`w.yaml:47:17: spec.unit.claim is ""`]],
	["claim that is a number", unit("{claim: 7}", verifying), [`w.yaml:47:17: spec.unit.claim is the number 7`]],
	["claim that is a list", unit("{claim: [sub]}", verifying), [`w.yaml:47:17: spec.unit.claim is a list of 1`]],
	["claim with a space", unit("{claim: a b}", verifying), [`w.yaml:47:17: spec.unit.claim is "a b"`]],
	["claim that is an address", unit('{claim: "a:/b"}', verifying), [`w.yaml:47:17: spec.unit.claim is "a:/b"`]],
	["claim with an empty step", unit("{claim: a..b}", verifying), [`w.yaml:47:17: spec.unit.claim is "a..b"`]],
	["claim of five steps", unit("{claim: a.b.c.d.e}", verifying), [`w.yaml:47:17: spec.unit.claim is "a.b.c.d.e"`]],
	["claim of 65 characters", unit(`{claim: ${long}}`, verifying), [`w.yaml:47:17: spec.unit.claim is "${long}"`]],
	["claim of four steps", unit("{claim: a.b.c.d}", verifying), []],
	["claim of capitals and marks", unit("{claim: https_Tenant-Id}", verifying), []],
	["cookie that is a word", unit("{cookie: weir_id}"), ['w.yaml:46:18: spec.unit.cookie is "weir_id"']],
	["cookie without a name", unit("{cookie: {}}"), [`w.yaml:46:18: spec.unit.cookie.name is missing`]],
	["cookie name with a space", unit('{cookie: {name: "a b"}}'), [`w.yaml:46:25: spec.unit.cookie.name is "a b"`]],
	["cookie name with =", unit("{cookie: {name: a=b}}"), [`w.yaml:46:25: spec.unit.cookie.name is "a=b"`]],
	["cookie name with ;", unit('{cookie: {name: "a;b"}}'), [`w.yaml:46:25: spec.unit.cookie.name is "a;b"`]],
	["empty cookie name", unit('{cookie: {name: ""}}'), [`w.yaml:46:25: spec.unit.cookie.name is ""`]],
	[
		"cookie name that is a number",
		unit("{cookie: {name: 7}}"),
		[`w.yaml:46:25: spec.unit.cookie.name is the number 7`],
	],
	[
		"cookie name of 65 characters",
		unit(`{cookie: {name: ${long}}}`),
		[`w.yaml:46:25: spec.unit.cookie.name is "${long}"`],
	],
	[
		"unknown field of a cookie",
		unit("{cookie: {name: id, path: /}}"),
		["w.yaml:46:29: unknown field spec.unit.cookie.path"],
	],
	[
		"mistyped field of a cookie",
		unit("{cookie: {name: id, maxage: 1d}}"),
		["w.yaml:46:29: unknown field spec.unit.cookie.maxage"],
	],
	[
		"maxAge above a leap year",
		unit("{cookie: {name: id, maxAge: 8785h}}"),
		['w.yaml:46:37: spec.unit.cookie.maxAge is "8785h"'],
	],
	[
		"maxAge of centuries",
		unit("{cookie: {name: id, maxAge: 40000d}}"),
		['w.yaml:46:37: spec.unit.cookie.maxAge is "40000d"'],
	],
	["maxAge of zero", unit("{cookie: {name: id, maxAge: 0s}}"), ['w.yaml:46:37: spec.unit.cookie.maxAge is "0s"']],
	[
		"maxAge below a second, which would take the cookie away",
		unit("{cookie: {name: id, maxAge: 500ms}}"),
		['w.yaml:46:37: spec.unit.cookie.maxAge is "500ms"'],
	],
	[
		"maxAge that is a number",
		unit("{cookie: {name: id, maxAge: 90}}"),
		[`w.yaml:46:37: spec.unit.cookie.maxAge is the number 90`],
	],
	["maxAge of a leap year", unit("{cookie: {name: __Host-id, maxAge: 366d}}"), []],
	[
		"claim without tokens",
		unit("{claim: sub}"),
		["w.yaml:46:17: claim sub is the unit, but Gateway public verifies no tokens"],
	],
	[
		"claim with tokens at one of two Gateways",
		`${unit("{claim: sub}", verifying)}---\napiVersion: weir.dev/v1alpha1\nkind: Gateway\nmetadata: {name: inner}\nspec: {port: 1}\n`,
		["w.yaml:47:17: claim sub is the unit, but Gateway inner verifies no tokens"],
	],
	[
		"claim of tokens whose proof is not verified",
		unit("{claim: sub}", spoil("jwksFile: keys.json", "jwksFile: keys.json, binding: dpop", verifying)),
		[
			"w.yaml:47:17: claim sub is the unit, but all tokens at Gateway public need a proof of possession, which is not checked: no enforced AccessPolicy of Service employment is about users",
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
		"claim, and a Gateway that did not parse: only that is reported",
		unit("{claim: sub}", spoil("  port: 8080", "  port: x")),
		['w.yaml:18:9: spec.port is "x"'],
	],
];

checkRows(t, rows);

t.test("each source is parsed in its complete form", async (t) => {
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

t.test("two units in one layer of a Service are compared by source, not only by name", async (t) => {
	const half = spoil("[0%, 100%]", "[0%, 50%]", verifying);
	const second = experiment("second", { layer: "{name: models, slot: [50%, 100%]}" });
	const both = (first: string, other: string) => shortProblemsOf(unit(first, half) + unit(other, second));
	const apart = (what: string) => [
		`w.yaml:69:9: unit ${what} of Experiment boosted-vs-logistic in the same layer and Service`,
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
