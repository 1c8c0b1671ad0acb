/** Each rule of AccessPolicy as a pure function, in its smallest case. */
import t from "tap";
import {
	accessTable,
	authorize,
	compileAccess,
	judgesPaths,
	judgesVariants,
	underPrefix,
} from "../../../src/compile/access/rules/policy.js";
import { accessPolicy, service, variant } from "../../fixtures/resources.js";

const guarded = service("guarded", [variant("v1", 1)], { access: null });
const anywhere = { token: null, region: null, nowMs: 0 } as const;
const request = { principal: "spiffe://a/x", method: "GET", path: "/v2", variant: "v1", ...anywhere };
const allow = accessPolicy("allow-x", "allow", ["guarded"], { principals: ["spiffe://a/x"] });

t.test("path prefixes match whole segments", async (t) => {
	for (const [path, prefix, want] of [
		["/v2", "/v2", true],
		["/v2/", "/v2", true],
		["/v2/x", "/v2", true],
		["/v20", "/v2", false],
		["/v2", "/v2/", true],
		["/v2/x", "/v2/", true],
		["/v", "/v2", false],
		["/anything", "/", true],
		["/", "/", true],
		["/V2", "/v2", false],
	] as const) {
		t.equal(underPrefix(path, prefix), want, `${path} under ${prefix}`);
	}
});

t.test("access is denied by default, and a deny policy wins in any order", async (t) => {
	t.same(authorize(guarded, [], request), { allowed: false, reason: "no-policy-allows", policy: null });
	t.same(authorize(guarded, [allow], request), { allowed: true, reason: "allowed", policy: "allow-x" });
	const deny = accessPolicy("deny-all", "deny", ["guarded"]);
	for (const order of [
		[allow, deny],
		[deny, allow],
	]) {
		t.same(authorize(guarded, order, request), { allowed: false, reason: "forbidden", policy: "deny-all" });
	}
	t.equal(authorize(guarded, [allow], { ...request, principal: null }).allowed, false, "no identity");
	t.equal(authorize(guarded, [allow], { ...request, principal: "spiffe://a/x/y" }).allowed, false, "ids are exact");
});

t.test("an allow policy without principals allows no one", async (t) => {
	const emptyAllow = accessPolicy("empty", "allow", ["guarded"]);
	t.equal(authorize(guarded, [emptyAllow], request).allowed, false);
	t.equal(authorize(guarded, [emptyAllow], { ...request, principal: null }).allowed, false);
});

t.test("a policy for Variants matches only those, and an unknown Variant fails closed", async (t) => {
	const v1Only = accessPolicy("v1-only", "allow", ["guarded"], {
		principals: ["spiffe://a/x"],
		variants: ["v1", "v3"],
	});
	const notV2 = accessPolicy("not-v2", "deny", ["guarded"], { variants: ["v2"] });
	const at = (policies: Parameters<typeof authorize>[1], variant: string | null) =>
		authorize(guarded, policies, { ...request, variant });
	t.same(at([v1Only], "v1"), { allowed: true, reason: "allowed", policy: "v1-only" });
	t.same(at([v1Only], "v3"), { allowed: true, reason: "allowed", policy: "v1-only" });
	t.same(at([v1Only], "v2"), { allowed: false, reason: "no-policy-allows", policy: null });
	t.same(at([v1Only], null), { allowed: false, reason: "no-policy-allows", policy: null });
	t.same(at([allow, notV2], "v2"), { allowed: false, reason: "forbidden", policy: "not-v2" });
	t.same(at([allow, notV2], "v1"), { allowed: true, reason: "allowed", policy: "allow-x" });
	t.same(at([allow, notV2], null), { allowed: false, reason: "forbidden", policy: "not-v2" });
	t.equal(judgesVariants(accessTable(guarded, [allow, notV2])), true);
	t.equal(judgesVariants(accessTable(guarded, [allow])), false);
});

t.test("a table of many policies gives the same verdicts as its policies one by one", async (t) => {
	const policies = Array.from({ length: 60 }, (_, index) =>
		accessPolicy(`p${index}`, index % 5 === 0 ? "deny" : "allow", ["guarded"], {
			principals: index % 10 === 0 ? [] : [`spiffe://a/${index % 7}`, `spiffe://a/${index % 3}`],
			methods: index % 4 === 0 ? [] : [["GET", "POST", "PUT"][index % 3] ?? ""],
			pathPrefixes: index % 3 === 0 ? [`/p${index % 2}`, `/q/${index % 4}/`] : [],
			variants: index % 6 === 0 ? ["v2"] : [],
		}),
	);
	const asked = (found: (typeof policies)[number], who: string | null, method: string, path: string, variant: string) =>
		(found.spec.principals.length === 0 ? found.spec.action === "deny" : found.spec.principals.includes(who ?? "")) &&
		(found.spec.methods.length === 0 || found.spec.methods.includes(method)) &&
		(found.spec.pathPrefixes.length === 0 || found.spec.pathPrefixes.some((prefix) => underPrefix(path, prefix))) &&
		(found.spec.variants.length === 0 || found.spec.variants.includes(variant));
	for (const own of [policies.slice(1, 5), policies.slice(1, 10), policies.slice(11, 30), policies]) {
		const table = accessTable(guarded, own);
		t.equal(
			judgesPaths(table),
			own.some(({ spec }) => spec.pathPrefixes.length > 0),
		);
		const ask = compileAccess(table, "guarded");
		for (const who of [null, "spiffe://a/0", "spiffe://a/1", "spiffe://a/2", "spiffe://a/5", "spiffe://a/9"]) {
			for (const method of ["GET", "POST", "DELETE"]) {
				for (const path of ["/", "/p0", "/p1/x", "/q/1", "/q/11", "/q/3/y"]) {
					for (const variant of ["v1", "v2"]) {
						const hit = (action: string) =>
							own.find((one) => one.spec.action === action && asked(one, who, method, path, variant))?.metadata.name;
						const [deny, allowed] = [hit("deny"), hit("allow")];
						const want =
							deny !== undefined
								? { allowed: false, reason: "forbidden", policy: deny }
								: allowed !== undefined
									? { allowed: true, reason: "allowed", policy: allowed }
									: { allowed: false, reason: "no-policy-allows", policy: null };
						t.same(ask({ principal: who, method, path, variant, ...anywhere }), want);
					}
				}
			}
		}
	}
});

t.test("policies of another namespace or Service have no effect", async (t) => {
	const elsewhere = accessPolicy("allow-x", "allow", ["guarded"], { principals: ["spiffe://a/x"] }, "prod");
	const other = accessPolicy("allow-x", "allow", ["other"], { principals: ["spiffe://a/x"] });
	t.equal(authorize(guarded, [elsewhere, other], request).allowed, false);
});

t.test("an open Service is open until a policy selects it", async (t) => {
	const open = service("guarded", [variant("v1", 1)]);
	t.same(authorize(open, [], { ...request, principal: null }), { allowed: true, reason: "open", policy: null });
	t.equal(authorize(open, [allow], { ...request, principal: null }).allowed, false);
});

t.test("an ambiguous path is refused only if a policy matches paths", async (t) => {
	const byPath = accessPolicy("no-admin", "deny", ["guarded"], { pathPrefixes: ["/admin"] });
	for (const path of ["/v2;x", "/admin;x", "/v2%3Bx", "/v2%00"]) {
		t.same(authorize(guarded, [allow, byPath], { ...request, path }), {
			allowed: false,
			reason: "not-canonical",
			policy: null,
		});
		t.equal(authorize(guarded, [allow], { ...request, path }).allowed, true);
	}
});

t.test("a path that is not normalised is refused if a policy matches paths", async (t) => {
	const byPath = accessPolicy("no-admin", "deny", ["guarded"], { pathPrefixes: ["/admin"] });
	const raw = [
		"//admin",
		"/v2//x",
		"/v2/../admin",
		"/v2/./x",
		"/v2/..",
		"/v2/.",
		"/v2\\admin",
		"/%61dmin",
		"/a%2Fb",
		"/a%5cb",
	];
	for (const path of [...raw, "/%2e%2e/admin", "/a%7eb", "/a%5Fb", "/a%39", "*", "", "admin"]) {
		t.equal(authorize(guarded, [allow, byPath], { ...request, path }).allowed, false, path);
		t.equal(authorize(guarded, [allow], { ...request, path }).allowed, true, path);
	}
	for (const path of [
		"/",
		"/v2/",
		"/v2/.a",
		"/v2/a..b/...",
		"/a%20b",
		"/a%7Bb",
		"/a%5Eb",
		"/a%60b",
		"/a%5Db",
		"/%C3%A9",
	]) {
		t.equal(authorize(guarded, [allow, byPath], { ...request, path }).allowed, true, path);
	}
});
