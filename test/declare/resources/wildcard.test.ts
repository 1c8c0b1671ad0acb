/** `*` is a pattern only where a field has one: elsewhere a rule would never match, and a deny would deny nothing. */
import t from "tap";
import { guarded } from "./declaration.js";
import { checkRows, type Row, shortProblemsOf } from "./faultTable.js";

/** The policy's spec in the last line, its further fields from column 72 on; the Gateway has tokens. */
const policy = (written: string): string =>
	guarded({ policy: written }).replace(
		"  port: 8080\n",
		"  port: 8080\n  tokens: [{issuer: 'https://id', audiences: [a], jwksFile: f}]\n",
	);
const refused = (field: string, value: string): Row => [
	`${field} ${value}`,
	policy(`${field}: ['${value}']`),
	[`w.yaml:67:${72 + field.length + 3}: spec.${field}[0] is ${JSON.stringify(value)}, and * is no pattern here`],
];

checkRows(t, [
	refused("pathPrefixes", "/admin/*"),
	refused("pathPrefixes", "/*"),
	refused("pathPrefixes", "/v2*"),
	refused("pathPrefixes", "/a/**"),
	refused("pathPrefixes", "/a/..*"),
	refused("pathPrefixes", "/a/*.json"),
	refused("pathPrefixes", "/a/*/b"),
	refused("pathPrefixes", "/v2*/b"),
	refused("pathTemplates", "/admin/*"),
	refused("pathTemplates", "/{a}/b*"),
	refused("pathTemplates", "/*/{a}"),
	refused("users", "https://id#*@acme.com"),
	refused("users", "https://id#al*"),
	refused("users", "https://id#x#*"),
	refused("users", "https://*#*"),
	refused("users", "https://*#alice"),
	refused("groups", "*"),
	refused("tenants", "acme*"),
	refused("purposes", "*-care"),
]);

t.test("`*` is a pattern only in fields with patterns", async (t) => {
	for (const written of [
		"users: ['*']",
		"users: ['https://id#*']",
		"pathPrefixes: ['/a*b/c']",
		"pathTemplates: ['/a*b/{c}']",
		"claims: [{claim: permission, values: ['*', 'models:*']}]",
	])
		t.same(shortProblemsOf(policy(written)), [], written);
});
