/** Clients that are refused, or leave before a verdict, are not in the Experiment, whatever ids they send. */
import t from "tap";
import { NO_MORE } from "../../../../../src/compile/access/rules/accessTable.js";
import type { AccessTable } from "../../../../../src/compile/plan/compiledPlan.js";
import { EXPOSURE_SETTLES_MS } from "../../../../../src/observe/events/receive/requests/settlingExposures.js";
import { CALLOUT, type Entry, EXPERIMENT, metric, planWith, query, startRig, unitsOf, withStarts } from "../../rig.js";

const T0 = 1_000_000;
const APP = "spiffe://a/app";
const allow = (name: string, principal: string, variants: readonly string[]): AccessTable["policies"][number] => ({
	name,
	action: "allow",
	principals: [principal],
	methods: [],
	pathPrefixes: [],
	variants,
	shadow: false,
	more: null,
});
const byVariant = planWith(EXPERIMENT, {
	access: { open: false, policies: [allow("all", APP, []), allow("some", "spiffe://a/v1-only", ["v1"])] },
});
const late = planWith(
	{ ...EXPERIMENT, unit: { from: "cookie", cookie: "id", maxAgeMs: 1_000 } },
	{ callout: CALLOUT, access: { open: false, policies: [allow("all", APP, [])] } },
);
/** The same, and something is forbidden to all. */
const withBan = (ban: Partial<AccessTable["policies"][number]>) =>
	planWith(EXPERIMENT, {
		access: {
			open: false,
			policies: [
				allow("all", APP, []),
				allow("some", "spiffe://a/v1-only", ["v1"]),
				{ ...allow("ban", APP, []), action: "deny", principals: [], ...ban },
			],
		},
	});
/** The access log has no groups of a caller, and no value for that method. */
const byGroup = withBan({ more: { ...NO_MORE, groups: ["banned"] } });
const byMethod = withBan({ methods: ["PURGE"] });
const plans = new Map([
	["open", planWith(EXPERIMENT)],
	["by-method", byMethod],
	["late", late],
	["by-group", byGroup],
]);
const rigOf = () =>
	startRig({
		plans: async (version) => plans.get(version) ?? byVariant,
		exposureSettlesMs: EXPOSURE_SETTLES_MS,
	});

const begun = (unit: string, requestId: string, startMs = T0): Entry => ({ kind: "start", unit, requestId, startMs });
const served = (unit: string, requestId: string, startMs = T0): Entry[] => [
	begun(unit, requestId, startMs),
	{ kind: "end", unit, requestId, startMs, cluster: "shop/v1" },
];
const NO_POLICY = { status: 403, codeDetails: "rbac_access_denied_matched_policy[none]" };
const refusals: Readonly<Record<string, Partial<Entry>>> = {
	"no policy allows": { ...NO_POLICY, principal: "spiffe://a/unknown" },
	"the gate": { status: 400, codeDetails: "rbac_access_denied_matched_policy[(not_canonical)]" },
	"a token": { status: 401, codeDetails: "jwt_authn_access_denied{Jwt_is_missing}" },
	"too many": { status: 429, codeDetails: "local_rate_limited", flag: 12 },
	"an upgrade": { status: 403, codeDetails: "upgrade_failed" },
	"the client left": { status: 0, codeDetails: "downstream_remote_disconnect", flag: 15 },
	"no answer of the sidecar": { status: 503, codeDetails: "ext_authz_error" },
};
const counts = (exposures: readonly { readonly counts: object }[]) => exposures.map(({ counts }) => counts);

t.test("a refused request makes neither exposure nor outcome, also if refused after a commit", async (t) => {
	const rig = await rigOf();
	t.teardown(() => rig.close());
	const [own = "", other = ""] = unitsOf("control", 2);
	const [taken = ""] = unitsOf("boosted", 1);
	rig.nowMs = T0 + 300;
	const kinds = Object.entries(refusals);
	await rig.send([
		...served(own, "own", T0 + 200),
		...served(taken, "taken", T0 + 200),
		// An unauthorized client sends those units, earlier and later, and one more.
		...kinds.flatMap(([kind, how]) =>
			[own, taken, other].flatMap((unit, at): Entry[] => {
				const startMs = T0 + at * 100 + 50;
				return [
					begun(unit, `${kind}-${unit}`, startMs),
					{ ...begun(unit, `${kind}-${unit}`, startMs), kind: "end", ...how },
				];
			}),
		),
		begun(taken, "slow", T0 + 250),
	]);
	await rig.ingest.evidence.evidence(query(metric("errors")));
	await rig.send([{ ...begun(taken, "slow", T0 + 250), kind: "end", ...refusals["no policy allows"] }]);
	rig.nowMs = T0 + 10_000;
	const { arms, exposures, health } = await rig.ingest.evidence.evidence(query(metric("errors")));
	t.same(counts(exposures), [{ boosted: 1, control: 1 }]);
	t.equal(exposures[0]?.firstMs, T0 + 200, "no refused request made it earlier");
	t.same(
		arms.map(({ metrics }) => metrics.errors?.mean),
		[0, 0],
	);
	t.same(health, [{ variant: "v1", requests: 2, failures: 0 }]);
});

t.test(
	"on an open Service an exposure waits from its first entry: the client decides how long its head takes",
	async (t) => {
		const rig = await rigOf();
		t.teardown(() => rig.close());
		const [unit = "", other = ""] = unitsOf("boosted", 2);
		const open = (of: string): Entry => ({ ...begun(of, of), plan: "open" });
		rig.nowMs = T0 + 5_000;
		await rig.send([open(unit), open(other)]);
		t.same((await rig.ingest.evidence.evidence(query(metric("errors")))).exposures, [], "neither stands yet");
		await rig.send([{ ...open(unit), kind: "end", ...refusals["the gate"] }]);
		rig.nowMs = T0 + 6_000;
		t.same(counts((await rig.ingest.evidence.evidence(query(metric("errors")))).exposures), [
			{ boosted: 1, control: 0 },
		]);
	},
);

t.test("a refusal that its client does not read exposes no unit", async (t) => {
	const rig = await rigOf();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("boosted", 1);
	await rig.send([begun(unit, "r"), { ...begun(unit, "r"), kind: "periodic", attempts: 0 }]);
	rig.nowMs = T0 + 9_000;
	t.same((await rig.ingest.evidence.evidence(query(metric("errors")))).exposures, []);
});

t.test("a request that hangs, or that found no server, counts", async (t) => {
	const rig = await rigOf();
	t.teardown(() => rig.close());
	const [one = "", two = "", three = "", four = ""] = unitsOf("boosted", 4);
	await rig.send([
		begun(one, "hangs"),
		{ ...begun(one, "hangs"), kind: "periodic" },
		begun(two, "no-server"),
		{ ...begun(two, "no-server"), kind: "end", status: 503, codeDetails: "no_healthy_upstream", flag: 2 },
		begun(three, "left"),
		{
			...begun(three, "left"),
			kind: "end",
			status: 0,
			codeDetails: "downstream_remote_disconnect",
			flag: 15,
			cluster: "shop/v2",
		},
		// Left while it waited in the queue of a busy upstream.
		begun(four, "queued"),
		{ ...begun(four, "queued"), kind: "periodic" },
		{
			...begun(four, "queued"),
			kind: "end",
			status: 0,
			codeDetails: "downstream_remote_disconnect",
			flag: 15,
			cluster: "",
			attempts: 1,
		},
	]);
	rig.nowMs = T0 + 10_000;
	const { arms, exposures } = await rig.ingest.evidence.evidence(query(metric("errors")));
	t.same(counts(exposures), [{ boosted: 4, control: 0 }]);
	t.match(arms[0]?.metrics.errors, { n: 4, mean: 1 });
});

t.test("a denial counts for the arm if the caller may use another arm's Variant", async (t) => {
	const rig = await rigOf();
	t.teardown(() => rig.close());
	const [one = "", two = ""] = unitsOf("boosted", 2);
	const denied = (unit: string, principal: string): Entry[] => [
		begun(unit, unit),
		{ ...begun(unit, unit), kind: "end", ...NO_POLICY, principal },
	];
	await rig.send([...denied(one, "spiffe://a/v1-only"), ...denied(two, "spiffe://a/unknown")]);
	rig.nowMs = T0 + 10_000;
	const { arms, exposures } = await rig.ingest.evidence.evidence(query(metric("errors")));
	t.same(counts(exposures), [{ boosted: 1, control: 0 }]);
	t.match(arms[0]?.metrics.errors, { n: 1, mean: 1 });
});

t.test("a denial counts for the arm also if its client did not read the answer", async (t) => {
	const rig = await rigOf();
	t.teardown(() => rig.close());
	const [one = "", two = ""] = unitsOf("boosted", 2);
	const metadata = { weir_allow_enforced_engine_result: "denied" };
	const rbac = { namespace: "envoy.filters.http.rbac", metadata };
	const left = { status: 403, codeDetails: "http2.remote_reset", flag: 28, ...rbac };
	const denied = (unit: string, principal: string): Entry[] => [
		begun(unit, unit),
		{ ...begun(unit, unit), kind: "end", ...left, principal },
	];
	await rig.send([...denied(one, "spiffe://a/v1-only"), ...denied(two, "spiffe://a/unknown")]);
	rig.nowMs = T0 + 10_000;
	t.same(counts((await rig.ingest.evidence.evidence(query(metric("errors")))).exposures), [{ boosted: 1, control: 0 }]);
});

t.test("a denial counts for no unit if the log lacks a part of the rules", async (t) => {
	const rig = await rigOf();
	t.teardown(() => rig.close());
	const [one = "", two = "", three = ""] = unitsOf("boosted", 3);
	const denied = (entry: Entry): Entry[] => [
		entry,
		{ ...entry, kind: "end", ...NO_POLICY, principal: "spiffe://a/v1-only" },
	];
	await rig.send([
		...denied({ ...begun(one, one), plan: "by-group" }),
		...denied({ ...begun(two, two), plan: "by-method", method: "PURGE" }),
	]);
	rig.nowMs = T0 + 10_000;
	t.same((await rig.ingest.evidence.evidence(query(metric("errors")))).exposures, []);
	await rig.send(denied({ ...begun(three, three), plan: "by-method", method: "GET" }));
	rig.nowMs = T0 + 20_000;
	t.same(counts((await rig.ingest.evidence.evidence(query(metric("errors")))).exposures), [{ boosted: 1, control: 0 }]);
});

t.test("a denied request is no exposure if the sidecar assigns, after a periodic entry either", async (t) => {
	const rig = await rigOf();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("control", 1);
	const metadata = { plan: "late", service: "shop", experiment: "models", arm: "control", variant: "v1", unit };
	const entry = { unit: null, requestId: "r", startMs: T0, plan: "late", metadata };
	rig.nowMs = T0 + 1_100;
	await rig.send(withStarts([{ ...entry, kind: "periodic", attempts: 0 }]));
	await rig.ingest.evidence.evidence(query(metric("errors")));
	await rig.send([
		{
			...entry,
			kind: "end",
			status: 403,
			codeDetails: "ext_authz_denied",
			metadata: { ...metadata, verdict: "deny", reason: "no-policy-allows" },
		},
	]);
	rig.nowMs = T0 + 10_000;
	t.same((await rig.ingest.evidence.evidence(query(metric("errors")))).exposures, []);
});
