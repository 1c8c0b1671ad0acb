/** AccessPolicy in full: each field alone, and its references. */
import t from "tap";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { GOOD, guarded, spoil } from "./declaration.js";
import { checkRows, problemsOf, type Row, shortProblemsOf } from "./faultTable.js";

const TOKENS = "  tokens: [{issuer: 'https://id', audiences: [a], jwksFile: f}]\n  region: eu\n";

/** The policy's spec in the last line, its further fields from column 72 on; the Gateway has tokens and a region. */
const policy = (written: string): string => {
	const text = guarded({ policy: written });
	return text.replace("  port: 8080\n", `  port: 8080\n${TOKENS}`);
};
const at = (column: number): string => `w.yaml:68:${column}:`;

const rows: readonly Row[] = [
	[
		"everything at once",
		policy(
			`users: ['https://id#alice'], groups: [g], tenants: [t], purposes: [p], claims: [{claim: org.role, values: [a, b]}], pathTemplates: ['/v2/{model}'], regions: [eu], schedule: {timezone: Europe/Berlin, days: [mon, sun], from: "22:00", until: "06:00"}, validFrom: "2026-06-01T00:00:00Z", validUntil: "2026-07-01T00:00:00+02:00", condition: 'has(user.subject)'`,
		),
		[],
	],
	["mode", policy("mode: off"), [`${at(78)} spec.mode is "off"`]],
	["user without an issuer", policy("users: [alice]"), [`${at(80)} spec.users[0] is "alice"`]],
	["user without a subject", policy("users: ['https://id#']"), [`${at(80)} spec.users[0] is "https://id#"`]],
	[
		"user of an unknown issuer",
		policy("users: ['https://ib#a']"),
		[`${at(80)} no Gateway trusts token issuer "https://ib"`],
	],
	["group twice", policy("groups: [a, a]"), [`${at(84)} spec.groups[1] repeats a, item 0 of the list`]],
	["empty group", policy("groups: ['']"), [`${at(81)} spec.groups[0] is ""`]],
	[
		"a claim without values",
		policy("claims: [{claim: a, values: []}]"),
		[`${at(100)} spec.claims[0].values is an empty list`],
	],
	[
		"a claim's number",
		policy("claims: [{claim: a, values: [1]}]"),
		[`${at(101)} spec.claims[0].values[0] is the number 1`],
	],
	[
		"a claim's truth value",
		policy("claims: [{claim: email_verified, values: [true]}]"),
		[`${at(114)} spec.claims[0].values[0] is the truth value true`],
	],
	[
		"a claim's list",
		policy("claims: [{claim: a, values: [[x]]}]"),
		[`${at(101)} spec.claims[0].values[0] is a list of 1`],
	],
	[
		"paths of other letters than ASCII's",
		policy("pathPrefixes: ['/pub/ädmin', '/ä?'], pathTemplates: ['/ä/{x}/ö']"),
		[
			`${at(87)} spec.pathPrefixes[0] is "/pub/ädmin", and a request has "ä" percent-encoded in its path, which prefixes and templates cannot name`,
			`${at(101)} spec.pathPrefixes[1] is "/ä?"`,
			`${at(125)} spec.pathTemplates[0] is "/ä/{x}/ö", and a request has "ä" percent-encoded in its path, which prefixes and templates cannot name`,
		],
	],
	[
		"a prefix with parameters",
		policy("pathPrefixes: ['/a;v=1/b;c', ';']"),
		[`${at(87)} spec.pathPrefixes[0] is "/a;v=1/b;c", and a request with a `, `${at(101)} spec.pathPrefixes[1] is ";"`],
	],
	[
		"a template with parameters",
		policy("pathTemplates: ['/a;v=1/{b}', '/{a};b', '/;a']"),
		[
			`${at(88)} spec.pathTemplates[0] is "/a;v=1/{b}", and a request with a `,
			`${at(102)} spec.pathTemplates[1] is "/{a};b", and a request with a `,
			`${at(112)} spec.pathTemplates[2] is "/;a"`,
		],
	],
	[
		"a claim's empty step",
		policy("claims: [{claim: a..b, values: [x]}]"),
		[`${at(89)} spec.claims[0].claim is "a..b"`],
	],
	["a claim that is a URL", policy("claims: [{claim: 'https://example.com/roles', values: [x]}]"), []],
	[
		"a claim twice",
		policy("claims: [{claim: a, values: [x]}, {claim: a, values: [y]}]"),
		[`${at(114)} spec.claims[1].claim repeats a, item 0 of the list`],
	],
	[
		"paths that are too long",
		policy(
			`pathPrefixes: ['/${"a".repeat(1_023)}', '/${"a".repeat(1_024)}'], pathTemplates: ['/{b}/${"a".repeat(1_020)}', '/;${"a".repeat(1_030)}']`,
		),
		[
			`${at(1115)} spec.pathPrefixes[1] has 1025 characters`,
			`${at(2161)} spec.pathTemplates[0] has 1025 characters`,
			`${at(3190)} spec.pathTemplates[1] has 1032 characters`,
		],
	],
	["template without a slash", policy("pathTemplates: [a]"), [`${at(88)} spec.pathTemplates[0] is "a"`]],
	["template with a star", policy("pathTemplates: ['/a/{b}*']"), [`${at(88)} spec.pathTemplates[0] is "/a/{b}*"`]],
	["template with an escape", policy("pathTemplates: ['/a%2f{b}']"), [`${at(88)} spec.pathTemplates[0] is "/a%2f{b}"`]],
	[
		"template with an empty segment",
		policy("pathTemplates: ['/a//{b}']"),
		[`${at(88)} spec.pathTemplates[0] is "/a//{b}"`],
	],
	[
		"template that names a variable twice",
		policy("pathTemplates: ['/{a}/{a}']"),
		[`${at(88)} spec.pathTemplates[0] names one twice`],
	],
	["a region with a blank at its end", policy("regions: ['eu ']"), [`${at(82)} spec.regions[0] is "eu "`]],
	["unknown region", policy("regions: [us]"), [`${at(82)} no Gateway is in region "us"`]],
	[
		"zone",
		policy('schedule: {timezone: Mars, from: "08:00", until: "18:00"}'),
		[`${at(93)} spec.schedule.timezone is "Mars"`],
	],
	[
		"day",
		policy('schedule: {timezone: UTC, days: [monday], from: "08:00", until: "18:00"}'),
		[`${at(105)} spec.schedule.days[0] is "monday"`],
	],
	[
		"no day",
		policy('schedule: {timezone: UTC, days: [], from: "08:00", until: "18:00"}'),
		[`${at(104)} spec.schedule.days is an empty list`],
	],
	[
		"clock",
		policy('schedule: {timezone: UTC, from: "24:00", until: "8:00"}'),
		[`${at(104)} spec.schedule.from is "24:00"`, `${at(120)} spec.schedule.until is "8:00"`],
	],
	[
		"time without a zone",
		policy('validFrom: "2026-06-01T00:00:00"'),
		[`${at(83)} spec.validFrom is "2026-06-01T00:00:00"`],
	],
	[
		"a day that there is not",
		policy('validFrom: "2026-02-30T00:00:00Z"'),
		[`${at(83)} spec.validFrom is "2026-02-30T00:00:00Z"`],
	],
	[
		"never valid",
		policy('validFrom: "2026-06-01T00:00:00Z", validUntil: "2026-06-01T00:00:00Z"'),
		[`${at(119)} spec.validUntil is not after validFrom, so that the policy would never hold`],
	],
	[
		"a condition that is none",
		policy("condition: 'request.method =='"),
		[`${at(83)} spec.condition is no CEL expression: Unexpected token: EOF (at 1:18 of the expression)`],
	],
	[
		"a condition that reads what is not there",
		policy("condition: 'request.header == \"a\"'"),
		[`${at(83)} spec.condition is no valid CEL expression: No such key: header (at 1:9 of the expression)`],
	],
	[
		"a condition with a regular expression",
		policy("condition: 'request.path.matches(\"^(a+)+$\")'"),
		[`${at(83)} spec.condition calls matches(), which is not offered (at 1:1 of the expression)`],
	],
	[
		"a condition by the hours of a time zone",
		policy("condition: 'request.time.getHours(\"Europe/Berlin\") < 18'"),
		[`${at(83)} spec.condition calls getHours() with 1 arguments (at 1:1 of the expression)`],
	],
	[
		"a claim that is a truth value",
		policy("condition: user.claims.email_verified"),
		[`${at(83)} spec.condition is of type dyn, not bool (at 1:1 of the expression)`],
	],
	[
		"a condition that could take long",
		policy("condition: 'user.groups.exists(g, g in user.groups)'"),
		[`${at(83)} spec.condition could take 220256 steps for one request, more than 100000 (at 1:1 of the expression)`],
	],
	[
		"a condition that searches for what is not known",
		policy("condition: 'user.groups.exists(g, request.path.contains(g))'"),
		[
			`${at(83)} spec.condition calls contains() with what is no literal text of at most 250 characters (at 1:45 of the expression)`,
		],
	],
	[
		"a condition on a path with an escape",
		policy("condition: 'request.path == \"/caf%c3%a9\"'"),
		[
			`${at(83)} spec.condition compares the path with "/caf%c3%a9", but sees it percent-decoded (at 1:17 of the expression)`,
		],
	],
	[
		"a condition on a path with its query",
		policy("condition: 'request.path.startsWith(\"/export?\")'"),
		[
			`${at(83)} spec.condition compares the path with "/export?", but sees it without its query: a ? there is a path's own, sent as %3F (at 1:25 of the expression)`,
		],
	],
	[
		"a condition on a path with a variable",
		policy("condition: 'request.path == \"/users/{id}\"'"),
		[
			`${at(83)} spec.condition compares the path with "/users/{id}", but {name} stands for itself there (at 1:17 of the expression)`,
		],
	],
	[
		"principals below one, and any",
		policy("methods: [GET]").replace("[spiffe://example.org/web]", "['spiffe://example.org/*', '*']"),
		[],
	],
	[
		"a star within",
		policy("methods: [GET]").replace("[spiffe://example.org/web]", "['spiffe://example.org/*/web']"),
		[`${at(45)} spec.principals[0] has a character in its path that SPIFFE forbids ("spiffe://example.org/*/web")`],
	],
];

checkRows(t, rows);

t.test("a parsed policy has minutes, ISO days and epoch milliseconds", async (t) => {
	const { resources, problems } = loadResources([
		{
			name: "w.yaml",
			text: policy(
				`schedule: {timezone: UTC, days: [sun, mon], from: "22:30", until: "24:00"}, validFrom: "2026-06-01T02:00:00+02:00"`,
			),
		},
	]);
	t.same(problems, []);
	const spec = resources.accessPolicies[0]?.spec;
	t.same(spec?.schedule, { timezone: "UTC", days: [7, 1], fromMinute: 1_350, untilMinute: 1_440 });
	t.equal(spec?.validFromMs, Date.UTC(2026, 5, 1));
	t.equal(spec?.validUntilMs, null);
});

const document = (kind: string, name: string, spec: string): string =>
	`---\napiVersion: weir.dev/v1alpha1\nkind: ${kind}\nmetadata: {${name}}\nspec: {${spec}}\n`;

t.test("rules about users are refused where no token issuer is trusted", async (t) => {
	const what = "but no Gateway trusts any token issuer";
	t.same(shortProblemsOf(guarded({ policy: "groups: [a]" })), [`w.yaml:66:80: spec.groups is about users, ${what}`]);
	t.same(shortProblemsOf(guarded({ policy: "condition: 'has(user.subject)'" })), [
		`w.yaml:66:83: spec.condition is about users, ${what}`,
	]);
	t.same(shortProblemsOf(guarded({ policy: "condition: 'principal != \"\"'" })), []);
});

t.test("policies on tokens need no client certificates, policies on principals do", async (t) => {
	const text = spoil("  port: 8080\n", `  port: 8080\n${TOKENS}`, spoil("  access: open\n", ""));
	const users = document("AccessPolicy", "name: users", "services: [employment], groups: [clerks]");
	t.same(shortProblemsOf(text + users), []);
	const callers = document(
		"AccessPolicy",
		"name: callers",
		"services: [employment], action: deny, principals: [spiffe://a/b]",
	);
	t.same(shortProblemsOf(text + users + callers), [
		"w.yaml:72:58: spec.principals names callers, but no Gateway asks for client certificates: the policy never matches",
	]);
	const both = document(
		"AccessPolicy",
		"name: both",
		"services: [employment], groups: [clerks], principals: [spiffe://a/b]",
	);
	t.match(problemsOf(text + both), [/no Gateway asks for client certificates, so no caller could be identified/]);
	const identity = text.replace("  port: 8080\n", "  port: 8080\n  tls: {identity: mesh}\n");
	t.same(shortProblemsOf(identity + both), []);
});

t.test("shadow policies decide nothing: an open Service may have them, a closed one needs more", async (t) => {
	const shadow = document("AccessPolicy", "name: soon", "services: [employment], mode: shadow, action: deny");
	t.same(shortProblemsOf(GOOD + shadow), []);
	t.same(shortProblemsOf(spoil("  access: open\n", "") + shadow), [
		"w.yaml:5:3: Service employment is selected by shadow policies alone (soon), so no one may call it",
	]);
});

t.test("a policy for all Services, and one that selects none", async (t) => {
	const all = policy("variants: [v2]").replace("services: [employment]", "services: ['*']");
	t.same(shortProblemsOf(all), []);
	t.same(shortProblemsOf(all.replace("variants: [v2]", "variants: [v3]")), [
		'w.yaml:68:76: unknown variant "v3" of any Service',
	]);
	const elsewhere = document("AccessPolicy", "name: all, namespace: prod", "services: ['*'], action: deny");
	t.same(shortProblemsOf(GOOD + elsewhere), [
		"w.yaml:66:19: the policy selects nothing: there is no Service in namespace prod",
	]);
	const open = document("AccessPolicy", "name: all", "services: ['*'], action: deny");
	t.match(problemsOf(GOOD + open), [/Service employment is open and selected by an AccessPolicy/]);
});

t.test("a policy of one namespace cannot name another's Service", async (t) => {
	const other = document("AccessPolicy", "name: theirs, namespace: prod", "services: [employment], action: deny");
	t.same(shortProblemsOf(GOOD + other), ['w.yaml:66:19: unknown Service "employment"']);
});

t.test("a policy selects Services by DataClass", async (t) => {
	const text = policy("dataClasses: [personel]");
	const declared = document("DataClass", "name: personal", "regions: [here]");
	t.same(shortProblemsOf(text + declared), [
		"w.yaml:5:3: Service employment does not say who may call it",
		'w.yaml:68:86: unknown DataClass "personel"',
	]);
	const none = text.replace("personel", "personal") + declared;
	t.match(problemsOf(none), [
		/does not say who may call it/,
		/^w\.yaml:68:85: none of the policy's Services has one of its DataClasses \(personal\), so that it selects nothing; write spec\.dataClass in a Service, or remove the policy$/,
	]);
});

t.test("a policy that only the sidecar can judge fails closed", async (t) => {
	for (const [written, why] of [
		["condition: 'principal != \"\"'", "AccessPolicy web has a CEL condition"],
		[
			'schedule: {timezone: UTC, from: "08:00", until: "18:00"}',
			"AccessPolicy web has a schedule: Envoy's rules have no clock",
		],
		['validUntil: "2026-06-01T00:00:00Z"', "AccessPolicy web has a time of validity: Envoy's rules have no clock"],
	] as const) {
		t.same(shortProblemsOf(guarded({ callout: "{onFailure: default-variant}", policy: written })), [
			`w.yaml:6:24: spec.callout.onFailure is default-variant, but the sidecar decides access: ${why}: without its answer access must be denied`,
		]);
	}
	const bound = policy("groups: [a]").replace("jwksFile: f}", "jwksFile: f, binding: dpop}");
	t.match(problemsOf(bound.replace("  defaultVariant: v1", "  callout: {onStale: assign}\n  defaultVariant: v1")), [
		/onStale is assign, but the sidecar decides access: tokens of https:\/\/id must come with a proof of possession \(dpop\), and Envoy checks none: with old rules/,
	]);
	t.match(problemsOf(guarded({ callout: "{sign: true, onStale: assign}", policy: "methods: [GET]" })), [
		/onStale is assign, but the sidecar decides access: the Service wants each decision signed \(callout\.sign\), and Envoy signs none: with/,
	]);
	const signed = guarded({ callout: "{sign: true}", policy: "methods: [GET]" });
	t.same(shortProblemsOf(signed), []);
	t.match(problemsOf(signed.replace("  defaultVariant: v1", "  defaultVariant: v1\n  noEndpoint: default-variant")), [
		/spec\.noEndpoint is default-variant, but spec\.callout\.sign is true: a decision names the Variant of the arm, and the default one's server would refuse it; write noEndpoint: fail, or sign: false$/,
	]);
	t.match(problemsOf(spoil("  access: open", "  access: open\n  callout: {sign: true}")), [
		/^w\.yaml:7:\d+: spec\.callout\.sign is true, but the Service is open: there is no access to decide; .* or write sign: false here$/,
	]);
});

t.test("a policy that judges Variants by its condition is served by no other Variant", async (t) => {
	const text = guarded({ policy: "condition: 'variant == \"v1\"'" });
	t.match(problemsOf(text.replace("  defaultVariant: v1", "  defaultVariant: v1\n  noEndpoint: default-variant")), [
		/spec\.noEndpoint is default-variant, but AccessPolicy web judges Variants/,
	]);
});
