/** The cost limit of conditions: computed before use, valid for the library, and per Service. */
import * as fc from "fast-check";
import t from "tap";
import { compileCondition, conditionFault } from "../../../src/compile/access/conditions/condition.js";
import type { VerifiedToken } from "../../../src/compile/access/users/token.js";
import type { AccessRequest } from "../../../src/compile/access/verdict.js";
import {
	CONDITION_LIST_MAX,
	CONDITION_METHOD_CHARS_MAX,
	CONDITION_PATH_CHARS_MAX,
	CONDITION_STEPS_MAX,
	CONDITION_USER_CHARS_MAX,
	SPIFFE_ID_BYTES_MAX,
} from "../../../src/limits/index.js";

const token = (fields: Partial<VerifiedToken> = {}): VerifiedToken => ({
	issuer: "https://one",
	subject: "alice",
	claims: {},
	groups: ["a"],
	tenants: [],
	purposes: [],
	...fields,
});
const input: AccessRequest = {
	principal: "spiffe://a/x",
	method: "GET",
	path: "/v2/x",
	variant: "v1",
	token: token(),
	region: "eu",
	nowMs: Date.UTC(2026, 5, 3, 10, 30),
};
const holds = (text: string, change: Partial<AccessRequest> = {}): boolean | "error" =>
	compileCondition(text).holds({ ...input, ...change }, "prod/employment");

t.test("an expensive condition is refused with its position and an alternative", async (t) => {
	const long = Array.from({ length: 25 }, () => "request.path").join(" + ");
	const list = Array.from({ length: 40 }, (_, index) => `"${"a".repeat(15)}b${index}"`).join(",");
	for (const [text, what, offset] of [
		[`[${list}].exists(g, (${long}).contains(g))`, /^calls contains\(\) with what is no literal text/, null],
		["user.groups.exists(g, request.path.contains(g))", /no literal text/, 44],
		[`user.groups.exists(g, (${long}).startsWith(g))`, /^could take \d+ steps for one request, more than 100000$/, 0],
		['user.groups.exists(g, request.path.contains("ab"))', /^could take/, 0],
		["user.groups.exists(g, request.path.size() > 3)", /^could take/, 0],
		["user.groups.exists(g, request.path + g == g + request.path)", /^could take/, 0],
		["user.groups.exists(g, g in user.groups)", /^could take/, 0],
		["user.groups.exists(g, g == user.claims.a || g == user.claims.b)", /^could take/, 0],
		["user.claims.all(g, user.claims.b == g)", /^could take/, 0],
		[`request.path.contains("${"a".repeat(251)}")`, /no literal text of at most 250/, 22],
		["duration(request.path) == duration('1h')", /^calls duration\(\) with what is no literal/, 9],
		[`duration("${"1".repeat(1_000)}") == duration("1h")`, /^calls duration/, 9],
		['request.time < timestamp("2026-02-30T00:00:00Z")', /^calls timestamp\(\) with what is no RFC 3339 time$/, 25],
		["int(user.claims.a * 1e300) > 0", /^calls int\(\) with a calculation/, 4],
		["int(1e300) > 0", /^calls int/, 4],
	] as const) {
		const fault = conditionFault(text);
		t.match(fault, { hint: /./, what }, text.slice(0, 80));
		if (offset !== null) t.equal(fault?.offset, offset, text.slice(0, 80));
		t.same(conditionFault(text), fault, "and stays refused");
	}
});

/** Walks over claims, whose values may be anything: several of them fit on one Service, with shadow policies too. */
const EVERYDAY = [
	'user.claims.roles.exists(r, r == "admin")',
	'user.claims.roles.exists(r, r == "admin" || r == "ops")',
	'user.claims.roles.all(r, r != "guest")',
	'user.claims.roles.exists_one(r, "admin" == r)',
	'user.claims.roles.exists(r, r in ["admin", "ops"])',
	"user.claims.levels.exists(l, l == 3)",
];

t.test("typical conditions are far below the bound", async (t) => {
	for (const [text, most] of [
		['request.method == "GET"', 100],
		['"admin" in user.groups', 1_000],
		['request.path.startsWith("/u/" + user.subject + "/")', 2_000],
		["user.claims.level >= 3 && user.claims.org.role == 'clerk'", 6_000],
		['user.groups.exists(g, g.startsWith("team-"))', 4_000],
		['request.path.contains("/admin/")', 5_000],
		['request.time - timestamp("2026-06-03T00:00:00Z") > duration("10h30m")', 500],
		["int(user.claims.level) > 3 && int(string(3)) == 3", 3_000],
		...EVERYDAY.map((text) => [text, 8_000] as const),
	] as const) {
		t.equal(conditionFault(text), null, text);
		t.ok(compileCondition(text).steps < most, `${text}: ${compileCondition(text).steps}`);
	}
});

t.test("no result for inputs beyond the sizes of the cost model", async (t) => {
	const path = (length: number): string => `/${"a".repeat(length - 1)}`;
	const reads = 'request.path.startsWith("/a")';
	t.equal(holds(reads, { path: path(CONDITION_PATH_CHARS_MAX) }), true);
	t.equal(holds(reads, { path: path(CONDITION_PATH_CHARS_MAX + 1) }), "error");
	t.equal(holds("true", { path: path(60_000) }), true, "a path that is not read");
	t.equal(holds("true", { method: "A".repeat(CONDITION_METHOD_CHARS_MAX) }), true);
	t.equal(holds("true", { method: "A".repeat(CONDITION_METHOD_CHARS_MAX + 1) }), "error");
	t.equal(holds("true", { principal: "s".repeat(SPIFFE_ID_BYTES_MAX + 1) }), "error");
	for (const name of ["variant", "region"]) t.equal(holds("true", { [name]: "v".repeat(513) }), "error", name);
	const user = (fields: Partial<VerifiedToken>) => holds("has(user.issuer)", { token: token(fields) });
	const most = "a".repeat(CONDITION_USER_CHARS_MAX - 1);
	t.equal(user({ claims: { a: most } }), true);
	t.equal(user({ claims: { ab: most } }), "error", "names count");
	t.equal(user({ claims: { a: [{ b: most }] } }), "error", "all together");
	t.equal(user({ groups: [most, "aa"] }), "error");
	t.equal(user({ subject: `${most}aa` }), "error");
	t.equal(holds("true", { token: token({ claims: { ab: most } }) }), true, "a user that is not read");
	t.equal(holds("int(user.claims.a) > 0", { token: token({ claims: { a: 2 ** 53 - 1 } }) }), true);
	// What was written as 9007199254740993 is read as 9007199254740992.
	for (const a of [2 ** 53, -(2 ** 53), 9e18, 1e300, [[1e300]]])
		t.equal(user({ claims: { a } }), "error", "a number that may not be the one that was written");
});

t.test("no result for claims of a type or depth that the library evaluates slowly", async (t) => {
	const asked = (a: unknown) =>
		holds('user.claims.a.exists(r, r == "admin")', { token: token({ claims: { a: [a, "admin"] } }) });
	const deep = (levels: number): unknown => (levels === 0 ? "x" : [deep(levels - 1)]);
	t.equal(asked(deep(6)), true);
	t.equal(asked(deep(7)), "error", "more than 8 levels with the claims and the list");
	t.equal(asked(JSON.parse('{"__proto__": {"a": 1}}')), true);
	for (const odd of [{ constructor: 1 }, [[{ constructor: "a" }]], JSON.parse('{"__proto__": {"constructor": 1}}')])
		t.equal(asked(odd), "error");
});

/** Does what the library does with texts, lists and errors, and counts it in steps. */
function counted(run: () => void): number {
	let steps = 0;
	const { includes, startsWith, endsWith, padStart } = String.prototype;
	const iterator = String.prototype[Symbol.iterator];
	const patch: Record<string | symbol, (this: string, ...args: [never]) => unknown> = {
		includes(...args) {
			steps += this.length;
			return includes.apply(this, args);
		},
		startsWith(...args) {
			steps += String(args[0]).length / 16;
			return startsWith.apply(this, args);
		},
		endsWith(...args) {
			steps += String(args[0]).length / 16;
			return endsWith.apply(this, args);
		},
		// Each error quotes the expression with its line's number.
		padStart(...args) {
			steps += 200;
			return padStart.apply(this, args);
		},
		[Symbol.iterator]() {
			steps += this.length;
			return iterator.apply(this);
		},
	};
	const own = Reflect.ownKeys(patch).map(
		(name) => [name, Object.getOwnPropertyDescriptor(String.prototype, name)] as const,
	);
	for (const [name] of own) Object.defineProperty(String.prototype, name, { value: patch[name], configurable: true });
	try {
		run();
	} finally {
		for (const [name, was] of own) Object.defineProperty(String.prototype, name, was ?? {});
	}
	return steps;
}

/** Each look at an element is a step. */
function watched<Item>(items: readonly Item[], seen: { steps: number }): readonly Item[] {
	return new Proxy(items, {
		get(of, name, receiver) {
			if (typeof name === "string" && /^\d+$/.test(name)) seen.steps++;
			return Reflect.get(of, name, receiver);
		},
	});
}

const literal = fc.constantFrom('"a"', '"aaaaab"', '"/a"', `"${"a".repeat(100)}b"`, '""');
const { textOf, boolOf } = (() => {
	const leaf = (element: boolean) =>
		fc.oneof(
			literal,
			fc.constantFrom("request.path", "request.path", "request.method", "principal", "variant", "service"),
			fc.constantFrom("user.subject", "user.issuer", "request.region", ...(element ? ["g", "g"] : [])),
		);
	const textOf = (element: boolean): fc.Arbitrary<string> =>
		fc.oneof(
			{ weight: 3, arbitrary: leaf(element) },
			fc.tuple(leaf(element), leaf(element)).map(([a, b]) => `(${a} + ${b})`),
			fc.array(leaf(element), { minLength: 2, maxLength: 12 }).map((all) => `(${all.join(" + ")})`),
			fc.tuple(leaf(element), leaf(element)).map(([a, b]) => `(${a} == "" ? ${a} : ${b})`),
			leaf(element).map((a) => `string(${a})`),
		);
	const one = (element: boolean): fc.Arbitrary<string> => {
		const text = textOf(element);
		return fc.oneof(
			fc.tuple(text, literal).map(([a, b]) => `${a}.contains(${b})`),
			fc.tuple(text, fc.constantFrom("startsWith", "endsWith"), text).map(([a, f, b]) => `${a}.${f}(${b})`),
			fc.tuple(text, fc.constantFrom("==", "!=", "<"), text).map(([a, op, b]) => `${a} ${op} ${b}`),
			text.map((a) => `${a}.size() > 10`),
			text.map((a) => `int(${a}) > 0`),
			fc.tuple(text, fc.constantFrom("user.groups", "user.claims.list")).map(([a, b]) => `${a} in ${b}`),
			text.map((a) => `user.claims.nope == ${a}`),
		);
	};
	const boolOf = (element: boolean): fc.Arbitrary<string> =>
		fc
			.tuple(fc.array(one(element), { minLength: 1, maxLength: 6 }), fc.constantFrom(" || ", " && "))
			.map(([all, by]) => all.join(by));
	return { textOf, boolOf };
})();
const walk = fc
	.tuple(
		fc.oneof(
			fc.constantFrom("user.groups", "user.groups", "user.claims.list", "user.claims"),
			fc.array(textOf(false), { minLength: 1, maxLength: 8 }).map((all) => `[${all.join(", ")}]`),
		),
		fc.constantFrom("exists", "all", "exists_one"),
		boolOf(true),
	)
	.map(([list, how, body]) => `${list}.${how}(g, ${body})`);
const condition = fc
	.array(fc.oneof(walk, boolOf(false)), { minLength: 1, maxLength: 3 })
	.map((all) => all.map((each) => `(${each})`).join(" || "));

t.test("an accepted condition costs no more than computed, on the largest inputs", async (t) => {
	const many = Array.from({ length: CONDITION_LIST_MAX - 2 }, (_, index) => `${"a".repeat(17)}b${index}`);
	const few = Array.from({ length: 12 }, () => "a".repeat(500));
	const kinds: readonly unknown[] = [1.5, 3, "a", null, true, {}, [], { a: 1 }, ["a"], [[1]], { a: { b: null } }];
	const odd: readonly unknown[] = Array.from({ length: 80 }, () => [{ constructor: "a" }]);
	const mixed = Array.from({ length: 11 }, () => kinds).flat();
	let accepted = 0;
	let dearest = 0;
	let closest = 0;
	const ask = (text: string): boolean => {
		if (conditionFault(text) !== null) return true;
		accepted++;
		const { steps, holds } = compileCondition(text);
		for (const list of [many, few, mixed, odd] as const) {
			for (const variant of ["v".repeat(512), null]) {
				const seen = { steps: 0 };
				const user = token({
					groups: watched(list === few ? few : many, seen),
					claims: { list: watched(list, seen) },
					subject: "a".repeat(6_144),
				});
				const path = `/${"a".repeat(CONDITION_PATH_CHARS_MAX - 1)}`;
				const request = { ...input, path, variant, token: user, principal: "a".repeat(SPIFFE_ID_BYTES_MAX) };
				// The sizes are looked at once for each token.
				holds(request, "a".repeat(512));
				seen.steps = 0;
				const done = counted(() => holds(request, "a".repeat(512))) + seen.steps;
				dearest = Math.max(dearest, done);
				closest = Math.max(closest, done / steps);
				if (done > steps) return false;
			}
		}
		return true;
	};
	await fc.assert(fc.property(condition, ask), { numRuns: 1_200 });
	t.comment(
		`${accepted} of 1200 accepted; the dearest did ${Math.round(dearest)} steps; up to ${closest.toFixed(2)} of what was told`,
	);
	t.ok(accepted > 150, "and many are accepted");
	for (const text of [
		Array.from({ length: 20 }, () => 'request.path.contains("aaaaab")').join(" || "),
		'[request.path, request.path, request.path].exists(p, p.contains("aaaaab") || p.size() == 1)',
		"user.groups.exists(g, g == variant)",
		...EVERYDAY.map((text) => text.replace(/roles|levels/, "list")),
	]) {
		t.equal(conditionFault(text), null, text);
		t.ok(ask(text), text);
	}
	t.ok(dearest > CONDITION_STEPS_MAX / 3, "the count sees what is dear");
	t.ok(closest > 0.5, "and the bound is near");
});
