/** Counts of the verdicts that shadow policies would change, from Envoy's shadow rules and the sidecar's metadata. */
import t from "tap";
import type { PlanTable } from "../../../../../src/compile/plan/compiledPlan.js";
import type { ShadowAnswer } from "../../../../../src/observe/events/query/accessRecordQuery.js";
import { NOTHING_ELSE } from "../../../../../src/observe/events/receive/accessRecords/accessRecord.js";
import { SHADOW_KEYS_MAX, ShadowCounts } from "../../../../../src/observe/events/receive/accessRecords/shadow.js";
import {
	CALLOUT,
	type Entry,
	EXPERIMENT,
	planWith,
	type Rig,
	seriesKey,
	startRig,
	TRIED_POLICY,
	tryingOut,
} from "../../rig.js";

const WEB = "spiffe://a.test/web";
const shadow = async (rig: Rig, query = ""): Promise<ShadowAnswer> =>
	(await rig.call("GET", `/v1/requests?view=shadow${query}`, "")).json as ShadowAnswer;
const end = (over: Partial<Entry>): Entry => ({
	kind: "end",
	unit: null,
	requestId: "r",
	startMs: 999_000,
	principal: WEB,
	...over,
});
const rbac = (metadata: Record<string, string>, over: Partial<Entry> = {}): Entry =>
	end({ namespace: "envoy.filters.http.rbac", metadata, ...over });
const deny = (result: string, policy = "none") => ({
	weir_deny_shadow_engine_result: result,
	weir_deny_shadow_effective_policy_id: policy,
});
const allow = (result: string, policy = "none") => ({
	weir_allow_shadow_engine_result: result,
	weir_allow_shadow_effective_policy_id: policy,
});
const NONE = "rbac_access_denied_matched_policy[none]";

t.test("shadow changes that Envoy logs are counted by caller, Service, method and path", async (t) => {
	const rig = await startRig(tryingOut());
	t.teardown(() => rig.close());
	await rig.send([
		rbac({ ...deny("denied", "try"), ...allow("allowed", "p") }, { path: "/a?secret" }),
		rbac({ ...deny("denied", "try"), ...allow("allowed", "p") }, { path: "/a" }),
		rbac({ ...deny("denied", "try") }, { path: "/b" }),
		rbac({ ...deny("allowed"), ...allow("denied") }, { path: "/c" }),
		rbac({ ...deny("allowed"), ...allow("allowed", "wide") }, { path: "/d", status: 403, codeDetails: NONE }),
		rbac({ ...deny("denied", "none(policy)") }, { path: "/e" }),
		// Nothing changes:
		rbac({ ...deny("allowed"), ...allow("allowed", "p") }),
		rbac({ ...deny("allowed"), ...allow("denied") }, { status: 403, codeDetails: NONE }),
		// The deny filter's shadow rules pass it; the allow filter may still refuse.
		rbac({ ...deny("allowed") }, { status: 403, codeDetails: NONE }),
		// No policy decides these.
		rbac({ ...allow("allowed", "wide") }, { status: 401, codeDetails: "jwt_authn_access_denied{Jwt_is_expired}" }),
		rbac(
			{ ...allow("allowed", "wide") },
			{ status: 403, codeDetails: "rbac_access_denied_matched_policy[(not_canonical_path)]" },
		),
		// Others' metadata.
		end({ namespace: "envoy.filters.http.jwt_authn", metadata: deny("denied", "x") }),
	]);
	const { changes, cut } = await shadow(rig);
	t.equal(cut, false);
	t.match(changes, [
		{ change: "would-deny", policy: "try", reason: "forbidden", service: "shop", principal: WEB, path: "/a", count: 2 },
		{ change: "would-allow", policy: "wide", reason: null, method: "POST", path: "/d", count: 1 },
		{ change: "would-deny", policy: "none", path: "/e", count: 1 },
		{ change: "would-deny", policy: "try", path: "/b", count: 1 },
		{ change: "would-deny", policy: null, path: "/c", count: 1 },
	]);
	t.same(
		changes.map(({ policy }) => policy),
		["try", "wide", "none", "try", null],
	);
	t.equal(rig.meter.counts.get(seriesKey("weir_ingest_shadow_changes_total", { change: "would-deny" })), 5);
	await rig.restart();
	await rig.send([rbac({ ...deny("denied", "try") }, { path: "/a" })]);
	t.match((await shadow(rig, "&policy=try")).changes, [
		{ path: "/a", count: 3 },
		{ path: "/b", count: 1 },
	]);
	t.equal((await shadow(rig, "&limit=1")).cut, true);
	t.match(
		(await shadow(rig, "&among=wide,other")).changes,
		[{ policy: "wide" }, { policy: null }],
		"and where none is named",
	);
	t.equal((await shadow(rig, "&among=wide,other")).changes.length, 2);
});

t.test("a result of allow rules that untried policies could change does not count", async (t) => {
	const rig = await startRig(tryingOut());
	t.teardown(() => rig.close());
	const tried = (would: "allow" | "deny", result: string, policy = "none") =>
		Object.fromEntries(
			Object.entries(allow(result, policy)).map(([key, value]) => [
				`weir_would_${would}_${key.slice("weir_allow_".length)}`,
				value,
			]),
		);
	const denied = { status: 403, codeDetails: NONE } as const;
	await rig.send([
		rbac({ ...deny("allowed"), ...tried("allow", "denied") }, { path: "/a" }),
		rbac({ ...deny("allowed"), ...tried("allow", "allowed", "wide") }, { path: "/b", ...denied }),
		rbac({ ...deny("allowed"), ...tried("deny", "denied") }, { path: "/c" }),
		rbac({ ...deny("allowed"), ...tried("deny", "allowed", "wide") }, { path: "/d", ...denied }),
		rbac({ ...deny("denied", "try"), ...tried("allow", "denied") }, { path: "/e" }),
	]);
	const { changes } = await shadow(rig);
	t.match(
		[...changes].sort((a, b) => ((a.path ?? "") < (b.path ?? "") ? -1 : 1)),
		[
			{ change: "would-allow", policy: "wide", path: "/b" },
			{ change: "would-deny", policy: null, path: "/c" },
			{ change: "would-deny", policy: "try", path: "/e" },
		],
	);
	t.equal(changes.length, 3);
});

t.test("shadow changes that the sidecar reports are counted", async (t) => {
	const rig = await startRig(tryingOut({ callout: CALLOUT }));
	t.teardown(() => rig.close());
	const metadata = { plan: "callout", service: "shop", verdict: "allow", reason: "allowed", policy: "p" };
	const denied = { plan: "callout", status: 403, codeDetails: "ext_authz_denied" } as const;
	await rig.send([
		end({
			plan: "callout",
			path: "/a",
			metadata: { ...metadata, shadow: "deny", shadowPolicy: "try", shadowReason: "forbidden" },
		}),
		end({ ...denied, path: "/b", metadata: { ...metadata, verdict: "deny", shadow: "allow", shadowPolicy: "wide" } }),
		end({ plan: "callout", metadata: { ...metadata, shadow: "allow", shadowPolicy: "wide" } }),
		end({ plan: "callout", metadata }),
	]);
	t.match((await shadow(rig)).changes, [
		{ change: "would-allow", policy: "wide", reason: null, path: "/b", count: 1 },
		{ change: "would-deny", policy: "try", reason: "forbidden", path: "/a", count: 1 },
	]);
});

t.test("a refusal without a policy has its reason and no policy name, in every execution", async (t) => {
	for (const [by, plan] of [
		["envoy", tryingOut()],
		["sidecar", tryingOut({ callout: CALLOUT })],
	] as const) {
		const rig = await startRig(plan);
		t.teardown(() => rig.close());
		const tried = (path: string, rule: string, shadowReason: string): Entry =>
			by === "envoy"
				? rbac(rule === "none" ? { ...deny("allowed"), ...allow("denied") } : deny("denied", rule), { path })
				: end({
						...{ plan: "callout", path },
						metadata: { plan: "callout", service: "shop", verdict: "allow", shadow: "deny", shadowReason },
					});
		await rig.send([
			tried("/a", "(invalid token) alg", "invalid-token"),
			tried("/b", "(ambiguous path)", "not-canonical"),
			tried("/c", "none", "no-policy-allows"),
		]);
		const { changes } = await shadow(rig, "&among=try");
		t.same(
			changes.map(({ change, policy, reason, path }) => [change, policy, reason, path]).sort(),
			[
				["would-deny", null, "invalid-token", "/a"],
				["would-deny", null, "no-policy-allows", "/c"],
				["would-deny", null, "not-canonical", "/b"],
			],
			by,
		);
	}
});

t.test("counts under earlier rules are kept apart", async (t) => {
	const access = (...names: readonly string[]) => ({
		open: false,
		policies: names.map((name) => ({ ...TRIED_POLICY, name })),
	});
	const [first, second] = [access("try"), access("try", "more")];
	const plans: Readonly<Record<string, PlanTable>> = {
		first: planWith(EXPERIMENT, { access: first }),
		// A ramp: another plan, the same rules.
		ramped: planWith({ ...EXPERIMENT, exposing: false }, { access: first }),
		second: planWith(EXPERIMENT, { access: second }),
	};
	let newest: PlanTable | null = null;
	const rig = await startRig({ plans: async (version) => plans[version] ?? null, newestPlan: async () => newest });
	t.teardown(() => rig.close());
	const tried = (plan: string, path: string): Entry => rbac(deny("denied", "try"), { plan, path });
	await rig.send([tried("first", "/a"), tried("ramped", "/a"), tried("second", "/a"), tried("second", "/b")]);
	await rig.send([tried("unknown", "/a")]);

	t.same((await shadow(rig)).changes, [], "nothing is published: nothing is in force");
	newest = plans.ramped ?? null;
	t.match((await shadow(rig)).changes, [{ path: "/a", count: 2, inForce: true }], "a ramp changes no rules");
	newest = plans.second ?? null;
	await rig.restart();
	const now = (await shadow(rig)).changes;
	t.match(now, [
		{ path: "/a", count: 1, inForce: true },
		{ path: "/b", count: 1, inForce: true },
	]);
	t.equal(now.length, 2);
	t.match((await shadow(rig, "&rules=all")).changes, [
		{ path: "/a", count: 2, inForce: false, rules: /^[0-9a-f]{16}$/ },
		{ path: "/a", count: 1, inForce: true, rules: now[0]?.rules },
		{ path: "/a", count: 1, inForce: false, rules: null },
		{ path: "/b", count: 1, inForce: true },
	]);
	t.match(await rig.call("GET", "/v1/requests?view=shadow&rules=old", ""), { status: 400 });
	t.match(await rig.call("GET", "/v1/requests?rules=all", ""), { status: 400 });
});

t.test("a policy that would change every request is counted correctly in bounded memory", (t) => {
	const counts = new ShadowCounts();
	const requests = SHADOW_KEYS_MAX + 300;
	const change = { change: "would-deny", policy: "try", reason: "forbidden" } as const;
	for (let index = 0; index < requests; index++)
		counts.add(change, { ...NOTHING_ELSE, service: "shop", path: `/x/${index}` }, "now");
	counts.add(change, { ...NOTHING_ELSE, service: "shop", path: "/x/0" }, "now");
	const taken = counts.take();
	t.equal(taken.length, SHADOW_KEYS_MAX + 1);
	t.equal(
		taken.reduce((sum, { count }) => sum + count, 0),
		requests + 1,
	);
	t.match(taken.at(-1), { ...change, service: "shop", path: null, principal: null, count: 300 });
	t.match(taken[0], { path: "/x/0", count: 2 });
	t.same(counts.take(), []);
	counts.giveBack(taken);
	t.same(counts.take(), taken, "what could not be stored comes back");
	t.end();
});
