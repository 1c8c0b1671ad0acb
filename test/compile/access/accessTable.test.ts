/** Policies that select a Service, their effect, and what shadow policies would change. */
import t from "tap";
import { matchesPrincipal } from "../../../src/compile/access/requests/principal.js";
import { couldAllow } from "../../../src/compile/access/rules/accessTable.js";
import {
	accessTable,
	authorize,
	compileAccess,
	compileShadow,
	isOpen,
	judgesPaths,
	judgesRegions,
	judgesUsers,
	judgesVariants,
	nativeObstacle,
	readsUsers,
} from "../../../src/compile/access/rules/policy.js";
import type { VerifiedToken } from "../../../src/compile/access/users/token.js";
import type { AccessPolicy, Service } from "../../../src/declare/resources/resource.js";
import { accessPolicy, service, variant } from "../../fixtures/resources.js";

const guarded = service("guarded", [variant("v1", 1)], { access: null, dataClass: "personal" });
const open = service("guarded", [variant("v1", 1)]);
const token: VerifiedToken = {
	issuer: "https://one",
	subject: "alice",
	claims: { role: "clerk" },
	groups: ["clerks"],
	tenants: ["t1"],
	purposes: ["care"],
};
const request = {
	...{ principal: "spiffe://a/x", method: "GET", path: "/v2", variant: "v1" },
	...{ token: null, region: "eu", nowMs: 1_000 },
};
const X = { principals: ["spiffe://a/x"] } as const;
const policy = (name: string, action: "allow" | "deny", fields: Partial<AccessPolicy["spec"]>, namespace?: string) =>
	accessPolicy(name, action, ["guarded"], fields, namespace);
const names = (policies: readonly AccessPolicy[]): readonly string[] =>
	accessTable(guarded, policies).policies.map(({ name }) => name);

t.test("a policy selects by namespace, name or *, and DataClass", async (t) => {
	t.same(names([policy("a", "allow", X), accessPolicy("b", "allow", ["other"], X)]), ["a"]);
	t.same(names([accessPolicy("all", "allow", ["*"], X), accessPolicy("elsewhere", "allow", ["*"], X, "prod")]), [
		"all",
	]);
	t.same(names([policy("elsewhere", "allow", X, "prod")]), [], "no policy of another namespace");
	t.same(names([policy("personal", "deny", { dataClasses: ["public", "personal"] })]), ["personal"]);
	t.same(names([policy("public", "deny", { dataClasses: ["public"] })]), []);
	const none = service("guarded", [variant("v1", 1)], { access: null });
	t.same(
		accessTable(none, [policy("personal", "deny", { dataClasses: ["personal"] })]).policies,
		[],
		"it has no DataClass",
	);
});

t.test("rarely used fields are compiled only if a policy uses one", async (t) => {
	const more = (fields: Partial<AccessPolicy["spec"]>) =>
		accessTable(guarded, [policy("a", "allow", fields)]).policies[0]?.more;
	t.equal(more({ ...X, methods: ["GET"], variants: ["v1"] }), null);
	for (const fields of [
		{ users: ["i#s"] },
		{ claims: [{ claim: "a", values: ["b"] }] },
		{ pathTemplates: ["/{a}"] },
		{ regions: ["eu"] },
		{ validUntilMs: 0 },
		{ condition: "true" },
	]) {
		t.match(more({ ...X, ...fields }), fields);
	}
});

t.test("a shadow policy does not change verdicts, and its own verdict is available", async (t) => {
	const allow = policy("callers", "allow", X);
	const shadow = policy("soon", "deny", { mode: "shadow", methods: ["GET"] });
	const table = accessTable(guarded, [shadow, allow]);
	t.same(compileAccess(table, "guarded")(request), { allowed: true, reason: "allowed", policy: "callers" });
	t.same(compileShadow(table, "guarded")?.(request), { allowed: false, reason: "forbidden", policy: "soon" });
	t.same(compileShadow(table, "guarded")?.({ ...request, method: "PUT" }).policy, "callers");
	t.equal(compileShadow(accessTable(guarded, [allow]), "guarded"), null, "no shadow policy");
});

t.test("shadow policies neither close an open Service nor open a closed one", async (t) => {
	const shadow = policy("soon", "allow", { ...X, mode: "shadow" });
	const table = accessTable(open, [shadow]);
	t.equal(isOpen(table), true);
	const unauthenticated = { ...request, principal: null };
	t.equal(compileAccess(table, "guarded")(unauthenticated).reason, "open");
	t.equal(compileShadow(table, "guarded")?.(unauthenticated).reason, "no-policy-allows");
	t.equal(isOpen(accessTable(open, [policy("now", "allow", X)])), false);
	t.equal(authorize(guarded, [shadow], request).reason, "no-policy-allows");
});

t.test("a shadow policy that matches paths refuses no path", async (t) => {
	const shadow = policy("soon", "deny", { mode: "shadow", pathPrefixes: ["/admin"] });
	const table = accessTable(guarded, [policy("callers", "allow", X), shadow]);
	const asked = { ...request, path: "/v2;x" };
	t.equal(judgesPaths(table), false);
	t.equal(compileAccess(table, "guarded")(asked).allowed, true);
	t.equal(compileShadow(table, "guarded")?.(asked).reason, "not-canonical");
});

t.test("the table reports the inputs that a verdict depends on", async (t) => {
	const judges = (fields: Partial<AccessPolicy["spec"]>) => {
		const table = accessTable(guarded, [policy("a", "deny", fields)]);
		return [judgesPaths(table), judgesVariants(table), judgesUsers(table), judgesRegions(table)]
			.map((one, index) => (one ? "pvur"[index] : ""))
			.join("");
	};
	t.equal(judges({ ...X, methods: ["GET"], validFromMs: 1 }), "");
	t.equal(judges({ pathPrefixes: ["/a"] }), "p");
	t.equal(judges({ pathTemplates: ["/{a}"] }), "p");
	t.equal(judges({ variants: ["v1"] }), "v");
	t.equal(judges({ regions: ["eu"] }), "r");
	for (const field of ["users", "groups", "tenants", "purposes"]) t.equal(judges({ [field]: ["i#s"] }), "u", field);
	t.equal(judges({ claims: [{ claim: "a", values: ["b"] }] }), "u");
	t.equal(judges({ condition: 'request.path == "/" && variant == "v1"' }), "pv");
	t.equal(judges({ condition: 'has(user.subject) || request.region == "eu"' }), "ur");
	t.equal(judges({ mode: "shadow", groups: ["a"], variants: ["v1"], regions: ["eu"] }), "vr", "shadow ones too");
	const reads = (fields: Partial<AccessPolicy["spec"]>) =>
		readsUsers(accessTable(guarded, [policy("a", "deny", fields)]));
	t.equal(reads({ mode: "shadow", groups: ["a"] }), true, "a token is looked at for a shadow policy, and not refused");
	t.equal(reads({ mode: "shadow", condition: "has(user.subject)" }), true);
	t.equal(reads({ groups: ["a"] }), true);
	t.equal(reads({ ...X, mode: "shadow" }), false);
});

t.test("the table names each field that Envoy cannot express", async (t) => {
	const obstacle = (fields: Partial<AccessPolicy["spec"]>): string | null => {
		const [own] = accessTable(guarded, [policy("a", "deny", fields)]).policies;
		return own === undefined ? "no policy" : nativeObstacle(own);
	};
	const schedule = { timezone: "UTC", days: [1], fromMinute: 0, untilMinute: 1 };
	t.equal(obstacle({ ...X, groups: ["a"], pathTemplates: ["/{a}"], regions: ["eu"], variants: ["v1"] }), null);
	t.equal(obstacle({ condition: "true" }), "a CEL condition");
	t.equal(obstacle({ schedule }), "a schedule: Envoy's rules have no clock");
	t.equal(obstacle({ validUntilMs: 1 }), "a time of validity: Envoy's rules have no clock");
});

t.test("each field about the token is checked by itself", async (t) => {
	for (const [fields, fits] of [
		[{ users: ["https://one#alice"] }, true],
		[{ users: ["https://one#bob", "https://two#alice"] }, false],
		[{ groups: ["others", "clerks"] }, true],
		[{ groups: ["others"] }, false],
		[{ tenants: ["t1"] }, true],
		[{ tenants: ["t2"] }, false],
		[{ purposes: ["care"] }, true],
		[{ purposes: ["research"] }, false],
		[{ claims: [{ claim: "role", values: ["judge", "clerk"] }] }, true],
		[
			{
				claims: [
					{ claim: "role", values: ["clerk"] },
					{ claim: "none", values: ["x"] },
				],
			},
			false,
		],
		[{ users: ["https://one#alice"], groups: ["others"] }, false],
		[{ ...X, groups: ["clerks"] }, true],
		[{ principals: ["spiffe://a/y"], groups: ["clerks"] }, false],
	] as const) {
		const own = [policy("own", "allow", fields as Partial<AccessPolicy["spec"]>)];
		t.equal(authorize(guarded, own, { ...request, token }).allowed, fits, JSON.stringify(fields));
		t.equal(authorize(guarded, own, request).allowed, false, "no token, no user");
	}
	const byGroup = [policy("own", "allow", { groups: ["clerks"] })];
	t.equal(authorize(guarded, byGroup, { ...request, principal: null, token }).allowed, true, "a token is enough");
	const noSubject = [policy("own", "allow", { users: ["https://one#alice"] })];
	t.equal(authorize(guarded, noSubject, { ...request, token: { ...token, subject: null } }).allowed, false);
	const split = { ...token, issuer: "https://one#alice", subject: "x" };
	const hash = [policy("own", "allow", { users: ["https://one#alice#x"] })];
	t.equal(authorize(guarded, hash, { ...request, token: split }).allowed, false, "split at the first #");
	const subjectOf = (user: string, subject: string): boolean =>
		authorize(guarded, [policy("own", "allow", { users: [user] })], { ...request, token: { ...token, subject } })
			.allowed;
	t.equal(subjectOf("https://one#*", "alice"), true);
	t.equal(subjectOf("https://one#x#*", "x#*"), true, "a subject that ends like `any`");
	t.equal(subjectOf("https://one#x#*", "alice"), false, "is one user, not all of the issuer");
	t.equal(subjectOf("https://one", "alice"), false, "a subject without # is rejected");
});

t.test("an unknown result matches no allow policy and every deny policy", async (t) => {
	for (const fields of [{ regions: ["eu"] }, { condition: 'request.region == "eu"' }]) {
		const allow = [policy("own", "allow", { ...X, ...fields })];
		t.equal(authorize(guarded, allow, request).allowed, true);
		t.equal(authorize(guarded, allow, { ...request, region: "us" }).allowed, false);
		t.equal(authorize(guarded, allow, { ...request, region: null }).allowed, false);
		const deny = [policy("callers", "allow", X), policy("own", "deny", fields)];
		t.equal(authorize(guarded, deny, request).allowed, false);
		t.equal(authorize(guarded, deny, { ...request, region: "us" }).allowed, true);
		t.equal(authorize(guarded, deny, { ...request, region: null }).policy, "own");
	}
});

t.test("a time of validity includes its start and excludes its end", async (t) => {
	const own = [policy("own", "allow", { ...X, validFromMs: 1_000, validUntilMs: 2_000 })];
	for (const [nowMs, want] of [
		[999, false],
		[1_000, true],
		[1_999, true],
		[2_000, false],
	] as const) {
		t.equal(authorize(guarded, own, { ...request, nowMs }).allowed, want, `${nowMs}`);
	}
});

t.test("equal verdicts of one table are one object", async (t) => {
	const ask = compileAccess(accessTable(guarded, [policy("own", "allow", X)]), "guarded");
	t.equal(ask(request), ask({ ...request }));
	t.equal(ask({ ...request, principal: null }), ask({ ...request, principal: "spiffe://b" }));
});

t.test("prefixes deeper than the index, and of the maximum length, are found", async (t) => {
	const deep = `/${Array.from({ length: 40 }, (_, index) => `s${index}`).join("/")}`;
	const filler = Array.from({ length: 12 }, (_, index) =>
		policy(`f${index}`, "deny", { pathPrefixes: [`/f${index}`] }),
	);
	const own = [policy("callers", "allow", X), ...filler, policy("deep", "deny", { pathPrefixes: [deep] })];
	t.equal(authorize(guarded, own, { ...request, path: `${deep}/x` }).policy, "deep");
	t.equal(authorize(guarded, own, { ...request, path: deep }).policy, "deep");
	t.equal(authorize(guarded, own, { ...request, path: deep.slice(0, -4) }).policy, "callers");
	const id = `spiffe://a${deep}`;
	const callers = Array.from({ length: 12 }, (_, index) =>
		policy(`c${index}`, "allow", { principals: [`spiffe://b/${index}`] }),
	);
	const below = [...callers, policy("below", "allow", { principals: [`${id}/*`] })];
	t.equal(authorize(guarded, below, { ...request, principal: `${id}/x` }).policy, "below");
	t.equal(authorize(guarded, below, { ...request, principal: id }).allowed, false);
});

t.test("policies are sorted by name, so that the reported policy does not depend on declaration order", async (t) => {
	const declared = ["b", "c", "a", "a2"].map((name) => policy(name, "allow", X));
	for (const order of [declared, declared.toReversed()]) t.same(names(order), ["a", "a2", "b", "c"]);
});

t.test("tokens are read if one policy uses users", async (t) => {
	t.ok(readsUsers(accessTable(guarded, [policy("callers", "allow", X), policy("users", "allow", { users: ["*"] })])));
});

t.test("possible callers are all for an open Service, else those of an allow policy", async (t) => {
	const could = (service: Service, policies: readonly AccessPolicy[], principal: string | null = X.principals[0]) =>
		couldAllow(accessTable(service, policies))(principal);
	const names = (...principals: string[]) => policy("names", "allow", { principals });
	t.equal(could(open, [policy("deny", "deny", {})], null), true);
	t.equal(could(guarded, [policy("deny", "deny", X)]), false, "a deny policy allows no client");
	t.equal(could(guarded, [names("spiffe://a/other"), policy("users", "allow", { users: ["*"] })], null), true);
	t.equal(could(guarded, [policy("tried", "allow", { ...X, mode: "shadow" })]), true);
	for (const id of [null, "spiffe://a/ns/x", "spiffe://a/ns", "spiffe://a/ns/", "spiffe://ab/ns/x"])
		for (const pattern of ["anyone", "*", "spiffe://a/*", "spiffe://a/ns/*", "spiffe://a/ns/x", "spiffe://a/ns/x/*"])
			t.equal(could(guarded, [names("spiffe://b/y", pattern)], id), matchesPrincipal(id, pattern), `${id} ${pattern}`);
});

t.test("unknown callers never cause a rescan of the rules", async (t) => {
	let reads = 0;
	const { open, policies } = accessTable(guarded, [policy("a", "allow", X)]);
	const counted = policies.map((one) => ({
		...one,
		get principals() {
			reads++;
			return one.principals;
		},
	}));
	const could = couldAllow({ open, policies: counted });
	could("spiffe://a/first");
	const once = reads;
	for (let at = 0; at < 1_000; at++) could(`spiffe://a/s${at}`);
	t.equal(reads, once);
});
