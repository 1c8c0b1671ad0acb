/** What a deletion leaves of a Service's access decides whether it only takes away, and waits for nobody, or closes it. */
import t from "tap";
import type { AccessPolicy, ReferenceGrant } from "../../src/resources/resource.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { onlyTakesAway } from "../../src/state/consequences/takenAway.js";
import { accessPolicy, gateway, metadata, resourceSet, service, variant } from "../fixtures/resources.js";
import { file, METRIC, SERVICE } from "./employment.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const guarded = service("s", [variant("v1", 1), variant("v2", 2)], { access: null });
type Spec = Partial<AccessPolicy["spec"]>;
const allow = (name: string, spec: Spec = {}): AccessPolicy => accessPolicy(name, "allow", ["s"], spec);

/** At 1,000, through Gateways in eu and in no region. */
const isFree = (gone: AccessPolicy, left: readonly AccessPolicy[], promoted?: string): boolean => {
	const resources = resourceSet({
		gateways: [gateway({ region: "eu" }), gateway({}, "other")],
		services: [guarded],
		accessPolicies: [gone, ...left],
	});
	const services = promoted === undefined ? {} : { s: { defaultVariant: promoted } };
	return onlyTakesAway([gone], { resources, status: { ...EMPTY_STATUS, services } }, 1_000);
};

t.test("what is left must let somebody in, now, at a Gateway there is, on the default Variant", async (t) => {
	const left: readonly (readonly [what: string, spec: Spec, isFree: boolean])[] = [
		["whoever", {}, true],
		["expired", { validUntilMs: 1_000 }, false],
		["in its last moment", { validUntilMs: 1_001 }, true],
		["not yet valid", { validFromMs: 1_001 }, false],
		["just valid", { validFromMs: 1_000 }, true],
		["another Variant", { variants: ["v2"] }, false],
		["the default Variant too", { variants: ["v2", "v1"] }, true],
		["a region without a Gateway", { regions: ["moon"] }, false],
		["one with a Gateway too", { regions: ["moon", "eu"] }, true],
		["a dry run", { mode: "shadow" }, false],
		["a condition, which is not judged", { condition: "false" }, true],
	];
	for (const [what, spec, free] of left) t.equal(isFree(allow("main"), [allow("left", spec)]), free, what);
	t.equal(isFree(allow("main"), [allow("one", { variants: ["v2"] }), allow("two", { regions: ["eu"] })]), true);
	t.equal(isFree(allow("main"), [allow("left", { variants: ["v2"] })], "v2"), true, "v2 was promoted");
	t.equal(isFree(allow("main"), [allow("left", { variants: ["v1"] })], "v2"), false);
});

t.test("where nobody is let in, a deletion closes nothing, but for what begins later", async (t) => {
	const [past, later] = [{ validUntilMs: 1_000 }, { validFromMs: 2_000 }];
	t.equal(isFree(allow("old", past), [allow("older", past)]), true, "what has ended is tidied up");
	t.equal(isFree(allow("old", past), []), true);
	t.equal(isFree(allow("old", past), [allow("next", later)]), true);
	t.equal(isFree(allow("next", later), [allow("after", later)]), true);
	t.equal(isFree(allow("next", later), [allow("old", past)]), false, "nobody would ever come in");
	t.equal(isFree(allow("next", later), [allow("now")]), true);
});

t.test("a grant on which a denial rests is as the denial: a dry run of one waits too", async (t) => {
	const granted: ReferenceGrant = {
		kind: "ReferenceGrant",
		metadata: metadata("g"),
		spec: { from: [{ kind: "AccessPolicy", namespace: "guards" }], to: [{ kind: "Service", name: null }] },
	};
	const frees = (what: "grant" | "policy", action: "allow" | "deny", mode: "enforce" | "shadow"): boolean => {
		const foreign = accessPolicy("out", action, ["default/s"], { mode });
		const policy: AccessPolicy = { ...foreign, metadata: metadata("out", "guards") };
		const accessPolicies = [allow("main"), policy];
		const more = { gateways: [gateway()], services: [guarded], referenceGrants: [granted], accessPolicies };
		const known = { resources: resourceSet(more), status: EMPTY_STATUS };
		return onlyTakesAway([what === "grant" ? granted : policy], known, 1_000);
	};
	for (const mode of ["enforce", "shadow"] as const) {
		t.equal(frees("grant", "allow", mode), true, `an allowance, ${mode}`);
		t.equal(frees("grant", "deny", mode), false, `a denial, ${mode}`);
		t.equal(frees("policy", "deny", mode), false, `the denial itself, ${mode}`);
	}
});

t.test("by control's clock, where two must agree on an apply", async (t) => {
	let nowMs = Date.now();
	const { owner } = await mutualApi(t, { now: () => nowMs });
	const policy = (name: string, more = ""): string =>
		`apiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: ${name}}\nspec: {services: [employment], principals: ["*"]${more}}\n`;
	const two = `apiVersion: weir.dev/v1alpha1
kind: ApprovalPolicy
metadata: {name: two}
spec: {verbs: [apply], namespaces: [default], approvals: 1}
`;
	const end = new Date(nowMs + 60_000).toISOString();
	const documents = [
		SERVICE.replace("  access: open\n", ""),
		METRIC,
		policy("main"),
		policy("left", `, validUntil: "${end}"`),
		binding("bob", "approve", ["bob"], "[default]"),
	];
	await owner.apply(file(documents.join("---\n")), { dryRun: false });
	await owner.apply(file(two), { dryRun: false });
	t.match(await owner.delete("AccessPolicy", "main", { dryRun: true }), { approvals: 0 });
	nowMs += 60_000;
	t.match(await owner.delete("AccessPolicy", "main", { dryRun: false }), { outcome: "pending" });
});
