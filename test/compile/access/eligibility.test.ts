/** Whether callers may use the Variants of only some arms, compared with all possible requests. */
import t from "tap";
import { armVariants, policyThatDiffers } from "../../../src/compile/access/rules/eligibility.js";
import { accessTable, compileAccess } from "../../../src/compile/access/rules/policy.js";
import type { AccessPolicy } from "../../../src/declare/resources/resource.js";
import { mulberry32 } from "../../envoy/units.js";
import { accessPolicy, service, variant } from "../../fixtures/resources.js";
import { arm, experimentTable } from "../../publish/sidecar/calloutTable.js";

const [ALICE, BOB] = ["spiffe://weir.test/alice", "spiffe://weir.test/bob"] as const;
const NAMES = ["v1", "v2", "v3", "v4"] as const;
const guarded = service(
	"s",
	NAMES.map((name, index) => variant(name, 9_001 + index)),
	{ access: null },
);
const all = accessPolicy("all", "allow", ["s"], { principals: [ALICE, BOB] });
const policy = (action: "allow" | "deny", fields: Partial<AccessPolicy["spec"]>): AccessPolicy =>
	accessPolicy("own", action, ["s"], { principals: [ALICE], ...fields });
const of = (own: readonly AccessPolicy[], arms: readonly string[], defaultVariant: string) =>
	policyThatDiffers(accessTable(guarded, own), arms, defaultVariant)?.policy ?? null;

t.test("a policy for all arms' Variants, or none, does not distinguish arms", async (t) => {
	for (const [what, own, arms, defaultVariant, want] of [
		["no Variant at all", policy("allow", {}), ["v1", "v2"], "v1", null],
		["one of two, allowed", policy("allow", { variants: ["v1"] }), ["v1", "v2"], "v1", "own"],
		["one of two, denied", policy("deny", { variants: ["v2"] }), ["v1", "v2"], "v1", "own"],
		["both", policy("deny", { variants: ["v2", "v1"] }), ["v1", "v2"], "v1", null],
		["another", policy("deny", { variants: ["v3"] }), ["v1", "v2"], "v1", null],
		["all arms' but not the default's, allowed", policy("allow", { variants: ["v2", "v3"] }), ["v2", "v3"], "v1", null],
		["the default's alone, denied", policy("deny", { variants: ["v1"] }), ["v2", "v3"], "v1", null],
		["the default's alone, allowed", policy("allow", { variants: ["v1"] }), ["v2", "v3"], "v1", "own"],
		["all arms' but not the default's, denied", policy("deny", { variants: ["v2", "v3"] }), ["v2", "v3"], "v1", "own"],
		["a shadow policy", policy("deny", { variants: ["v2"], mode: "shadow" }), ["v1", "v2"], "v1", null],
		["no principals", policy("allow", { variants: ["v1"], principals: [] }), ["v1", "v2"], "v1", null],
		["a condition", policy("deny", { condition: "variant == 'v2'" }), ["v1", "v2"], "v1", "own"],
		[
			"one beside all Variants",
			policy("deny", { condition: "variant == 'v2'", variants: ["v1", "v2"] }),
			["v1", "v2"],
			"v1",
			"own",
		],
		[
			"one of another Variant",
			policy("deny", { condition: "variant == 'v3'", variants: ["v3"] }),
			["v1", "v2"],
			"v1",
			null,
		],
		[
			"a condition that reads something else",
			policy("deny", { condition: "request.method == 'PUT'" }),
			["v1", "v2"],
			"v1",
			null,
		],
		["one Variant in all arms", policy("deny", { variants: ["v1"] }), ["v1"], "v1", null],
	] as const) {
		t.equal(of([all, own], arms, defaultVariant), want, what);
	}
	t.equal(policyThatDiffers({ ...accessTable(guarded, []), open: true }, ["v1", "v2"], "v1"), null, "open");
	t.same(policyThatDiffers(accessTable(guarded, [policy("allow", { variants: ["v1"] })]), ["v1", "v2"], "v1"), {
		policy: "own",
		variants: ["v1", "v2"],
	});
});

t.test("the Variants are those of arms with a weight, live or not, and of the winner of a takeover", async (t) => {
	const arms = [
		arm("a", "v1", 0, 500_000),
		arm("b", "v2", 500_000, 500_000),
		arm("c", "v3", 500_000, 900_000, { livePoints: 0 }),
		arm("d", "v1", 900_000, 1_000_000),
	];
	t.same(armVariants(experimentTable("e", arms)), ["v1", "v3"]);
	const takeover = { arm: "b", variant: "v2", ppm: 0 };
	t.same(armVariants(experimentTable("e", arms, { takeover })), ["v1", "v3", "v2"]);
});

t.test("in 4,000 declarations, if eligibility is not needed, no request has different verdicts per arm", async (t) => {
	const random = mulberry32(5);
	const some = <T>(values: readonly T[]): readonly T[] => values.filter(() => random() < 0.5);
	let matters = 0;
	let told = 0;
	for (let round = 0; round < 4_000; round++) {
		const own = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, index) =>
			accessPolicy(`p${index}`, random() < 0.4 ? "deny" : "allow", ["s"], {
				principals: some([ALICE, BOB]),
				methods: random() < 0.3 ? ["GET"] : [],
				variants: random() < 0.6 ? some(NAMES) : [],
				...(random() < 0.1 ? { condition: "variant != 'v2'" } : {}),
			}),
		);
		const arms = some(NAMES);
		if (arms.length === 0) continue;
		const defaultVariant = NAMES[Math.floor(random() * NAMES.length)] ?? "v1";
		const ask = compileAccess(accessTable(guarded, own), "s");
		const differs = [ALICE, BOB, null].some((principal) =>
			["GET", "POST"].some((method) => {
				const allowed = (name: string): boolean =>
					ask({ principal, method, path: "/", variant: name, token: null, region: null, nowMs: 0 }).allowed;
				const count = arms.filter(allowed).length;
				return (count > 0 && count < arms.length) || (count === 0 && allowed(defaultVariant));
			}),
		);
		if (of(own, arms, defaultVariant) !== null) matters++;
		else if (differs) t.fail(JSON.stringify({ own, arms, defaultVariant }));
		if (differs) told++;
	}
	t.ok(told > 500 && matters < 3_000, `${told} differ, ${matters} are said to`);
});
