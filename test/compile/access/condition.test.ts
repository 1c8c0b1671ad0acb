/** Conditions in CEL: their inputs, their errors, and their bounded cost. */
import t from "tap";
import {
	CONDITION_CHARS_MAX,
	CONDITION_DEPTH_MAX,
	compileCondition,
	conditionFault,
} from "../../../src/compile/access/conditions/condition.js";
import type { VerifiedToken } from "../../../src/compile/access/users/token.js";
import type { AccessRequest } from "../../../src/compile/access/verdict.js";
import { CONDITION_LIST_MAX, RESOURCES_MAX } from "../../../src/limits/index.js";
import { CONDITIONS } from "./conditions.js";

const token: VerifiedToken = {
	issuer: "https://one",
	subject: "alice",
	claims: { level: 3, deep: { role: "clerk" }, list: ["a", 1, null] },
	groups: ["clerks"],
	tenants: ["t1"],
	purposes: ["care"],
};
const input: AccessRequest = {
	principal: "spiffe://a/x",
	method: "GET",
	path: "/v2/x",
	variant: "v1",
	token,
	region: "eu",
	nowMs: Date.UTC(2026, 5, 3, 10, 30),
};
const holds = (text: string, change: Partial<AccessRequest> = {}): boolean | "error" =>
	compileCondition(text).holds({ ...input, ...change }, "prod/employment");

t.test("a condition reads all documented fields", async (t) => {
	for (const text of [
		'request.method == "GET" && request.path == "/v2/x" && request.region == "eu"',
		'request.time == timestamp("2026-06-03T10:30:00Z") && request.time.getHours() == 10',
		'request.time - timestamp("2026-06-03T00:00:00Z") > duration("10h")',
		'principal == "spiffe://a/x" && variant == "v1" && service == "prod/employment"',
		'user.issuer == "https://one" && user.subject == "alice"',
		'"clerks" in user.groups && user.tenants == ["t1"] && "care" in user.purposes',
		'user.claims.level >= 3 && user.claims.deep.role == "clerk" && "a" in user.claims.list',
		'user.groups.all(group, group.endsWith("s")) && user.groups.exists_one(group, group == "clerks")',
		'size(user.groups) == 1 && user.groups.size() == 1 && int("3") == 3 && string(3) == "3" && double("1.5") < 2.0',
		'(request.method in ["GET", "HEAD"] ? "a" : "b") == "a" && -1 < 0 && !(1 == 2) && 7 % 4 == 3',
	]) {
		t.equal(holds(text), true, text);
	}
});

t.test("a missing field is an error except in has(), and an error never decides", async (t) => {
	t.equal(holds('variant == "v1"', { variant: null }), "error");
	t.equal(holds('request.region == "eu"', { region: null }), "error");
	t.equal(holds("has(request.region)", { region: null }), false);
	t.equal(holds('user.subject == "alice"', { token: null }), "error");
	t.equal(holds("has(user.subject)", { token: null }), false);
	t.equal(holds("has(user.subject)", { token: { ...token, subject: null } }), false);
	t.equal(holds('principal == ""', { principal: null }), true);
	t.equal(holds("user.claims.none == 1"), "error");
	t.equal(holds("user.claims.deep.role > 3"), "error", "another type");
	t.equal(holds('variant == "v1" || request.method == "GET"', { variant: null }), true, "CEL's or forgives");
	t.equal(holds('variant == "v1" && request.method == "PUT"', { variant: null }), false, "and so does its and");
	t.equal(holds("1 / 0 == 1"), "error");
	const contractor = "has(user.claims) && has(user.claims.contractor) && user.claims.contractor == true";
	const as = (claims: object) => ({ token: { ...token, claims: { ...token.claims, ...claims } } });
	t.equal(holds(contractor), false);
	t.equal(holds(contractor, { token: null }), false, "nor are those who show none refused");
	t.equal(holds(contractor, as({ contractor: true })), true);
	t.equal(holds(contractor, as({ contractor: "true" })), false);
});

t.test("a text converts to a number or a time in one form only, otherwise it is an error", async (t) => {
	const asked = (text: string, x: unknown) => holds(text, { token: { ...token, claims: { x } } });
	for (const x of ["7", "+7", "-7", "007"]) t.equal(asked("int(user.claims.x) < 8", x), true, x);
	t.equal(asked("int(user.claims.x) == 9223372036854775807", "9223372036854775807"), true);
	t.equal(asked("int(user.claims.x) == -9223372036854775808", "-9223372036854775808"), true);
	const noInts = ["", " ", "\n", "7\n", "0b1", "0o7", "0x7", "0X7", "7.0", "1e3", "٧", "--7", "+"];
	for (const x of [...noInts, "9223372036854775808", true, null, []]) {
		t.equal(asked("int(user.claims.x) < 10", x), "error", JSON.stringify(x));
		t.equal(asked("int(user.claims.x) > 2", x), "error", JSON.stringify(x));
	}
	for (const x of ["7", "7.5", "-.5", "7.", "1e-3", "+1E2"])
		t.equal(asked("double(user.claims.x) < 1000.0", x), true, x);
	for (const x of [
		"",
		" ",
		"7\n",
		"0b1",
		"0o7",
		"0x7",
		"1_0",
		"NaN",
		"nan",
		"-inf",
		"Infinity",
		"1e400",
		".",
		"e1",
		true,
	])
		t.equal(asked("!(double(user.claims.x) > 1000.0)", x), "error", JSON.stringify(x));
	const later = 'timestamp(user.claims.x) > timestamp("2026-02-27T23:30:00Z")';
	for (const x of ["2026-02-28T00:00:00Z", "2026-02-28T01:00:00+01:00", "2026-02-28T00:00:00.1234567891Z"])
		t.equal(asked(later, x), true, x);
	for (const x of [
		"2026-02-29T00:00:00Z",
		"2026-02-31T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-03-00T00:00:00Z",
		"2026-02-28T24:00:00Z",
		"2026-02-28T23:59:60Z",
		"2026-02-28T00:00:00",
		"Sat, 28 Feb 2026 00:00:00 GMT",
		"2026-02-28 00:00:00Z",
		"2026-02-28T00:00:00+24:00",
		"",
	])
		t.equal(asked(later, x), "error", x);
	t.equal(
		holds("int(3.9) == 3 && int(int(3)) == 3 && double(3) == 3.0 && double(2u) == 2.0 && double(1.5) == 1.5"),
		true,
	);
	t.equal(holds('timestamp(0) == timestamp("1970-01-01T00:00:00Z")'), true);
	t.equal(holds('["7", ""].exists(x, int(x) == 7)'), true, "in a walk");
	t.equal(holds('["", "0b1"].all(x, int(x) < 7)'), "error");
	t.equal(holds("int([1e300][0]) > 0"), "error", "beyond int64, out of a list too");
	t.equal(holds("[1e300].exists(x, int(x) > 0)"), "error");
	const longer = ["int(X) > 0", "X > X - 1", "1 == X", "1 in [2, X]", "-X < 0", "int(0x8000000000000000) > 0"];
	for (const text of longer.map((one) => one.replaceAll("X", "9223372036854775809"))) {
		t.match(conditionFault(text), { what: /no int, which has 64 bits/, hint: /a double such as 1e19/ }, text);
	}
	t.equal(holds("-9223372036854775808 < 9223372036854775807 && -9223372036854775808 != 1"), true, "the ends");
	// What tried each way to cut it would be busy for an hour.
	t.equal(asked("double(user.claims.x) < 1000.0", `${"1".repeat(1_000_000)}x`), "error", "however long");
	t.match(conditionFault("int(true) == 1")?.what, /found no matching overload for 'int\(bool\)'$/, "in its own words");
	t.not(conditionFault('strict_int("7") == 7'), null);
});

t.test("names of JavaScript's own objects are no claims", async (t) => {
	for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
		t.equal(holds(`has(user.claims.${name})`), false, name);
		t.equal(holds(`user.claims["${name}"] == "x"`), "error", name);
		for (const text of [name, `request.${name}`, `user.${name}`, `${name}.path`, `${name}.${name}`])
			t.not(conditionFault(`${text} == "a"`), null, text);
	}
	const claims = JSON.parse('{"__proto__": {"role": "x"}, "constructor": "y"}');
	t.equal(holds('user.claims.role == "x"', { token: { ...token, claims } }), "error");
	t.not(holds("has(user.claims.role)", { token: { ...token, claims } }), true);
});

t.test("the fields that a condition reads are known after parsing", async (t) => {
	const nothing = { path: false, variant: false, user: false, issuer: false, region: false };
	const reads = (text: string) => compileCondition(text).reads;
	t.same(reads('request.method == "GET" && principal != "" && service == "a"'), nothing);
	t.same(reads('request.path == "/"'), { ...nothing, path: true });
	t.same(reads('request["path"] == "/"'), { ...nothing, path: true, region: true });
	t.same(reads("has(request.region)"), { ...nothing, region: true });
	t.same(reads('true || variant == "v1"'), { ...nothing, variant: true });
	t.same(reads('["a"].exists(one, one in user.groups)'), { ...nothing, user: true });
	t.same(reads('1 == 1 ? true : [user.subject] == ["a"]'), { ...nothing, user: true });
	t.same(reads('user.subject == "a" && user.issuer == "b"'), { ...nothing, user: true, issuer: true });
});

t.test("an invalid condition is reported with its position", async (t) => {
	for (const [text, what, offset, hint] of [
		["", /^is no CEL expression: /, 0],
		["request.method ==", /^is no CEL expression: /, 17],
		["request.methud == 'GET'", /^is no valid CEL expression: No such key: methud$/, 8],
		["usr.subject == 'a'", /^is no valid CEL expression: Unknown variable: usr$/, 0],
		["request.method == 1", /^is no valid CEL expression: no such overload/, 0],
		["request.method", /^is of type string, not bool$/, 0],
		["user.claims.flag", /^is of type dyn, not bool$/, 0, /^write a comparison such as user.claims.NAME == true: /],
		["1", /^is of type int, not bool$/, 0],
	] as const) {
		const fault = conditionFault(text);
		t.match(fault?.what, what, text);
		t.equal(fault?.offset, offset, text);
		if (hint !== undefined) t.match(fault?.hint, hint, text);
	}
});

t.test("functions that could run for long are unavailable", async (t) => {
	const deep = (depth: number): string => `${"!".repeat(0)}${"(".repeat(depth)}true${")".repeat(depth)}`;
	for (const text of [
		'request.path.matches("^(a+)+$")',
		"user.groups.map(one, one) == []",
		"user.groups.filter(one, true) == []",
		'request.path.split("/") == []',
		'["a"].join() == "a"',
		'cel.bind(a, "x", a == a)',
		'{"a": 1} == {"a": 1}',
		'b"{}".json() == 1',
		"user.groups.exists(a, user.groups.exists(b, a == b))",
		"user.groups.exists(a, user.groups.all(b, a == b))",
		'request.time.getHours("Europe/Berlin") == 1',
		"type(1) == int",
		`"${"a".repeat(CONDITION_CHARS_MAX)}" == "a"`,
		Array.from({ length: 100 }, () => "true").join(" && "),
		`[${Array.from({ length: 130 }, (_, index) => index).join(",")}] == []`,
		deep(CONDITION_DEPTH_MAX + 10),
	]) {
		t.not(conditionFault(text), null, text.slice(0, 60));
	}
});

t.test("a token whose claims are too many is an error at once", async (t) => {
	const many = Array.from({ length: CONDITION_LIST_MAX }, (_, index) => `g${index}`);
	t.equal(holds('"g1" in user.groups', { token: { ...token, groups: many.slice(1) } }), true);
	t.equal(holds('"g1" in user.groups', { token: { ...token, groups: many } }), "error");
	t.equal(holds("has(user.subject)", { token: { ...token, claims: { a: { b: many } } } }), "error");
	t.equal(holds('request.method == "GET"', { token: { ...token, groups: many } }), true, "it reads no user");
});

t.test("the conditions of the property test are valid", async (t) => {
	for (const text of Object.keys(CONDITIONS)) t.equal(conditionFault(text), null, text);
});

t.test("a condition sees the path percent-decoded", async (t) => {
	const sees = (path: string, text: string) => holds(`request.path == ${JSON.stringify(text)}`, { path });
	for (const path of ["/caf%c3%a9/a%20b", "/caf%C3%A9/a%20b", "/caf%C3%a9/a%20b"])
		t.equal(sees(path, "/café/a b"), true);
	t.equal(sees("/a%5Bb%7cc%23%25%22+", '/a[b|c#%"+'), true);
	t.equal(sees("/%EF%BB%BFa", "/\ufeffa"), true, "a byte order mark is a character");
	t.equal(holds('request.path.endsWith("é") && request.method == "GET"', { path: "/%C3%A9" }), true);
	for (const path of ["/%ff", "/a%C3", "/%C3b", "/%80", "/%E2%82", "/%ED%A0%80", "/%C0%AF", "/%", "/%zz"]) {
		t.equal(holds('request.path.startsWith("/a")', { path }), "error", path);
		t.equal(holds('!(request.path == "/x") || request.method == "GET"', { path }), "error", "whatever else it asks");
		t.equal(holds('request.method == "GET"', { path }), true, "where it does not read the path");
	}
	const claim = { token: { ...token, claims: { docs: "my secret|ü" }, subject: "auth0|5f7c" } };
	const own = 'request.path.startsWith("/" + user.subject + "/") && request.path.endsWith(string(user.claims.docs))';
	t.equal(holds(own, { ...claim, path: "/auth0%7C5f7c/my%20secret%7c%C3%BC" }), true);
});

t.test("a comparison with a text that no path contains is refused with the text to write", async (t) => {
	const [decoded, query, variable] = ["sees it percent-decoded", "sees it without its query", "{name} stands"];
	const before = "compare with what is before the escape";
	const told: readonly (readonly [text: string, why?: string, instead?: string, offset?: number])[] = [
		['request.path.startsWith("/caf%c3%a9")', decoded, 'write "/café"', 24],
		['"/%61dmin" == request.path', decoded, 'write "/admin"', 0],
		['!(request.path in ["/x", "/a%20b"])', decoded, 'write "/a b"', 25],
		['request["path"] == "/100%25"', decoded, 'write "/100%"'],
		['request.path.endsWith(request.method == "%7C" ? "%7Cb" : "x")', decoded, 'write "|b"', 48],
		['request.path == "/" + "x%20y"', decoded, 'write "x y"'],
		['!(request.path in ["/x"] + ["/a%20b"])', decoded, 'write "/a b"'],
		['["/x", "/a%20b"].exists(p, request.path.startsWith(p))', decoded, 'write "/a b"'],
		...["%C3", "%ff", "/a%2Fb", "/a%5cb", "/a%3bb", "/a%3Fb", "/a%00", "/a%7F", "/a%2541"].map(
			(text) => [`request.path.contains("${text}")`, decoded, before] as const,
		),
		['request.path.startsWith("/export?")', query, `write "/export", with startsWith() where a path's own is meant`],
		['request.path == "/a%20b?c"', decoded, 'write "/a b?c"'],
		['request.method == "GET" && request.path.contains("?all=1")', query, "leave that out"],
		['request.path == "/users/{id}"', variable, "write pathTemplates, or startsWith() with what is before it"],
		['request.path.startsWith("/{tenant_1}/x")', variable],
		['request.path.endsWith("{id}")', variable],
		["request.path == '/<\"^`>{|} é[%]%2'"],
		['request.path.contains("{id")'],
		['request.path == "/a{id}"'],
		['["/a%20b"].exists(p, p == user.subject && request.path == "/x")'],
		['user.subject == "%C3?/{id}" && request.path.startsWith("/x")'],
		["request.path == user.subject"],
	];
	for (const [text, why, instead, offset] of told) {
		const fault = conditionFault(text);
		if (why === undefined) {
			t.equal(fault, null, text);
			continue;
		}
		t.match(fault?.what, why, text);
		if (instead !== undefined) t.equal(fault?.hint, instead, text);
		if (offset !== undefined) t.equal(fault?.offset, offset, text);
	}
});

t.test("the cache keeps as many conditions as may be declared, then drops the least recently used", async (t) => {
	const textOf = (at: number): string => `request.method == "M${at}"`;
	const made = Array.from({ length: RESOURCES_MAX }, (_, at) => compileCondition(textOf(at)));
	const again = made.filter((one, at) => compileCondition(textOf(at)) === one);
	t.equal(again.length, RESOURCES_MAX);
	compileCondition(textOf(0));
	compileCondition(textOf(RESOURCES_MAX));
	t.equal(compileCondition(textOf(0)), made[0], "asked for a moment ago");
	t.equal(compileCondition(textOf(2)), made[2]);
	t.not(compileCondition(textOf(1)), made[1]);
});
