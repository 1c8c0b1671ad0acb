/** Eligibility comes before assignment: clients that may not use each arm's Variant are outside of the Experiment. */
import t from "tap";
import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import type { PolicyTable } from "../../../src/compile/plan/compiledPlan.js";
import { answer } from "../../../src/publish/sidecar/answer.js";
import { type CompiledTable, compileTable } from "../../../src/publish/sidecar/compiledTable.js";
import { arm, experimentTable, serviceTable } from "./calloutTable.js";
import { NOBODY_ASKED, type QuestionFields, question } from "./question.js";

const id = (name: string): string => `spiffe://weir.test/${name}`;
const policy = (
	name: string,
	action: "allow" | "deny",
	who: string,
	fields: Partial<PolicyTable> = {},
): PolicyTable => ({
	...{ name, action, principals: [id(who)], methods: [], pathPrefixes: [], variants: [], shadow: false, more: null },
	...fields,
});
const halves = experimentTable("ranking", [
	arm("control", "v1", 0, 500_000, { livePoints: 400_000 }),
	arm("treatment", "v2", 500_000, 1_000_000, { parameters: { "x-weir-param-k": "1" } }),
]);
const RULES = [
	policy("all", "allow", "alice"),
	policy("v1-only", "allow", "bob", { variants: ["v1"] }),
	policy("v2-only", "allow", "carol", { variants: ["v2"] }),
	policy("dave", "allow", "dave"),
	policy("not-v2", "deny", "dave", { variants: ["v2"] }),
	policy("no-posts-to-v2", "deny", "alice", { variants: ["v2"], methods: ["POST"] }),
];
const tableOf = (fields: Parameters<typeof serviceTable>[1] = {}, version = "plan-1"): CompiledTable =>
	compileTable({
		version,
		table: {
			gateways: [],
			services: [serviceTable("shop", { access: { open: false, policies: RULES }, experiments: [halves], ...fields })],
		},
	});
const ask = (table: CompiledTable, fields: QuestionFields) =>
	answer(
		{ tables: { get: () => table }, freshness: { ageMs: () => 0 }, mint: () => "minted-unit", ...NOBODY_ASKED },
		question(fields),
	);
const UNITS = Array.from({ length: 60 }, (_, index) => `u${index}`);
const OUTSIDE = { experiment: null, arm: null, armHeader: null, variant: "v1", parameters: {} };

t.test("only clients that may use all Variants take part; others get the default one in every region", async (t) => {
	const table = tableOf();
	const seen = new Set<string | null>();
	for (const unit of UNITS) {
		const by = (who: string, fields: QuestionFields = {}) =>
			ask(table, { principal: id(who), headers: { "x-user-id": unit }, ...fields });
		const place = compileAssignment(halves).locate(unit);
		const own = place?.live === true ? place.region : null;
		const { ruling } = by("alice");
		t.match(ruling, { verdict: "allow", experiment: "ranking", arm: own, variant: own === "treatment" ? "v2" : "v1" });
		seen.add(own);
		for (const [who, policyOf] of [
			["bob", "v1-only"],
			["dave", "dave"],
		] as const) {
			const outside = by(who);
			t.match(outside.ruling, { ...OUTSIDE, verdict: "allow", reason: "allowed", policy: policyOf }, `${who} ${unit}`);
			t.same(outside.ruling.exposedArms, ["ranking/-"], "shown as a unit outside of the slot is");
			t.equal(outside.unit, unit);
		}
		t.match(by("carol").ruling, { ...OUTSIDE, verdict: "deny", reason: "no-policy-allows" }, "no default, no answer");
		t.match(by("mallory").ruling, { ...OUTSIDE, verdict: "deny", reason: "no-policy-allows" });
		t.match(by("alice", { method: "POST" }).ruling, { ...OUTSIDE, verdict: "allow" }, "a request, not a caller");
		t.match(by("alice", { path: "/a;b" }).ruling, { ...OUTSIDE, verdict: "deny", reason: "not-canonical" });
	}
	t.same(seen, new Set(["control", "treatment", null]));
});

t.test("a request outside of the slot, or without a unit, is authorised as without the Experiment", async (t) => {
	const table = tableOf({ experiments: [{ ...halves, slotHiPpm: 1 }] });
	for (const headers of [{}, { "x-user-id": "u1" }]) {
		t.match(ask(table, { principal: id("bob"), headers }).ruling, { ...OUTSIDE, verdict: "allow" });
		t.match(ask(table, { principal: id("carol"), headers }).ruling, { ...OUTSIDE, verdict: "deny" });
	}
});

t.test("a cookie is minted for ineligible clients too", async (t) => {
	const unit = { from: "cookie", cookie: "wid", maxAgeMs: 60_000 } as const;
	const {
		ruling,
		setCookie,
		unit: own,
	} = ask(tableOf({ experiments: [{ ...halves, unit }] }), { principal: id("bob") });
	t.match(ruling, { ...OUTSIDE, verdict: "allow" });
	t.equal(own, "minted-unit");
	t.match(setCookie, /^wid=minted-unit;/);
});

t.test("a client must be allowed to use the winner of a takeover too, though its arm has no weight", async (t) => {
	const arms = [arm("control", "v1", 0, 1_000_000), arm("treatment", "v2", 1_000_000, 1_000_000)];
	const weightless = { ...halves, arms };
	t.match(
		ask(tableOf({ experiments: [weightless] }), { principal: id("bob"), headers: { "x-user-id": "u1" } }).ruling,
		{ arm: "control", verdict: "allow" },
	);
	const takeover = { arm: "treatment", variant: "v2", ppm: 1_000_000 };
	const table = tableOf({ experiments: [{ ...weightless, takeover }] });
	t.match(ask(table, { principal: id("bob"), headers: { "x-user-id": "u1" } }).ruling, {
		...OUTSIDE,
		verdict: "allow",
	});
	t.match(ask(table, { principal: id("alice"), headers: { "x-user-id": "u1" } }).ruling, {
		arm: "treatment",
		variant: "v2",
	});
});

t.test("the newest rules decide eligibility if the answering plan uses it; Envoy's assignment stays", async (t) => {
	const old = tableOf();
	const revoked = tableOf(
		{ access: { open: false, policies: [...RULES, policy("now", "deny", "alice", { variants: ["v2"] })] } },
		"plan-2",
	);
	const both = { get: (version: string | null) => (version === "plan-1" ? old : revoked) };
	const knowledge = { tables: both, freshness: { ageMs: () => 0 }, mint: () => "", ...NOBODY_ASKED };
	for (const unit of UNITS.slice(0, 20)) {
		const { ruling } = answer(
			knowledge,
			question({ plan: "plan-1", service: "shop", principal: id("alice"), headers: { "x-user-id": unit } }),
		);
		t.match(ruling, { ...OUTSIDE, plan: "plan-1", verdict: "allow" });
	}
	const assigned = { experiment: "ranking", arm: "treatment", variant: "v2" };
	t.match(ask(old, { principal: id("bob"), assigned }).ruling, { verdict: "deny", arm: "treatment", variant: "v2" });
});
