/** The terms of access rules: principals, path templates, claims. */
import t from "tap";
import { encodedPath, fitsSegments, isAmbiguous, templateSegments } from "../../../src/compile/access/requests/path.js";
import { matchesPrincipal } from "../../../src/compile/access/requests/principal.js";
import { hashOf, prefixHashes } from "../../../src/compile/access/rules/prefixHash.js";
import { claimPath, claimTexts } from "../../../src/compile/access/users/claim.js";
import { isSegment } from "../../../src/declare/resources/fields/host.js";
import { PATH_CHARS_MAX } from "../../../src/limits/index.js";

t.test("principals match exactly, below a prefix by whole segments, or any authenticated one", async (t) => {
	for (const [id, pattern, want] of [
		["spiffe://a/ns/x", "spiffe://a/ns/x", true],
		["spiffe://a/ns/x/y", "spiffe://a/ns/x", false],
		["spiffe://a/ns/x", "spiffe://a/ns/*", true],
		["spiffe://a/ns/x/y", "spiffe://a/ns/*", true],
		["spiffe://a/ns", "spiffe://a/ns/*", false],
		["spiffe://a/nsx/y", "spiffe://a/ns/*", false],
		["spiffe://ab/x", "spiffe://a/*", false],
		["spiffe://a/x", "spiffe://a/*", true],
		["spiffe://a/x", "*", true],
		[null, "*", false],
		[null, "spiffe://a/*", false],
	] as const) {
		t.equal(matchesPrincipal(id, pattern), want, `${id} ${pattern}`);
	}
});

t.test("templates match whole paths, and a variable exactly one segment that is not empty", async (t) => {
	for (const [path, template, want] of [
		["/v2/models/a/infer", "/v2/models/{model}/infer", true],
		["/v2/models//infer", "/v2/models/{model}/infer", false],
		["/v2/models/a/b/infer", "/v2/models/{model}/infer", false],
		["/v2/models/a/infer/", "/v2/models/{model}/infer", false],
		["/v2/models/a/inferx", "/v2/models/{model}/infer", false],
		["/v2/models/a", "/v2/models/{model}/infer", false],
		["/a", "/{x}", true],
		["/", "/{x}", false],
		["/a/", "/{x}", false],
		["a", "/{x}", false],
		["", "/{x}", false],
		["/v2", "/v2", true],
		["/v2/x", "/v2", false],
	] as const) {
		t.equal(fitsSegments(path, templateSegments(template)), want, `${path} ${template}`);
	}
	t.same(templateSegments("/v2/{a}/b"), ["v2", null, "b"]);
});

t.test("claims match a text or a list of texts, nothing else", async (t) => {
	const claims = {
		sub: "alice",
		list: ["a", 1, null, ["b"], "c"],
		number: 7,
		org: { tenant: "t1", scope: "a b", list: [{ x: "y" }] },
		scope: " read  write ",
		permission: ["read write"],
		"https://example.com/roles": ["clerk"],
		"a.b": "flat",
	};
	for (const [claim, want] of [
		["sub", ["alice"]],
		["list", ["a", "c"]],
		["number", []],
		["org", []],
		["org.tenant", ["t1"]],
		["org.scope", ["a b"]],
		["org.list.x", []],
		["org.list.0", []],
		["scope", ["read", "write"]],
		["permission", ["read write"]],
		["https://example.com/roles", ["clerk"]],
		["a.b", []],
		["none", []],
		["sub.length", []],
		["constructor", []],
		["__proto__", []],
		["toString.name", []],
	] as const) {
		t.same(claimTexts(claims, claim), want, claim);
	}
	t.same(claimPath("org.tenant"), ["org", "tenant"]);
});

t.test("a prefix's hash is among those of each path below it", async (t) => {
	const into = new Int32Array(8);
	const among = (text: string, prefix: string, charsMax = 100): boolean =>
		into.subarray(0, prefixHashes(text, charsMax, into)).includes(hashOf(prefix));
	for (const path of ["/v2", "/v2/", "/v2/x", "/v2/x/y/z"]) {
		t.equal(among(path, "/v2"), true, path);
		t.equal(among(path, "/v2", 3), true, `${path}, no longer than the prefix`);
	}
	t.equal(among("/v20", "/v2"), false);
	t.equal(prefixHashes("/".repeat(100), 100, into), 8, "no more than there is room for");
	t.equal(among("/v2/x", "/v2/x", 3), false, "no longer than was asked");
});

t.test("most paths are unambiguous, by the fast check", async (t) => {
	for (const path of ["/", "/v2/models/a/infer", "/a.b/..c/...", "/é"]) t.equal(isAmbiguous(path), false, path);
	for (const path of ["", "*", "//", "/a;b", "/a%3Bb", "/a%3bb", "/a%2Fb", "/%41", "/a\\b", "/./", "/..", "/a%00"]) {
		t.equal(isAmbiguous(path), true, path);
	}
	t.equal(isAmbiguous("/a%20b"), false, "an escape that all read alike");
	const long = `/${"a".repeat(PATH_CHARS_MAX - 1)}`;
	t.same([isAmbiguous(long), isAmbiguous(`${long}a`)], [false, true], "no rule is asked about a longer one");
	for (let code = 0x21; code < 0x7f; code++) {
		const segment = `a${String.fromCharCode(code)}b`;
		if (isSegment(segment)) t.equal(isAmbiguous(`/${segment}`), false, "what policies may name some request has");
	}
});

t.test("a condition's text is converted to the path to send", async (t) => {
	for (const text of ["/", "/a b", "/café/[x]|", "/100%", "/%41", "/a?b#c", "/€/𝄞", "/!$&'()*+,:=@~"]) {
		t.match(encodedPath(text), /^[!"$->@-~]+$/, text);
		t.equal(decodeURIComponent(encodedPath(text)), text);
	}
	t.equal(encodedPath("/\ud800"), "/%EF%BF%BD", "what no path holds is no error");
	t.equal(isAmbiguous(encodedPath("/a!b@c+d")), false);
});
