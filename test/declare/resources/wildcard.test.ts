/** `*` is a pattern only where a field has one: elsewhere a rule would never match, and a deny would deny nothing. */
import t from "tap";
import { guarded } from "./declaration.js";
import { checkRows, problemsOf, type Row } from "./faultTable.js";

/** The policy's spec in the last line, its further fields from column 72 on; the Gateway has tokens. */
const policy = (written: string): string =>
	guarded({ policy: written }).replace(
		"  port: 8080\n",
		"  port: 8080\n  tokens: [{issuer: 'https://id', audiences: [a], jwksFile: f}]\n",
	);
const refused = (field: string, value: string, hint: string): Row => [
	`${field} ${value}`,
	policy(`${field}: ['${value}']`),
	[
		`w.yaml:67:${72 + field.length + 3}: spec.${field}[0] is ${JSON.stringify(value)}, and * is no pattern here; ${hint}`,
	],
];
const below = (path: string): string => `a prefix holds all below it, by whole segments: write ${path}`;
const inside = (path: string): string =>
	`write ${path} for all below it, or pathTemplates with {name} for exactly one segment`;
const TEMPLATE = "write {name} for exactly one segment, or pathPrefixes for all below a path";
const USER = "write ISSUER#SUB in full, ISSUER#* for all of its users, or claims where a * is part of the text";
const word = (what: string): string =>
	`write each ${what} in full, users: ['*'] for any user, or claims where a * is part of the text`;

checkRows(t, [
	refused("pathPrefixes", "/admin/*", below("/admin")),
	refused("pathPrefixes", "/*", below("/")),
	refused("pathPrefixes", "/v2*", below("/v2")),
	refused("pathPrefixes", "/a/**", below("/a")),
	refused("pathPrefixes", "/a/..*", below("/a")),
	refused("pathPrefixes", "/a/*.json", below("/a")),
	refused("pathPrefixes", "/a/*/b", inside("/a")),
	refused("pathPrefixes", "/v2*/b", inside("/v2")),
	refused("pathTemplates", "/admin/*", TEMPLATE),
	refused("pathTemplates", "/{a}/b*", TEMPLATE),
	refused("pathTemplates", "/*/{a}", TEMPLATE),
	refused("users", "https://id#*@acme.com", USER),
	refused("users", "https://id#al*", USER),
	refused("users", "https://id#x#*", USER),
	refused("users", "https://*#*", USER),
	refused("users", "https://*#alice", USER),
	refused("groups", "*", word("group")),
	refused("tenants", "acme*", word("tenant")),
	refused("purposes", "*-care", word("purpose")),
]);

t.test("where it is a pattern, and where it is a character", async (t) => {
	for (const written of [
		"users: ['*']",
		"users: ['https://id#*']",
		"pathPrefixes: ['/a*b/c']",
		"pathTemplates: ['/a*b/{c}']",
		"claims: [{claim: permission, values: ['*', 'models:*']}]",
	])
		t.same(problemsOf(policy(written)), [], written);
});
