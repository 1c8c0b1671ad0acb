/** A sample of the path spellings, as each refusal costs a TLS handshake; test/long has all of them. */
import t from "tap";
import { leniently, pathsStayClosed } from "./pathFuzz.js";

t.setTimeout(180_000);

t.test("the lenient path reader finds the protected path in its spellings", async (t) => {
	for (const path of [
		"/admin",
		"/x/../admin",
		"/%61dmin",
		"//admin",
		"/admin;x",
		"/x%2f..%2fadmin",
		"/%252e%252e/admin",
		"/admin%00.css",
		"\\admin",
		"/%c0%ae%c0%ae/admin?x",
	]) {
		t.equal(leniently(path), "/admin", path);
	}
	t.equal(leniently("/v2/x"), "/v2/x");
});

for (const [form, every] of [
	["native", 40],
	["ext_authz", 80],
	["ext_proc", 80],
] as const) {
	t.test(form, { timeout: 120_000 }, (t) => pathsStayClosed(t, form, every));
}
