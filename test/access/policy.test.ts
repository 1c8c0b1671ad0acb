import t from "tap";
import { authorize, underPrefix } from "../../src/access/policy.js";
import { accessPolicy, service, variant } from "../fixtures/resources.js";

const guarded = service("guarded", [variant("v1", 1)], { access: null });
const request = { principal: "spiffe://a/x", method: "GET", path: "/v2" };
const allow = accessPolicy("allow-x", "allow", ["guarded"], { principals: ["spiffe://a/x"] });

t.test("prefixes match whole segments", async (t) => {
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

t.test("deny by default, and forbid wins in any order", async (t) => {
	t.same(authorize(guarded, [], request), { allowed: false, reason: "no-policy-allows", policy: null });
	t.same(authorize(guarded, [allow], request), { allowed: true, reason: "allowed", policy: "allow-x" });
	const deny = accessPolicy("nobody", "deny", ["guarded"]);
	for (const order of [
		[allow, deny],
		[deny, allow],
	]) {
		t.same(authorize(guarded, order, request), { allowed: false, reason: "forbidden", policy: "nobody" });
	}
	t.equal(authorize(guarded, [allow], { ...request, principal: null }).allowed, false, "no identity");
	t.equal(authorize(guarded, [allow], { ...request, principal: "spiffe://a/x/y" }).allowed, false, "ids are exact");
});

t.test("an allow policy without principals allows nobody", async (t) => {
	const nobody = accessPolicy("empty", "allow", ["guarded"]);
	t.equal(authorize(guarded, [nobody], request).allowed, false);
	t.equal(authorize(guarded, [nobody], { ...request, principal: null }).allowed, false);
});

t.test("policies of another namespace or Service do not count", async (t) => {
	const elsewhere = accessPolicy("allow-x", "allow", ["guarded"], { principals: ["spiffe://a/x"] }, "prod");
	const other = accessPolicy("allow-x", "allow", ["other"], { principals: ["spiffe://a/x"] });
	t.equal(authorize(guarded, [elsewhere, other], request).allowed, false);
});

t.test("an open Service is open until a policy selects it", async (t) => {
	const open = service("guarded", [variant("v1", 1)]);
	t.same(authorize(open, [], { ...request, principal: null }), { allowed: true, reason: "open", policy: null });
	t.equal(authorize(open, [allow], { ...request, principal: null }).allowed, false);
});

t.test("an ambiguous path is forbidden where paths are judged, and only there", async (t) => {
	const byPath = accessPolicy("no-admin", "deny", ["guarded"], { pathPrefixes: ["/admin"] });
	for (const path of ["/v2;x", "/admin;x", "/v2%3Bx", "/v2%00"]) {
		t.same(authorize(guarded, [allow, byPath], { ...request, path }), {
			allowed: false,
			reason: "forbidden",
			policy: null,
		});
		t.equal(authorize(guarded, [allow], { ...request, path }).allowed, true);
	}
});
