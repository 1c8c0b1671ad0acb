/** A denial is an outcome of the arm where the rules judge Variants; elsewhere it does not count. */
import t from "tap";
import { compileAssignment } from "../../../../../src/compile/assignment/assign.js";
import type { AccessTable } from "../../../../../src/compile/plan/compiledPlan.js";
import { decodeMessage } from "../../../../../src/observe/events/receive/accessLog/entryDecoder.js";
import { readEntry } from "../../../../../src/observe/events/receive/requests/entryReader.js";
import { PlanReader } from "../../../../../src/observe/events/receive/requests/planReader.js";
import { type Entry, EXPERIMENT, encode, planWith, unitsOf } from "../../rig.js";

const [boosted = ""] = unitsOf("boosted", 1);
const rules = (variants: readonly string[]): AccessTable => ({
	open: false,
	policies: [
		{
			name: "p",
			action: "allow",
			principals: ["spiffe://a/b"],
			methods: [],
			pathPrefixes: [],
			variants,
			shadow: false,
			more: null,
		},
	],
});

async function failed(access: AccessTable, over: Partial<Entry>): Promise<boolean | null> {
	const plans = new PlanReader(async () => planWith(EXPERIMENT, { access }));
	const plan = await plans.load("p1");
	if (plan === null) throw new Error("no plan");
	let result: boolean | null = null;
	decodeMessage(encode([{ kind: "end", unit: boosted, requestId: "r", startMs: 1, ...over }]), (entry) => {
		const route = { version: "p1", service: "shop", experiment: "models" };
		const pseudonyms = { unit: () => 1n, request: () => 2n } as unknown as Parameters<
			typeof readEntry
		>[3]["pseudonyms"];
		const reading = readEntry(entry, route, plan, { plan: () => plan, pseudonyms }, 1);
		result = reading.kind === "row" ? reading.row.failed : null;
	});
	return result;
}

const caller = { principal: "spiffe://a/b" };

t.test("403s of RBAC, ext_authz and ext_proc count for the arm", async (t) => {
	t.equal(compileAssignment(EXPERIMENT).arm(boosted), "boosted");
	for (const codeDetails of ["rbac_access_denied_matched_policy[none]", "ext_authz_denied", "weir_no_policy_allows"]) {
		const metadata = { plan: "p1", service: "shop", verdict: "deny", reason: "no-policy-allows" };
		const how = { status: 403, codeDetails, metadata, ...caller };
		t.equal(await failed(rules(["v1"]), how), true, `${codeDetails}, rules judge Variants`);
		t.equal(await failed(rules([]), how), false, `${codeDetails}, they do not`);
	}
	t.equal(await failed(rules(["v1"]), { status: 403 }), false, "the Service's own 403");
	t.equal(await failed(rules(["v1"]), { status: 200 }), false);
});
