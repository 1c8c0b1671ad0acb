/** A trust domain alone is no workload's id: named as a caller it would match nobody, and a deny would deny nobody. */
import t from "tap";
import { readPolicyTests } from "../../src/access/policyTable.js";
import { formatProblem } from "../../src/resources/resource.js";
import { jsonSchema } from "../../src/resources/schema.js";
import { GOOD, guarded, spoil } from "./declaration.js";
import { checkRows, problemsOf, type Row } from "./faultTable.js";

const DOMAIN = "spiffe://evil.org";
const found = (place: string, field: string, instead: string): readonly string[] => [
	`w.yaml:${place}: spec.${field}[0] is a trust domain, and nobody's id; write ${DOMAIN}/${instead}`,
];
const ID = "PATH, a workload's id";

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
	["a caller", policy(DOMAIN), found("66:45", "principals", "* for all of it")],
	["all callers of it", policy(`${DOMAIN}/*`), []],
	["a trusted proxy", gateway(DOMAIN), found("20:20", "trustedProxies", ID)],
	["the endpoints' id", service(DOMAIN), found("7:16", "identities", ID)],
	["a sender", metric(DOMAIN), found("25:13", "senders", ID)],
	["an operator", binding(DOMAIN), found("66:54", "subjects", ID)],
];
checkRows(t, rows);

t.test("what is no trust domain either is told as it was", async (t) => {
	for (const [id, what] of [
		["spiffe://", "has no trust domain"],
		["spiffe://..", "has a . or .. trust domain"],
		["spiffe://a:1", "has a port"],
		["spiffe://A", "has capitals in its trust domain"],
		[`spiffe://${"a".repeat(256)}`, "has a trust domain of more than 255 bytes"],
	] as const)
		for (const text of [policy(id), metric(id)]) t.match(problemsOf(text).join("\n"), `[0] ${what} (`, id.slice(0, 20));
});

t.test("the schema says the same of each, for editors", async (t) => {
	const patterns = JSON.stringify(jsonSchema()).matchAll(/"pattern":"((?:[^"\\]|\\.)*spiffe(?:[^"\\]|\\.)*)"/g);
	const found = [...patterns].map(([, pattern = ""]) => new RegExp(JSON.parse(`"${pattern}"`)));
	t.equal(found.length, rows.length - 1);
	for (const pattern of found) {
		t.notMatch(DOMAIN, pattern);
		for (const good of [`${DOMAIN}/a`, `${DOMAIN}/*`, "*", "anyone", "group:a"]) t.match(good, pattern);
	}
});

t.test("nobody asks with it in a table of policy tests: in no execution it is a caller", async (t) => {
	const text = `tests:\n  - {name: a, request: {service: shop, principal: "${DOMAIN}"}, expect: deny}\n`;
	t.same(readPolicyTests({ name: "t.yaml", text }).problems.map(formatProblem), [
		"t.yaml:2:51: principal is a trust domain, and nobody's id; write spiffe://example.org/web",
	]);
});
