/** `--mode native|callout`, and the text of `weir explain` on the three executions. */
import t from "tap";
import { GATE_FILTER } from "../../../src/compile/envoy/accessControl.js";
import { PROOF_FILTER } from "../../../src/compile/envoy/calloutProof.js";
import { wordsOf } from "../table/explained.js";
import { build, IN_CALLOUT, NATIVE, neighbours } from "./neighbours.js";
import { calloutsOn, virtualHost, weightedClusters } from "./virtualHosts.js";

const MINTS = "Envoy cannot mint a cookie and assign by it in one step";
const JUDGES = "AccessPolicy not-v2 judges Variants, and the sidecar chooses them";
const JUDGES_APART =
	"AccessPolicy not-v2 judges the Variants of Experiment e-judged-apart-header apart, and only who may use all takes part";
const APART =
	"who may use each arm's Variant is known after identity, and only who may use all takes part: AccessPolicy not-v2 judges the Variants of Experiment e-judged-apart-header apart";
const ASKS = "the Service asks for it (callout.access: sidecar)";

t.test("mode native: each feature that Envoy lacks is a problem with its reason", async (t) => {
	const cannot = (name: string, why: string) => ({
		position: null,
		message: `Service ${name} cannot be native: ${why}`,
		hint: "compile with --mode auto, which asks the sidecar where it must",
	});
	t.same(build(neighbours(), { mode: "native" }).problems, [
		cannot("cookie", MINTS),
		cannot("cookie-passes", MINTS),
		cannot("policies-cookie", MINTS),
		cannot("judged-cookie", MINTS),
		cannot("judged-cookie", JUDGES),
		{
			...cannot("judged-apart-header", APART),
			hint: "let spec.variants of AccessPolicy not-v2 name all of v1, v2 and the default Variant, or none; or compile with --mode auto, which asks the sidecar where it must",
		},
		cannot("judged-apart-header", JUDGES_APART),
		cannot("asks", ASKS),
		cannot("asks-header", ASKS),
	]);
	t.same(build(neighbours(NATIVE), { mode: "native" }).problems, []);
	for (const mode of ["auto", "callout"] as const) t.same(build(neighbours(), { mode }).problems, [], mode);
});

t.test("mode native equals mode auto for native rules", async (t) => {
	t.same(build(neighbours(NATIVE), { mode: "native" }), build(neighbours(NATIVE)));
	t.same(build(neighbours(NATIVE), { mode: "auto" }), build(neighbours(NATIVE)), "auto is the default");
});

t.test("mode callout: the sidecar makes all assignments and verdicts", async (t) => {
	for (const protocol of ["ext_authz", "ext_proc"] as const) {
		const set = neighbours();
		const plan = build(set, { mode: "callout", protocol });
		for (const { name, access, callout, experiments } of plan.table.services) {
			const host = virtualHost(plan, name);
			const guarded = access.policies.length > 0;
			if (!guarded && experiments.length === 0) {
				t.equal(callout, null, `${name}: nothing to ask`);
				t.same(calloutsOn(plan, host.typed_per_filter_config), [], name);
				continue;
			}
			t.match(callout, { assignment: experiments.length > 0, verdict: guarded }, name);
			t.equal(calloutsOn(plan, host.typed_per_filter_config).length, 1, name);
			t.same(weightedClusters(host), [], `${name}: Envoy assigns no unit`);
			t.notOk(JSON.stringify(host).includes("hash_policy"), name);
			// The proof rule only checks for the sidecar's verdict, and the gate refuses without a callout.
			const { [PROOF_FILTER]: _, [GATE_FILTER]: __, ...judging } = host.typed_per_filter_config;
			t.notMatch(JSON.stringify(judging), /"rbac"/, `${name}: nor does it judge`);
		}
		t.equal(
			plan.table.services.filter(({ callout }) => callout !== null).length,
			NATIVE.length + IN_CALLOUT.length - 1,
		);
	}
});

t.test("mode callout: Envoy keeps the verdict if requests may pass unanswered", async (t) => {
	const set = neighbours(["policies-header"]);
	const [service] = set.services;
	if (service === undefined) throw new Error("no Service");
	const callout = { ...service.spec.callout, onFailure: "default-variant" as const };
	const plan = build({ ...set, services: [{ ...service, spec: { ...service.spec, callout } }] }, { mode: "callout" });
	t.match(plan.table.services[0]?.callout, { verdict: false, assignment: true, onFailure: "default-variant" });
	const host = virtualHost(plan, "policies-header");
	t.match(JSON.stringify(host.typed_per_filter_config["weir.allow"]), /"some"/);
	t.same(calloutsOn(plan, host.typed_per_filter_config), ["weir.assign"]);
});

t.test("explain shows each Service's execution, and the effect of a missing answer", async (t) => {
	const said = (options: Parameters<typeof build>[1] = {}) => {
		const { rules } = build(neighbours(), options);
		return (rule: string) => {
			const found = rules.filter((candidate) => candidate.rule === rule);
			t.equal(found.length, 1, rule);
			return [found[0]?.execution, found.map(wordsOf).join()];
		};
	};
	const auto = said();
	for (const name of NATIVE) t.same(auto(`Service ${name}`), ["native", "no callout at all"], name);
	for (const [name, asks, carries, otherwise] of [
		["cookie", "full callout", "the arm alone", "503"],
		["cookie-passes", "full callout", "the arm alone", "Variant v1"],
		["policies-cookie", "full callout", "the arm alone", "503"],
		["judged-cookie", "full callout", "verdict and arm", "503"],
		["judged-apart-header", "full callout", "verdict and arm", "503"],
		["asks", "one callout", "the verdict", "503"],
		["asks-header", "native assignment, one callout that gets the arm", "the verdict", "503"],
	] as const) {
		const words = `${asks} by ext_authz: it carries ${carries}; without an answer ${otherwise}`;
		t.same(auto(`Service ${name}`), ["callout", words]);
	}
	t.match(said({ protocol: "ext_proc" })("Service asks")[1], /^one callout by ext_proc: /);

	const rules = "allowed by some; forbidden by no policy; else 403 no-policy-allows";
	const judging = "allowed by some; forbidden by not-v2; a deny wins; else 403 no-policy-allows";
	const rbac = "RBAC on the client certificate's SPIFFE id";
	t.same(auto("Service open: access"), ["native", "OPEN: anyone may call it (access: open)"]);
	t.same(auto("Service cookie: access"), ["native", "OPEN: anyone may call it (access: open)"]);
	t.same(auto("Service policies: access"), ["native", `${rbac}; ${rules}`]);
	t.same(auto("Service policies-cookie: access"), ["native", `${rbac}; ${rules}`]);
	t.same(auto("Service judged-header: access"), ["native", `${rbac}, for each Variant its own; ${judging}`]);
	t.same(auto("Service judged-cookie: access"), ["callout", `${JUDGES}; ${judging}`]);
	t.same(auto("Service judged-apart-header: access"), ["callout", `${JUDGES_APART}; ${judging}`]);
	t.same(auto("Service asks: access"), ["callout", `${ASKS}; ${rules}`]);
	t.same(auto("Service asks-header: access"), ["callout", `${ASKS}; ${rules}`]);

	const shares = (name: string) => `by XXH64("e-${name}:" + unit)`;
	const arms = "arm1 → v1 10%, arm2 → v2 10%, rest → v1 80%";
	const slot = "in layer slot 0%–40%";
	t.same(auto(`Experiment e-header: one valid header x-user-id ${slot}`), [
		"native",
		`weighted clusters ${shares("header")}: ${arms}`,
	]);
	t.same(auto(`Experiment e-claim: one valid claim org.tenant ${slot}`), [
		"native",
		`weighted clusters ${shares("claim")}: ${arms}; an invalid token gives no unit (a claim costs some 15 µs of Envoy's CPU more than a header)`,
	]);
	t.same(auto(`Experiment e-asks-header: one valid header x-user-id ${slot}`), [
		"native",
		`weighted clusters ${shares("asks-header")}: ${arms}`,
	]);
	t.same(auto(`Experiment e-cookie: one valid cookie weir_id ${slot}`), [
		"callout",
		`${MINTS}: ${shares("cookie")} ${arms}`,
	]);
	t.same(auto(`Experiment e-judged-apart-header: one valid header x-user-id ${slot}`), [
		"callout",
		`${APART}: ${shares("judged-apart-header")} ${arms}`,
	]);
	t.same(auto("Service cookie: everything else"), ["native", "route to Variant v1"]);

	const all = said({ mode: "callout" });
	t.same(all(`Experiment e-header: one valid header x-user-id ${slot}`), [
		"callout",
		`the mode is callout: ${shares("header")} ${arms}`,
	]);
	t.same(all("Service policies: access"), ["callout", `the mode is callout; ${rules}`]);
	t.same(all("Service open"), ["native", "no callout at all"]);
});
