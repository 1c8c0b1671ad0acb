/** Whom another default Variant would shut out: case by case, and held against requests of random rules. */
import fc from "fast-check";
import t from "tap";
import { Room } from "../../src/access/review/comparisons.js";
import { shutOutBy } from "../../src/access/review/shutOut.js";
import { accessTable, compileAccess } from "../../src/access/rules/policy.js";
import type { AccessPolicy } from "../../src/resources/resource.js";
import { accessPolicy, service, variant } from "../fixtures/resources.js";
import * as arbitrary from "./arbitrary.js";

const guarded = service("s", [variant("v1", 1), variant("v2", 2), variant("v3", 3)], { access: null });
const ALL = ["spiffe://a/*"];
const [X, Y] = ["spiffe://a/x", "spiffe://a/y"];
type Spec = Partial<AccessPolicy["spec"]>;
const allow = (name: string, spec: Spec = {}) => accessPolicy(name, "allow", ["s"], { principals: ALL, ...spec });
const deny = (name: string, spec: Spec = {}) => accessPolicy(name, "deny", ["s"], spec);
const [V1, V2] = [{ variants: ["v1"] }, { variants: ["v2"] }];

class Counting extends Room {
	taken = 0;
	asked = 0;
	override take(lookups: number): boolean {
		this.taken += lookups;
		this.asked++;
		return super.take(lookups);
	}
}

/** Of a promotion from v1 to v2, at 1,000. */
const shut = (...policies: readonly AccessPolicy[]) => shutOutBy(accessTable(guarded, policies), "v1", "v2", 1_000);

t.test("who may use the default Variant and not the winner's is shut out, and the policy is named", async (t) => {
	const cases: readonly (readonly [what: string, policies: readonly AccessPolicy[], names: readonly string[]])[] = [
		["an internal canary", [allow("all", V1), allow("beta", { ...V2, principals: [X] })], ["all"]],
		["no Variant in any policy", [allow("all")], []],
		["both in one", [allow("all", { variants: ["v1", "v2"] })], []],
		["both, in two policies", [allow("all", V1), allow("too", V2)], []],
		["the other has less of a condition", [allow("all", { ...V1, methods: ["POST"] }), allow("too", V2)], []],
		["the other has more", [allow("all", V1), allow("too", { ...V2, methods: ["POST"] })], ["all"]],
		["the other ends", [allow("all", V1), allow("too", { ...V2, validUntilMs: 2_000 })], ["all"]],
		[
			"several together",
			[allow("both", { ...V1, principals: [X, Y] }), allow("x", { ...V2, principals: [X] })],
			["both"],
		],
		[
			"several together, all of it",
			[
				allow("both", { ...V1, principals: [X, Y] }),
				allow("x", { ...V2, principals: [X] }),
				allow("y", { ...V2, principals: [Y] }),
			],
			[],
		],
		["what the winner's may besides", [allow("all"), allow("beta", V2)], []],
		["another Variant", [allow("all"), allow("third", { variants: ["v3"] })], []],
		["a denial of the winner's", [allow("all"), deny("not-yet", { ...V2, principals: [X] })], ["not-yet"]],
		["a denial of both", [allow("all"), deny("never", { principals: [X] })], []],
		[
			"in two denials",
			[allow("all"), deny("one", { ...V1, principals: ALL }), deny("two", { ...V2, principals: [X] })],
			[],
		],
		["a denial of the default", [allow("all"), deny("old", V1)], []],
		["a condition that reads the Variant", [allow("all", { condition: "variant == 'v1'" })], ["all"]],
		["one beside a policy of everybody", [allow("all"), allow("old", { condition: "variant == 'v1'" })], []],
		["a condition of something else", [allow("all", { ...V1, condition: "method == 'GET'" }), allow("too", V2)], []],
		[
			"one whose time is over",
			[allow("all"), allow("past", { ...V1, principals: ["spiffe://b/*"], validUntilMs: 1_000 })],
			[],
		],
		["one that is held by what is over", [allow("all", V1), allow("past", { ...V2, validUntilMs: 1_000 })], ["all"]],
		["a shadow policy", [allow("all"), deny("tried", { ...V2, mode: "shadow" })], []],
		["a shadow policy holds nothing", [allow("all", V1), allow("tried", { ...V2, mode: "shadow" })], ["all"]],
		["an allow of nobody", [allow("all"), allow("nobody", { ...V1, principals: [] })], []],
		["two, in their order", [allow("b", V1), deny("a", V2)], ["a", "b"]],
	];
	for (const [what, policies, names] of cases) t.same(shut(...policies), names, what);
	const canary = accessTable(guarded, [allow("all", V1)]);
	t.same(shutOutBy(canary, "v1", "v1", 0), [], "the same Variant");
	t.same(shutOutBy({ ...canary, open: true, policies: [] }, "v1", "v2", 0), [], "an open Service");
	t.same(shutOutBy(canary, "v3", "v2", 0), [], "of who may use neither nobody is shut out");
});

t.test(
	"policies that name other principals are not compared, and what patterns hold is found all the same",
	async (t) => {
		const COUNT = 300;
		const twenty = (at: number) => Array.from({ length: 20 }, (_, one) => `spiffe://a/p${one}/${at}`);
		const each = (name: string, spec: Spec) =>
			Array.from({ length: COUNT }, (_, at) => allow(`${name}${at}`, { ...spec, principals: twenty(at) }));
		const room = new Counting(1_000_000);
		const table = accessTable(guarded, [...each("one", V1), ...each("other", V2)]);
		t.same(shutOutBy(table, "v1", "v2", 0, room), []);
		const compared = room.taken;
		t.ok(compared > 0 && compared <= COUNT * 20 * 10, `${compared}`);
		for (const pattern of ["*", "anyone", "spiffe://a/*", "spiffe://a/p0/*", "spiffe://a/p0/0"]) {
			const within = (one: string) =>
				shut(allow("one", { ...V1, principals: [one] }), allow("w", { ...V2, principals: [pattern] }));
			t.same(within("spiffe://a/p0/0"), [], pattern);
			t.same(within(pattern), [], `${pattern} itself`);
			t.same(within("anyone"), pattern === "anyone" ? [] : ["one"], `anyone in ${pattern}`);
		}
		const beside = (one: string, wide: string) =>
			shut(allow("one", { ...V1, principals: [one] }), allow("w", { ...V2, principals: [wide] }));
		t.same(beside("spiffe://a/pa", "spiffe://a/p/*"), ["one"]);
		t.same(beside("spiffe://a/*", "spiffe://a/p/*"), ["one"]);
		t.same(beside("spiffe://a/p/*", "spiffe://a/*"), []);
		t.same(beside("*", "spiffe://a/*"), ["one"]);
	},
);

t.test("where too much would have to be compared nobody says that nobody is shut out", async (t) => {
	const one = allow("all", V1);
	const table = accessTable(guarded, [one, allow("too", V2)]);
	t.same(shutOutBy(table, "v1", "v2", 0, new Room(100)), []);
	t.equal(shutOutBy(table, "v1", "v2", 0, new Room(1)), null);
	const users = (variants: Spec, count: number) =>
		Array.from({ length: count }, (_, at) => allow(`${variants.variants}-${at}`, { ...variants, groups: [`g${at}`] }));
	t.same(shut(...users(V1, 100), ...users(V2, 100)), []);
	t.equal(shut(...users(V1, 1_000), ...users(V2, 1_000)), null, "of everybody, each with a group of its own");
	const [little, everybody] = [new Counting(100), [...users(V1, 1_000), ...users(V2, 1_000)]];
	t.equal(shutOutBy(accessTable(guarded, everybody), "v1", "v2", 0, little), null);
	t.ok(little.asked < 200, `${little.asked}: then it ends`);
	const wide = (variants: Spec) =>
		allow(`${variants.variants}`, {
			...variants,
			principals: Array.from({ length: 30 }, (_, at) => `spiffe://a/p${at}`),
			methods: Array.from({ length: 50_000 }, (_, at) => `M${at}`),
		});
	t.equal(shut(wide(V1), wide(V2)), null, "two, with long lists");
});

t.test("where nothing is named, whoever may use the one may use the other", async (t) => {
	const NOW = Date.UTC(2026, 5, 1);
	const found = { named: 0, allowed: 0 };
	/** So that many a policy of v1 has its like for v2. */
	const twins = (policies: readonly AccessPolicy[]): readonly AccessPolicy[] =>
		policies.flatMap((one) => {
			const { variants } = one.spec;
			if (variants.length === 0 || (variants.includes("v1") && variants.includes("v2"))) return [one];
			const spec = { ...one.spec, variants: variants.includes("v1") ? ["v2"] : ["v1", "v2"] };
			return [one, { ...one, metadata: { ...one.metadata, name: `${one.metadata.name}-too` }, spec }];
		});
	fc.assert(
		fc.property(
			arbitrary.guarded,
			arbitrary.policies,
			fc.array(arbitrary.request, { minLength: 20, maxLength: 20 }),
			(one, policies, requests) => {
				const table = accessTable(one, twins(policies));
				if (shutOutBy(table, "v1", "v2", NOW)?.length !== 0) {
					found.named++;
					return;
				}
				const judge = compileAccess(table, "default/guarded");
				for (const request of requests) {
					const at = { ...request, nowMs: Math.max(NOW, request.nowMs) };
					if (!judge({ ...at, variant: "v1" }).allowed) continue;
					found.allowed++;
					if (!judge({ ...at, variant: "v2" }).allowed) throw new Error(JSON.stringify([at, table]));
				}
			},
		),
		{ numRuns: 3_000 },
	);
	t.ok(found.named > 100 && found.allowed > 1_000, JSON.stringify(found));
});
