/** The total cost of a Service's conditions is bounded for one request; conditions for other callers do not count. */
import t from "tap";
import { guarded } from "./declaration.js";
import { problemsOf, shortProblemsOf } from "./faultTable.js";

/** Some 4,200 steps. */
const DEAR = `condition: 'request.path.contains("aaaaab")'`;
const policy = (name: string, fields: string): string => `---
apiVersion: weir.dev/v1alpha1
kind: AccessPolicy
metadata: {name: ${name}}
spec: {services: [employment], ${fields}}
`;
const several = (count: number, fields: (n: number) => string): string =>
	guarded({ policy: "methods: [GET]" }) + Array.from({ length: count }, (_, n) => policy(`p${n}`, fields(n))).join("");
const ANY = "principals: [spiffe://example.org/web, 'spiffe://example.org/*']";

t.test("the cost is the sum over conditions that one request can reach", async (t) => {
	t.same(shortProblemsOf(several(23, () => `${ANY}, ${DEAR}`)), []);
	t.same(shortProblemsOf(several(26, () => `${ANY}, ${DEAR}`)), [
		"w.yaml:186:109: spec.condition brings what one request to Service employment can cost to 100464 steps, more than 100000",
	]);
	t.same(shortProblemsOf(several(60, (n) => `principals: [spiffe://example.org/p${n}], ${DEAR}`)), [], "one each");
	const named = problemsOf(several(60, (n) => `principals: [spiffe://example.org/p${n % 2}], ${DEAR}`));
	t.match(named, [/^w.yaml.*brings/], "half each, and reported once");
	t.match(problemsOf(several(30, (n) => `principals: [${n < 10 ? "'*'" : "spiffe://example.org/p"}], ${DEAR}`)), [
		/brings/,
	]);
	t.match(problemsOf(several(26, () => `action: deny, ${DEAR}`)), [/brings/], "a deny applies to all clients");
});

t.test("with shadow policies the enforced conditions count twice", async (t) => {
	const text = several(13, () => `${ANY}, ${DEAR}`);
	t.same(shortProblemsOf(text), []);
	t.match(problemsOf(text + policy("tried", `mode: shadow, principals: ['*']`)), [/brings/]);
	t.same(shortProblemsOf(several(20, () => `mode: shadow, ${ANY}, ${DEAR}`)), []);
});

t.test("several typical searches in claims fit on one Service, also twice with a shadow policy", async (t) => {
	const roles = `condition: 'user.claims.roles.exists(r, r == "admin" || r == "ops")'`;
	const levels = `condition: 'user.claims.levels.all(l, l != 3) && user.claims.roles.exists(r, r in ["a", "b"])'`;
	const text =
		several(6, (n) => `${ANY}, ${n % 2 === 0 ? roles : levels}`) + policy("tried", `mode: shadow, ${ANY}, ${roles}`);
	const tokens = "tokens: [{issuer: 'https://i.example', jwksUrl: 'https://i.example/keys', audiences: [w]}]";
	t.same(shortProblemsOf(text.replace("  tls:", `  ${tokens}\n  tls:`)), []);
});
