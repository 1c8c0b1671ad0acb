/** What others are told of an AccessPolicy that they are to approve: whether it may let in more than the one that stands. */
import t from "tap";
import { ANYONE } from "../../src/access/requests/principal.js";
import { Room } from "../../src/access/review/comparisons.js";
import { loosened, OpeningsOfChange, openings } from "../../src/access/review/policyLoosened.js";
import { accessTable } from "../../src/access/rules/table.js";
import type { AccessPolicy, ReferenceGrant, ResourceSet } from "../../src/resources/resource.js";
import { rulesLoosened } from "../../src/state/consequences/rulesLoosened.js";
import { accessPolicy, resourceSet, service, variant } from "../fixtures/resources.js";
import { file } from "./employment.js";
import { policyText, RULES_GATEWAY, serviceText } from "./guarded.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const [A, B] = ["spiffe://a.example/a", "spiffe://a.example/b"];
const set = (policies: readonly AccessPolicy[], names = ["shop", "desk"], access: "open" | null = null): ResourceSet =>
	resourceSet({
		services: names.map((name) => service(name, [variant("v1", 1)], { access })),
		accessPolicies: policies,
	});
const allow = (spec: Partial<AccessPolicy["spec"]>) => accessPolicy("staff", "allow", ["*"], spec);
const deny = (spec: Partial<AccessPolicy["spec"]>) => accessPolicy("staff", "deny", ["*"], spec);
const told = (before: ResourceSet, after: ResourceSet) => {
	const changed = [...before.accessPolicies, ...after.accessPolicies];
	const changes = changed.map(
		({ metadata: { name } }) => ({ kind: "AccessPolicy", name, change: "configured" }) as const,
	);
	return rulesLoosened(before, after, changes).flatMap(({ words }) => words);
};

t.test("in the words of weir policy diff, once however many Services it is about", async (t) => {
	const one = (before: AccessPolicy, after: AccessPolicy) => told(set([before]), set([after]));
	t.same(one(allow({ principals: [A] }), allow({ principals: [A, B] })), ["allow widened: staff (principals)"]);
	t.same(one(allow({ principals: [A, B] }), allow({ principals: [A] })), [], "narrower");
	t.same(one(allow({ principals: ["spiffe://a.example/*"] }), allow({ principals: [A, B] })), []);
	t.same(one(allow({ principals: ["*"] }), allow({ principals: [ANYONE] })), ["allow widened: staff (principals)"]);
	t.same(one(allow({ principals: [ANYONE] }), allow({ principals: [A, "*"] })), []);
	t.same(one(allow({ principals: ["*"] }), allow({ principals: [A, "spiffe://a.example/*"] })), []);
	t.same(one(allow({ principals: ["spiffe://a.example/n/*"] }), allow({ principals: [A] })), [
		"allow widened: staff (principals)",
	]);
	const schedule = { timezone: "UTC", days: [1], fromMinute: 0, untilMinute: 60 };
	t.same(one(allow({ principals: [A], schedule }), allow({ principals: [A] })), ["allow widened: staff (schedule)"]);
	t.same(one(allow({ principals: [A] }), allow({ principals: [A], schedule })), []);
	const claims = (...values: string[]) => allow({ principals: [A], claims: [{ claim: "role", values }] });
	t.same(one(claims("x"), claims("x", "y")), ["allow widened: staff (claims)"]);
	t.same(one(claims("x", "y"), claims("y")), []);
	t.same(one(deny({ principals: [A, B] }), deny({ principals: [B] })), ["deny weakened: staff (principals)"]);
	t.same(one(deny({ principals: [A] }), deny({ principals: [A], mode: "shadow" })), ["deny removed: staff"]);
	t.same(told(set([]), set([allow({ principals: [A] })])), ["allow added: staff"]);
	t.same(told(set([]), set([allow({ principals: [A] })], ["shop"])), ["allow added: staff"]);
	t.same(
		told(set([], ["shop"], "open"), set([allow({ principals: [A] })], ["shop"], "open")),
		[],
		"it was open to all",
	);
	t.same(told(set([allow({ principals: [A] })], ["shop"], "open"), set([], ["shop"], "open")), [
		"no rule is left, and anyone may call it",
	]);
});

t.test("long lists hold nobody up", async (t) => {
	const ids = Array.from({ length: 30_000 }, (_, n) => `spiffe://a.example/n${n}`);
	const from = performance.now();
	t.same(told(set([allow({ principals: ids })]), set([allow({ principals: ids.toReversed() })])), []);
	t.same(told(set([allow({ principals: ids })]), set([allow({ principals: [...ids, B] })])), [
		"allow widened: staff (principals)",
	]);
	// Each with each they are 900 million pairs.
	t.ok(performance.now() - from < 5_000);
});

t.test("many paths hold nobody up, however many policies have them", async (t) => {
	const paths = (tail: string, many: number) => Array.from({ length: many }, (_, n) => `/p${n}${tail}`);
	const of = (tail: string, many: number, policies: number) =>
		set(
			Array.from({ length: policies }, (_, n) =>
				accessPolicy(`staff${n}`, "allow", ["*"], { principals: [A], pathPrefixes: paths(tail, many) }),
			),
		);
	const from = performance.now();
	for (const [many, policies] of [
		[60_000, 1],
		[1_000, 75],
	] as const) {
		t.same(told(of("", many, policies), of("/x", many, policies)), [], "narrower");
		t.same(told(of("/x", many, policies), of("", many, policies)).length, policies);
	}
	// Each with each they are 3,600 million pairs, and 75 million.
	t.ok(performance.now() - from < 5_000);
});

/** Each of them has an exact segment and a name where another has the other: all are gone through for one like them. */
const forks = (depth: number): string[] =>
	Array.from(
		{ length: 2 ** depth },
		(_, n) => `/${Array.from({ length: depth }, (_, at) => ((n >> at) % 2 === 1 ? "{x}" : "a")).join("/")}/{y}`,
	);
const likeForks = (depth: number, many: number): string[] =>
	Array.from({ length: many }, (_, n) => `${"/a".repeat(depth)}/n${n}`);

t.test("templates hold nobody up, and of those that are not looked at, they may let in more", async (t) => {
	const of = (pathTemplates: readonly string[]) => set([allow({ principals: [A], pathTemplates })]);
	const one = (head: string, many: number) => of(Array.from({ length: many }, (_, n) => `/${head}/{id}/p${n}`));
	t.same(told(one("{shop}", 9), one("a", 9)), [], "narrower");
	t.same(told(one("{shop}", 9), one("{other}", 9)), [], "the same");
	t.same(told(one("a", 9), one("{shop}", 9)), ["allow widened: staff (paths)"]);
	const only = (template: string) => of([template]);
	t.same(told(only("/a/{id}"), only("/a/")), ["allow widened: staff (paths)"], "a name is never empty");
	t.same(told(only("/a/{id}"), only("/a/{id}/admin")), ["allow widened: staff (paths)"], "as long as it is");
	const under = set([allow({ principals: [A], pathPrefixes: ["/a/admin"] })]);
	t.same(
		told(under, only("/a/{id}/admin")),
		["allow widened: staff (paths)"],
		"what stands before its first name counts",
	);
	t.same(told(under, only("/a/admin/{id}")), []);
	const from = performance.now();
	t.same(told(one("{shop}", 9_000), one("a", 9_000)), [], "each with each they are 81 million pairs");
	const deep = (end: string) => of(Array.from({ length: 1_900 }, (_, n) => `${"/a".repeat(480)}/{x}/${end}${n}`));
	t.same(told(deep("o"), deep("n")), ["allow widened: staff (paths)"], "that differ at their ends");
	t.same(told(of(forks(12)), of(likeForks(12, 2_000))), ["allow widened: staff (too much to compare)"]);
	t.ok(performance.now() - from < 10_000);
});

const grant = (namespace: string): ReferenceGrant => ({
	kind: "ReferenceGrant",
	metadata: { ...accessPolicy("all", "deny", ["*"], {}).metadata, namespace },
	spec: { from: [{ kind: "AccessPolicy", namespace: "default" }], to: [{ kind: "Service", name: null }] },
});

t.test("what befalls another namespace's Services is told there", async (t) => {
	const services = ["shop", "bank"].map((namespace) => {
		const one = service("desk", [variant("v1", 1)], { access: null });
		return { ...one, metadata: { ...one.metadata, namespace } };
	});
	const ban = (...names: readonly string[]) => accessPolicy("ban", "deny", names, { principals: [A] });
	const [before, after] = [ban("shop/desk", "bank/desk"), ban("shop/desk")].map((policy) =>
		resourceSet({ services, accessPolicies: [policy], referenceGrants: ["shop", "bank"].map(grant) }),
	);
	if (before === undefined || after === undefined) throw new Error("none");
	t.same(rulesLoosened(before, after, [{ kind: "AccessPolicy", name: "ban", change: "configured" }]), [
		{ policy: "ban", namespace: "bank", services: ["desk"], words: ["deny removed: ban"] },
	]);
});

t.test("the Services where it may are named, one namespace's together", async (t) => {
	const names = ["a", "b", "c", "d"];
	const changes = [{ kind: "AccessPolicy", name: "staff", change: "configured" }] as const;
	const [found, ...others] = rulesLoosened(set([], names), set([allow({ principals: [A] })], names), changes);
	t.match(found, { policy: "staff", services: names, words: ["allow added: staff"] });
	t.same(others, []);
	// Each with what befalls it.
	const ban = (services: readonly string[], principals: readonly string[]) =>
		set([accessPolicy("ban", "deny", services, { principals })], ["cart", "pay"]);
	t.same(
		rulesLoosened(ban(["cart", "pay"], [A, B]), ban(["cart"], [B]), [
			{ kind: "AccessPolicy", name: "ban", change: "configured" },
		]).map(({ services, words }) => [...services, ...words]),
		[
			["cart", "deny weakened: ban (principals)"],
			["pay", "deny removed: ban"],
		],
	);
});

/** So many policies of so many principals, of which all but the last are the same. */
const staffs = (called: string, policies: number, principals: number, id = "spiffe://a.example/n"): AccessPolicy[] =>
	Array.from({ length: policies }, (_, n) =>
		accessPolicy(`${called}${n}`, "allow", ["*"], {
			principals: Array.from({ length: principals }, (_, at) => `${id}${at === principals - 1 ? `own${n}` : at}`),
		}),
	);
const PRINCIPALS = Array.from({ length: 100 }, (_, n) => `spiffe://a.example/p${n}`);

/** What is opened from one to the other, at each Service. */
function opened(before: ResourceSet, after: ResourceSet) {
	const compared = new OpeningsOfChange();
	return before.services.flatMap((one) =>
		compared.of(one, accessTable(one, before.accessPolicies), accessTable(one, after.accessPolicies)),
	);
}

t.test("a rule under a new name opens no Service, however many there are", async (t) => {
	const names = Array.from({ length: 400 }, (_, n) => `s${n}`);
	t.same(opened(set(staffs("q", 100, 20), names), set(staffs("p", 100, 20), names)), []);
});

t.test("where no room is left, not each is asked about each", async (t) => {
	class Spent extends Room {
		asked = 0;
		override take(): boolean {
			this.asked++;
			return false;
		}
	}
	const [spent, many] = [new Spent(0), 100];
	const [one] = set([], ["shop"]).services;
	if (one === undefined) throw new Error("none");
	const table = (called: string) => accessTable(one, staffs(called, many, 2, `spiffe://a.example/${called}`));
	t.equal(openings(table("q"), table("p"), spent).length, many);
	t.ok(spent.asked < many * 5, `${spent.asked}`);
});

t.test("what says the same opens nothing, under whatever name and without any room left", async (t) => {
	const [one] = set([], ["shop"]).services;
	if (one === undefined) throw new Error("none");
	const table = (called: string, principals = 400) =>
		accessTable(one, [allow({ principals: [A] }), ...staffs(called, 1, principals)]);
	t.same(openings(table("p"), table("p"), new Room(0)), []);
	t.same(openings(table("q"), table("p"), new Room(0)), []);
	t.same(openings(table("q", 401), table("p"), new Room(0)), [
		{ policy: table("p").policies[0], what: "it may let in more, there is too much to compare" },
	]);
	const other = accessTable(one, [accessPolicy("p", "allow", ["*"], { principals: [B] })]);
	t.same(
		openings(table("q", 3), table("p", 2), new Room(0)).map(({ what }) => what),
		["it may let in more, there is too much to compare"],
		"a small one under another name finds none",
	);
	t.same(openings(table("q", 2), other, new Room(100)), [
		{ policy: other.policies[0], what: "it lets in more than the rules of now" },
	]);
	const fewer = (to: number) =>
		accessTable(one, [...staffs("a", 1, 300), allow({ principals: [A, B, ...PRINCIPALS].slice(0, to) })]);
	t.same(openings(fewer(100), fewer(99), new Room(0)), [], "a small one is compared with its former self in any case");
	const lone = allow({ principals: [A] });
	const denied = accessTable(one, [lone, accessPolicy("no", "deny", ["*"], { principals: [...PRINCIPALS, A] })]);
	t.match(
		openings(accessTable(one, []), denied, new Room(10)),
		[{ what: /may let in more/ }],
		"where it is denials that are too much",
	);
	t.same(openings(accessTable(one, []), denied, new Room(1_000)), [], "of which one keeps it out");
	const users = (name: string, principal: string, many: number) =>
		accessPolicy(name, "allow", ["*"], {
			principals: [principal],
			users: Array.from({ length: many }, (_, n) => `https://${name}.example#${n}`),
		});
	t.same(
		openings(
			accessTable(one, [users("z", A, 300)]),
			accessTable(one, [users("a", A, 299), users("b", B, 1)]),
			new Room(100),
		).map(({ policy, what }) => [policy?.name, what]),
		[
			["a", "it may let in more, there is too much to compare"],
			["b", "it lets in more than the rules of now"],
		],
		"what is small is told for sure after it",
	);
	const covered = accessTable(one, [users("a", A, 299)]);
	t.same(
		openings(
			accessTable(one, [users("m", A, 300), accessPolicy("z", "allow", ["*"], { principals: [A] })]),
			covered,
			new Room(100),
		),
		[],
		"and what is small is looked at after what is too much",
	);
	const wide = accessTable(one, [users("a", B, 1), accessPolicy("wide", "allow", ["*"], { principals: [A, B] })]);
	for (let room = 0; room < 20; room++) {
		const found = openings(wide, accessTable(one, [lone]), new Room(room));
		t.notOk(
			found.some(({ what }) => what === "it lets in more than the rules of now"),
			`room for ${room}: nothing is said for sure`,
		);
	}
	const many = (called: string) => accessTable(one, staffs(called, 300, 3));
	t.same(openings(many("q"), many("p")), [], "however many they are");
});

t.test("Services that differ are told apart, whichever comes first", async (t) => {
	const [a, b, c] = [
		service("a", [variant("v1", 1)], { access: null }),
		service("b", [variant("v1", 1)], { access: "open" }),
		service("c", [variant("v1", 1)], { access: null }),
	];
	const gone = (spec: Partial<AccessPolicy["spec"]>, beside: Partial<AccessPolicy["spec"]>) => {
		const all = [accessPolicy("gone", "allow", ["a", "b", "c"], { principals: [A], ...spec })];
		const others = (services: readonly string[]) => accessPolicy("beside", "allow", services, beside);
		return (which: readonly string[]) =>
			rulesLoosened(
				resourceSet({ services: [a, b, c], accessPolicies: [...all, others(which)] }),
				resourceSet({ services: [a, b, c], accessPolicies: [others(which)] }),
				[{ kind: "AccessPolicy", name: "gone", change: "deleted" }],
			).flatMap(({ services, words }) => services.map((one) => `${one}: ${words.join("; ")}`));
	};
	t.same(gone({}, { principals: [B] })(["a", "c"]), ["b: no rule is left, and anyone may call it"]);
	t.same(gone({ pathPrefixes: ["/a"] }, { principals: [B], pathPrefixes: ["/b"] })(["a", "b"]), [
		"c: paths that can be read in two ways are refused no more",
	]);
	t.same(gone({ users: ["*"] }, { principals: [B], users: ["*"] })(["a", "b"]), [
		"c: tokens that do not hold are refused no more",
	]);
	const added = (services: readonly ReturnType<typeof service>[]) =>
		rulesLoosened(
			resourceSet({ services, accessPolicies: [] }),
			resourceSet({ services, accessPolicies: [allow({ principals: [A] })] }),
			[{ kind: "AccessPolicy", name: "staff", change: "created" }],
		).map(({ services, words }) => [...services, ...words]);
	t.same(added([b, c]), [["c", "allow added: staff"]], "one was open before");
	const compared = new OpeningsOfChange();
	const rules = [allow({ principals: [A] })];
	const [none, some] = [(one: typeof a) => accessTable(one, []), (one: typeof a) => accessTable(one, rules)];
	const first = compared.of(a, none(a), some(a));
	t.match(first, [{ policy: { name: "staff" } }]);
	t.equal(compared.of(c, none(c), some(c)), first, "the same rules are compared once");
	t.same(compared.of(b, none(b), some(b)), [], "it was open");
	const elsewhere = { ...a, metadata: { ...a.metadata, namespace: "bank" } };
	const wider = accessTable(a, [allow({ principals: [A, B] })]);
	t.match(compared.of(a, some(a), wider), [{ policy: { name: "staff" } }]);
	t.same(compared.of(elsewhere, wider, wider), [], "what was there before is another thing in another namespace");
	const anew = new OpeningsOfChange();
	t.same([anew.of(a, some(a), some(a)), anew.of(a, none(a), none(a))], [[], []]);
	t.match(anew.of(c, none(c), some(c)), [{ policy: { name: "staff" } }], "nor is another before or another after");
	const little = new OpeningsOfChange(new Room(1_000));
	const [large, larger] = [900, 901].map((many) => (called: string) => accessTable(a, staffs(called, 1, many)));
	if (large === undefined || larger === undefined) throw new Error("none");
	t.same(little.of(a, large("q"), large("p")), []);
	t.match(
		[little.of(a, larger("q"), large("r")), little.of(c, larger("s"), large("t"))].map((found) => found.length),
		[1, 1],
		"all Services together have one room",
	);
});

t.test("what is opened is told the same each time, and holds nobody up", async (t) => {
	const own = accessPolicy("own", "allow", ["*"], { principals: [B] });
	const long = `spiffe://a.example/${"x/".repeat(100)}`;
	/** The last of each is another one afterwards. */
	const changed = (policies: readonly AccessPolicy[]) =>
		policies.map((one) => ({ ...one, spec: { ...one.spec, principals: [...one.spec.principals.slice(0, -1), B] } }));
	for (const [principals, id] of [
		[700, undefined],
		[120, long],
	] as const) {
		const before = set([...staffs("q", 99, principals, id), own]);
		const after = set([...changed(staffs("p", 99, principals, id)), own]);
		const from = performance.now();
		const first = opened(before, after);
		t.equal(new Set(first.map(({ policy }) => policy?.name)).size, 99);
		t.same(opened(before, after), first);
		t.notOk(
			first.some(({ policy }) => policy?.name === "own"),
			"what stays as it is opens nothing",
		);
		t.ok(performance.now() - from < 10_000, `${performance.now() - from} ms`);
	}
});

t.test("what stays as it is costs nothing, however much it is", async (t) => {
	const ids = Array.from({ length: 1_000 }, (_, n) => `spiffe://a.example/n${n}`);
	const claims = [{ claim: "role", values: ids }];
	const kept = Array.from({ length: 50 }, (_, n) =>
		accessPolicy(`kept${n}`, "allow", ["*"], { principals: ids, claims }),
	);
	const names = Array.from({ length: 50 }, (_, n) => `s${n}`);
	const ban = accessPolicy("ban", "deny", ["s1"], { principals: [A] });
	t.same(loosened(set([...kept, ban], names), set(kept, names)), ["deny removed: ban, of Service s1"]);
});

t.test("of many policies with many entries not all are compared: then they may", async (t) => {
	const small = (...principals: string[]) => accessPolicy("z", "allow", ["*"], { principals });
	const of = (templates: readonly string[], last: AccessPolicy) =>
		set([
			...Array.from({ length: 6 }, (_, n) =>
				accessPolicy(`staff${n}`, "allow", ["*"], { principals: [A], pathTemplates: [...templates] }),
			),
			last,
		]);
	const from = performance.now();
	t.same(
		told(of(forks(10), small(A, B)), of(likeForks(10, 1_000), small(A))),
		[
			// The first two are seen to be narrower.
			...Array.from({ length: 4 }, (_, n) => `allow widened: staff${n + 2} (too much to compare)`),
		],
		"what is small has room after them",
	);
	t.ok(performance.now() - from < 10_000);
});

t.test("it stands in the request, and in the audit log", async (t) => {
	const { owner, as } = await mutualApi(t);
	const rules = [binding("ann", "apply", ["ann"], "[default]"), binding("bob", "approve", ["bob"], "[default]")];
	const waits = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [default]}
`;
	const services = ["bank", "cart", "desk", "shop", "till"];
	const all = policyText("all", "*");
	const first = [
		RULES_GATEWAY,
		...services.map((one) => serviceText(one)),
		policyText("web", "shop"),
		all,
		...rules,
		waits,
	];
	const made = await owner.apply(file(first.join("---\n")), { dryRun: false });
	t.equal(made.outcome, "applied", JSON.stringify(made));
	const [ann, bob] = [await as("ann"), await as("bob")];
	const wide = policyText("web", "shop").replace("spiffe://a.example/web", "spiffe://a.example/*");
	await ann.apply(file(wide), { dryRun: false });
	const effects = [
		"configured AccessPolicy web: spec.principals",
		"AccessPolicy web may let in more at Services of namespace default (shop): allow widened: web (principals)",
	];
	const [request] = await bob.requests();
	t.same(request?.effects, effects);
	t.match(await bob.approve(request?.id ?? ""), { state: "done" });
	t.match((await owner.audit(0, 100, "acts")).records.at(-1), { verb: "apply", objects: effects });
	await ann.apply(file(policyText("web", "shop")), { dryRun: false });
	t.same((await bob.requests()).at(-1)?.effects, ["configured AccessPolicy web: spec.principals"]);
	await ann.apply(file(all.replace("spiffe://a.example/all", "spiffe://a.example/*")), { dryRun: false });
	t.equal(
		(await bob.requests()).at(-1)?.effects.at(-1),
		"AccessPolicy all may let in more at Services of namespace default (bank, cart, desk and 2 more): allow widened: all (principals)",
	);
});
