/** A trust domain alone is no workload's id: named as a caller it would never match, and a deny would deny nothing. */
import t from "tap";
import { readPolicyTests } from "../../../src/compile/access/review/policyTable.js";
import { loadResources } from "../../../src/declare/resources/parse.js";
import { formatProblem } from "../../../src/declare/resources/resource.js";
import { jsonSchema } from "../../../src/declare/resources/schema.js";
import { GOOD, guarded, spoil } from "./declaration.js";
import { checkRows, problemsOf, type Row } from "./faultTable.js";

const DOMAIN = "spiffe://evil.org";
const found = (place: string, field: string): readonly string[] => [
	`w.yaml:${place}: spec.${field}[0] is a trust domain, not a workload's SPIFFE id`,
];

const policy = (principals: string): string =>
	spoil("principals: [spiffe://example.org/web]", `principals: ['${principals}']`, guarded({ policy: "action: deny" }));
const gateway = (proxies: string): string =>
	spoil("  port: 8080\n", `  port: 8080\n  tls: {identity: mesh}\n  trustedProxies: ['${proxies}']\n`);
const service = (identities: string): string =>
	spoil("  access: open\n", `  access: open\n  identities: ['${identities}']\n`);
const metric = (senders: string): string => spoil("  type: mean\n", `  type: mean\n  senders: ['${senders}']\n`);
const binding = (subjects: string): string =>
	`${GOOD}---\napiVersion: weir.dev/v1alpha1\nkind: RoleBinding\nmetadata: {name: ops}\nspec: {verbs: [read], namespaces: [prod], subjects: ['${subjects}']}\n`;

const rows: readonly Row[] = [
	["a caller", policy(DOMAIN), found("66:45", "principals")],
	["all callers of it", policy(`${DOMAIN}/*`), []],
	["a trusted proxy", gateway(DOMAIN), found("20:20", "trustedProxies")],
	["the endpoints' id", service(DOMAIN), found("7:16", "identities")],
	["a sender", metric(DOMAIN), found("25:13", "senders")],
	["an operator", binding(DOMAIN), found("66:54", "subjects")],
];
checkRows(t, rows);

t.test("a text that is no trust domain either has its own message", async (t) => {
	for (const [id, what] of [
		["spiffe://", "has no trust domain"],
		["spiffe://..", "has a . or .. trust domain"],
		["spiffe://a:1", "has a port"],
		["spiffe://A", "has capitals in its trust domain"],
		[`spiffe://${"a".repeat(256)}`, "has a trust domain of more than 255 bytes"],
	] as const)
		for (const text of [policy(id), metric(id)]) t.match(problemsOf(text).join("\n"), `[0] ${what} (`, id.slice(0, 20));
});

t.test("the schema refuses the same texts", async (t) => {
	const patterns = JSON.stringify(jsonSchema()).matchAll(/"pattern":"((?:[^"\\]|\\.)*spiffe(?:[^"\\]|\\.)*)"/g);
	const found = [...patterns].map(([, pattern = ""]) => new RegExp(JSON.parse(`"${pattern}"`)));
	t.equal(found.length, rows.length - 1);
	for (const pattern of found) {
		t.notMatch(DOMAIN, pattern);
		for (const good of [`${DOMAIN}/a`, `${DOMAIN}/*`, "*", "anyone", "group:a"]) t.match(good, pattern);
	}
});

t.test("a trust domain is no caller in policy tests or in any execution", async (t) => {
	const text = `tests:\n  - {name: a, request: {service: shop, principal: "${DOMAIN}"}, expect: deny}\n`;
	t.same(
		readPolicyTests({ name: "t.yaml", text }).problems.map((one) => formatProblem(one).split("; ")[0]),
		["t.yaml:2:51: tests[0].request.principal is a trust domain, not a workload's SPIFFE id"],
	);
});

const files = (more: string): string =>
	spoil("  port: 8080\n", `  port: 8080\n  tls: {certificateFile: a, privateKeyFile: b, ${more}}\n`);
const domains = (list: string): string => files(`clientCaFile: c, trustDomains: ${list}`);

checkRows(t, [
	["a Gateway's trust domains", domains("[example.org, a-b_c.1]"), []],
	...(
		[
			["''", "", "has no trust domain"],
			["'*'", "*", "has a character in its trust domain that SPIFFE forbids"],
			["'*.org'", "*.org", "has a character in its trust domain that SPIFFE forbids"],
			["Example.org", "Example.org", "has capitals in its trust domain"],
			["'a:1'", "a:1", "has a port"],
			["'u@a'", "u@a", "has user information"],
			["'a%2e'", "a%2e", "has percent-encoding"],
			["'a?'", "a?", "has a query or fragment"],
			["..", "..", "has a . or .. trust domain"],
			["a/b", "a/b", "has a slash, as no trust domain has"],
			["a/", "a/", "has a slash, as no trust domain has"],
			["spiffe://example.org", "spiffe://example.org", "has a slash, as no trust domain has"],
			["a".repeat(256), "a".repeat(80), "has a trust domain of more than 255 bytes"],
		] as const
	).map(
		([written, said, what]): Row => [
			`no trust domain: ${written.slice(0, 30)}`,
			domains(`[${written}]`),
			[`w.yaml:19:80: spec.tls.trustDomains[0] ${what} ("${said}")`],
		],
	),
	["none", domains("[]"), [`w.yaml:19:79: spec.tls.trustDomains names none`]],
	["no list", domains("example.org"), [`w.yaml:19:79: spec.tls.trustDomains is "example.org"`]],
	[
		"without clients' certificates",
		files("trustDomains: [a]"),
		["w.yaml:19:62: spec.tls.trustDomains is given where no client shows a certificate"],
	],
	[
		"beside the mesh's own",
		spoil("  port: 8080\n", "  port: 8080\n  tls: {identity: mesh, trustDomains: [a]}\n"),
		[
			"w.yaml:19:39: spec.tls.trustDomains is given beside identity: mesh, which takes the mesh's own trust domain alone",
		],
	],
	[
		"a trusted proxy that could not connect",
		domains("[a]}\n  trustedProxies: [spiffe://a/p, spiffe://b/p]\n  region: eu\n#"),
		["w.yaml:20:34: spec.trustedProxies[1] is of none of tls.trustDomains, so that it cannot connect"],
	],
]);

t.test("a Gateway without trust domains is stored without them", async (t) => {
	const [gateway] = loadResources([{ name: "w.yaml", text: files("clientCaFile: c") }]).resources.gateways;
	t.same(gateway?.spec.tls, { from: "files", certificateFile: "a", privateKeyFile: "b", clientCaFile: "c" });
});
