/** Units that a filter makes: verified claims (Envoy assigns) and units in metadata of the sidecar (it assigns). */
import t from "tap";
import { ACCESS_LOG_PERIODIC_MS } from "../../../../../src/limits/index.js";
import { COUNTERS } from "../../../../../src/observe/events/meter.js";
import { EXPOSURE_SETTLES_MS } from "../../../../../src/observe/events/receive/requests/settlingExposures.js";
import {
	CALLOUT,
	type Entry,
	EXPERIMENT,
	metric,
	PLANS,
	planWith,
	query,
	seriesKey,
	startRig,
	TRIED_POLICY,
	unitsOf,
	withStarts,
} from "../../rig.js";

type Metadata = Readonly<Record<string, string>>;

const T0 = 1_000_000;
const entries = (result: string): string => seriesKey(COUNTERS.entries.name, { result });
const [control = "", other = "", third = ""] = unitsOf("control", 3);
const [boosted = ""] = unitsOf("boosted", 1);
const [rest = ""] = unitsOf(null, 1);

/** The sidecar's answer about a unit of the plan `callout`. */
const assigned = (unit: string, arm: string | null, over: Metadata = {}): Metadata => ({
	plan: "callout",
	service: "shop",
	experiment: "models",
	...(arm === null ? {} : { arm }),
	variant: arm === "boosted" ? "v2" : "v1",
	unit,
	verdict: "allow",
	reason: "open",
	...over,
});
const callout = (kind: Entry["kind"], requestId: string, over: Partial<Entry> = {}): Entry => ({
	kind,
	unit: null,
	requestId,
	startMs: T0,
	plan: "callout",
	...over,
});

for (const [execution, plan] of [
	["a claim, natively", "claim"],
	["the sidecar's answer", "callout"],
] as const) {
	const entry = (kind: Entry["kind"], unit: string, arm: string, requestId: string, startMs = T0): Entry =>
		plan === "claim"
			? { kind, unit, requestId, startMs, plan }
			: callout(kind, requestId, { startMs, metadata: assigned(unit, arm) });

	t.test(`${execution}: the first entry with the unit is the exposure, once`, async (t) => {
		const rig = await startRig();
		t.teardown(() => rig.close());
		// A start entry is written before the filters: the route without experiment, and no metadata.
		const opening = (requestId: string): Entry => ({ kind: "start", unit: null, requestId, startMs: T0, plan });
		rig.nowMs = T0 + 1_200;
		await rig.send([
			opening("r1"),
			entry("end", control, "control", "r1"),
			opening("r2"),
			entry("periodic", boosted, "boosted", "r2"),
		]);
		const early = await rig.ingest.evidence.evidence(query(metric("errors")));
		t.same(early.exposures, [], "SRM counts no unit before the entries of both arms are complete");
		rig.nowMs = T0 + 2_200;
		await rig.send([
			entry("periodic", boosted, "boosted", "r2"),
			entry("periodic", boosted, "boosted", "r2"),
			entry("end", control, "control", "r1"),
		]);
		const evidence = await rig.ingest.evidence.evidence(query(metric("errors")));
		t.same(
			evidence.exposures.map(({ planVersion, firstMs, counts }) => [planVersion, firstMs, counts]),
			[[plan, T0, { boosted: 1, control: 1 }]],
		);
		t.equal(evidence.droppedEntries, 0);
		rig.nowMs = T0 + 5_000;
		const { arms } = await rig.ingest.evidence.evidence(query(metric("errors")));
		t.same(
			arms.map(({ arm, metrics }) => [arm, metrics.errors]),
			[
				["boosted", { n: 1, mean: 1, m2: 0, extremes: [{ lo: 1, hi: 1 }] }],
				["control", { n: 1, mean: 0, m2: 0, extremes: [{ lo: 0, hi: 0 }] }],
			],
			"the request that hangs counts as failed",
		);
		// Rows as the native form has them: one of the start, one of the end. The end that came twice is its own row.
		t.equal(rig.meter.counts.get(entries("stored")), 4);
		t.equal(rig.meter.counts.get(entries("ignored")), 4, "two starts, two periodic entries of a known request");
	});

	/** An entry of the router's log: the attempt's own start, and of the sidecar's metadata only the header. */
	const attempt = (unit: string, arm: string, requestId: string, startMs: number, header = arm): Entry => ({
		kind: "sent",
		requestId,
		startMs,
		unit,
		...(plan === "claim"
			? { plan }
			: { routeName: "weir|sidecar|shop|-", headers: { "x-weir-arm": `models/${header}` } }),
	});

	t.test(`${execution}: a forwarded request counts from its start, with or without an end`, async (t) => {
		const rig = await startRig();
		t.teardown(() => rig.close());
		const ruling = plan === "claim" ? plan : "sidecar";
		const opening = (requestId: string): Entry => ({ kind: "start", unit: null, requestId, startMs: T0, plan: ruling });
		await rig.send([
			opening("r1"),
			attempt(control, "control", "r1", T0 + 40),
			attempt(control, "control", "r1", T0 + 60),
			opening("r2"),
			attempt(boosted, "boosted", "r2", T0 + 40),
			attempt(other, "control", "of-before-a-restart", T0 + 40),
			opening("begun-later"),
			attempt(third, "control", "begun-later", T0 - 1),
		]);
		await rig.ingest.evidence.evidence(query());
		rig.nowMs = T0 + 500;
		const end = entry("end", control, "control", "r1");
		await rig.send([plan === "claim" ? end : { ...end, plan: ruling, metadata: { ...end.metadata, plan: ruling } }]);
		rig.nowMs = T0 + 5_000;
		const { exposures, arms } = await rig.ingest.evidence.evidence(query(metric("errors")));
		t.same(
			exposures.map(({ firstMs, counts }) => [firstMs, counts]),
			[[T0, { boosted: 1, control: 1 }]],
			"an entry without a known start does not count",
		);
		t.same(
			arms.map(({ arm, metrics }) => [arm, metrics.errors]),
			[
				["boosted", { n: 1, mean: 1, m2: 0, extremes: [{ lo: 1, hi: 1 }] }],
				["control", { n: 1, mean: 0, m2: 0, extremes: [{ lo: 0, hi: 0 }] }],
			],
			"its own request is of it; one that never ends has failed",
		);
	});

	t.test(`${execution}: requests before an outage of ingest are left out, hung ones have failed`, async (t) => {
		const rig = await startRig();
		t.teardown(() => rig.close());
		const ruling = plan === "claim" ? plan : "sidecar";
		const T1 = T0 + 60_001;
		const begun = (unit: string, arm: string, requestId: string, startMs: number): readonly Entry[] => [
			{ kind: "start", unit: null, requestId, startMs, plan: ruling },
			attempt(unit, arm, requestId, startMs + 40),
		];
		const end = (unit: string, arm: string, requestId: string): Entry => {
			const one = entry("end", unit, arm, requestId, T1);
			return plan === "claim" ? one : { ...one, plan: ruling, metadata: { ...one.metadata, plan: ruling } };
		};
		rig.nowMs = T0;
		await rig.send(begun(third, "control", "hung", T0));
		rig.nowMs = T1;
		await rig.send([
			...begun(control, "control", "unheard", T1),
			...begun(other, "control", "heard", T1),
			end(other, "control", "heard"),
		]);
		rig.nowMs = T1 + 2 * ACCESS_LOG_PERIODIC_MS;
		await rig.restart();
		const outcome = { metric: "revenue", value: 4, requestId: "unheard" };
		t.equal((await rig.call("POST", "/v1/outcomes", JSON.stringify(outcome))).status, 200);
		rig.nowMs++;
		await rig.send([...begun(boosted, "boosted", "later", T1), end(boosted, "boosted", "later")]);
		rig.nowMs = T1 + 10_000;
		const asked = ["errors", "revenue"].map((name) => metric(name, { windowMs: 5_000 }));
		const { exposures, arms } = await rig.ingest.evidence.evidence(query(...asked));
		t.same(exposures[0]?.counts, { boosted: 1, control: 3 });
		t.match(arms, [
			{ arm: "boosted", metrics: { errors: { n: 1, mean: 0 } } },
			{ arm: "control", metrics: { errors: { n: 1, mean: 1 }, revenue: { n: 1, mean: 4 } } },
		]);
	});

	if (plan === "callout")
		t.test("an attempt's arm that is not in the plan is ignored", async (t) => {
			const rig = await startRig();
			t.teardown(() => rig.close());
			await rig.send([
				{ kind: "start", unit: null, requestId: "r1", startMs: T0, plan: "sidecar" },
				attempt(control, "control", "r1", T0, "boosted"),
				attempt(control, "control", "r1", T0, "-"),
			]);
			rig.nowMs = T0 + 5_000;
			t.same((await rig.ingest.evidence.evidence(query())).exposures, []);
		});

	t.test(`${execution}: the earlier of two requests is a unit's first, even if its entry arrives later`, async (t) => {
		const rig = await startRig();
		t.teardown(() => rig.close());
		rig.nowMs = T0 + 600;
		await rig.send(withStarts([entry("end", control, "control", "fast", T0 + 500)]));
		await rig.ingest.evidence.evidence(query());
		rig.nowMs = T0 + 1_100;
		await rig.send(withStarts([entry("periodic", control, "control", "slow", T0)]));
		rig.nowMs = T0 + 2 * ACCESS_LOG_PERIODIC_MS;
		t.equal((await rig.ingest.evidence.evidence(query())).exposures[0]?.firstMs, T0);
	});
}

t.test("a graceful shutdown keeps a header unit that has waited less than a second", async (t) => {
	const rig = await startRig({ exposureSettlesMs: EXPOSURE_SETTLES_MS });
	t.teardown(() => rig.close());
	await rig.send([{ kind: "start", unit: control, requestId: "r1", startMs: T0 }]);
	await rig.restart();
	t.same((await rig.ingest.evidence.evidence(query())).exposures[0]?.counts, { boosted: 0, control: 1 });
});

t.test("a header unit counts at the start, and periodic entries do not count", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	await rig.send([
		{ kind: "start", unit: control, requestId: "r1", startMs: T0 },
		{ kind: "periodic", unit: control, requestId: "r1", startMs: T0 },
		{ kind: "periodic", unit: null, requestId: "r2", startMs: T0 },
	]);
	t.same((await rig.ingest.evidence.evidence(query())).exposures[0]?.counts, { boosted: 0, control: 1 });
	t.equal(rig.meter.counts.get(entries("stored")), 1);
	t.equal(rig.meter.counts.get(entries("ignored")), 2);
});

t.test("exposures settle without another entry", async (t) => {
	const rig = await startRig({ clock: Date.now });
	t.teardown(() => rig.close());
	await rig.send(
		withStarts([callout("end", "r1", { startMs: Date.now() - 1_500, metadata: assigned(control, "control") })]),
	);
	const exposed = seriesKey(COUNTERS.exposures.name, { experiment: "models", arm: "control" });
	// No query, no other entry: the next commits take it along.
	while ((rig.meter.counts.get(exposed) ?? 0) < 1) await new Promise((resolve) => setTimeout(resolve, 20));
	t.equal(rig.meter.counts.get(exposed), 1);
});

t.test("the sidecar's arm is checked against the plan that it names", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	rig.nowMs = T0 + 10_000;
	await rig.send(
		withStarts([
			callout("end", "wrong-arm", { metadata: assigned(control, "boosted") }),
			callout("end", "claims-an-arm", { metadata: assigned(rest, "control") }),
			callout("end", "denies-its-arm", { metadata: assigned(control, null) }),
			callout("end", "no-experiment", { metadata: assigned(control, "control", { experiment: "" }) }),
			callout("end", "other-experiment", { metadata: assigned(control, "control", { experiment: "other" }) }),
			callout("end", "other-service", { metadata: assigned(control, "control", { service: "other" }) }),
			callout("end", "no-unit", { metadata: assigned("not a unit", "control") }),
		]),
	);
	const evidence = await rig.ingest.evidence.evidence(query());
	t.same(evidence.exposures, []);
	t.equal(evidence.droppedEntries, 7);
	t.equal(rig.meter.counts.get(seriesKey(COUNTERS.contradictions.name, { service: "shop" })), 7);
	t.equal(rig.lines.filter((line) => /not the plan's/.test(line)).length, 1, "logged once");
	t.notMatch(rig.lines.join("\n"), new RegExp(`${control}|${rest}`));
});

t.test("a unit of the slot may be outside if its caller may not use each Variant: no contradiction", async (t) => {
	const judging = { ...TRIED_POLICY, shadow: false, variants: ["v2"] };
	const access = {
		open: false,
		policies: [{ ...judging, name: "all", action: "allow" as const, variants: [] }, judging],
	};
	const cookies = { ...EXPERIMENT, unit: { from: "cookie", cookie: "id", maxAgeMs: 1_000 } } as const;
	const rig = await startRig({ plans: async () => planWith(cookies, { callout: CALLOUT, access }) });
	t.teardown(() => rig.close());
	rig.nowMs = T0 + 10_000;
	const outside = { experiment: "", variant: "v1" };
	await rig.send(
		withStarts([
			callout("end", "r1", { metadata: assigned(control, null, outside) }),
			callout("end", "r2", { metadata: assigned(boosted, null, outside) }),
			callout("periodic", "r3", { metadata: assigned(boosted, null, outside) }),
			callout("end", "r4", { metadata: assigned(other, "control") }),
		]),
	);
	const evidence = await rig.ingest.evidence.evidence(query());
	t.same(evidence.exposures[0]?.counts, { boosted: 0, control: 1 }, "they are no exposures");
	t.same([evidence.droppedEntries, evidence.conflictingUnits], [0, 0]);
	await rig.send(
		withStarts([
			callout("end", "r5", { metadata: assigned(boosted, null) }),
			callout("end", "r6", { metadata: assigned(boosted, "boosted", { experiment: "" }) }),
			callout("end", "r7", { metadata: assigned(boosted, "control") }),
		]),
	);
	t.equal((await rig.ingest.evidence.evidence(query())).droppedEntries, 3, "nothing else is taken from the sidecar");
});

t.test("the sidecar may answer by another plan than the route's: that one explains the arm", async (t) => {
	let asked = 0;
	const late = { ...EXPERIMENT, unit: { from: "claim", header: "x-user-id", claim: "sub" } } as const;
	const swapped = EXPERIMENT.arms.map((arm) => ({
		...arm,
		name: arm.name === "control" ? "boosted" : "control",
	}));
	const rig = await startRig({
		plans: async (version) => {
			if (version !== "newer") return PLANS[version] ?? null;
			// It comes late.
			return ++asked < 2 ? null : planWith({ ...late, arms: swapped }, { callout: CALLOUT });
		},
	});
	t.teardown(() => rig.close());
	rig.nowMs = T0 + 10_000;
	await rig.send(
		withStarts([
			callout("end", "r1", { metadata: assigned(control, "boosted", { plan: "newer" }) }),
			callout("end", "r2", { metadata: assigned(other, "control", { plan: "never-kept" }) }),
		]),
	);
	while ((rig.meter.counts.get(entries("unreadable")) ?? 0) < 1)
		await new Promise((resolve) => setTimeout(resolve, 20));
	const { exposures, droppedEntries } = await rig.ingest.evidence.evidence(query());
	t.same(
		exposures.map(({ planVersion, counts }) => [planVersion, counts.boosted]),
		[["newer", 1]],
	);
	t.equal(droppedEntries, 1, "an unknown plan");
});

t.test("the winner's arm is no contradiction during a takeover", async (t) => {
	const promoting = planWith(
		{
			...EXPERIMENT,
			unit: { from: "cookie", cookie: "id", maxAgeMs: 1_000 },
			exposing: false,
			takeover: { arm: "boosted", variant: "v2", ppm: 1_000_000 },
		},
		{ callout: CALLOUT },
	);
	const rig = await startRig({ plans: async () => promoting });
	t.teardown(() => rig.close());
	await rig.send(
		withStarts([
			callout("end", "r1", { metadata: assigned(control, "boosted") }),
			callout("end", "r2", { metadata: assigned(control, "control") }),
			callout("end", "r3", { metadata: assigned(boosted, "control") }),
		]),
	);
	const { exposures, droppedEntries } = await rig.ingest.evidence.evidence(query());
	t.same([exposures, droppedEntries], [[], 1]);
});

t.test("a denied request is an exposure with a denial; one without an answer is outside", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	rig.nowMs = T0 + 10_000;
	await rig.send(
		withStarts([
			callout("end", "r1", {
				status: 403,
				metadata: assigned(control, "control", { verdict: "deny", reason: "forbidden" }),
			}),
			callout("end", "r2", { status: 503 }),
			callout("periodic", "r3"),
			callout("end", "r4", { status: 403, metadata: { plan: "callout", verdict: "deny", reason: "unknown-service" } }),
			callout("end", "r5", { metadata: { plan: "callout", service: "shop", verdict: "allow", reason: "open" } }),
			callout("periodic", "r6", { metadata: assigned(rest, null) }),
			callout("end", "r7", { metadata: assigned(rest, null), cluster: "shop/v1" }),
			callout("end", "r8", { metadata: assigned(third, "control"), namespace: "weir" }),
			callout("end", "r9", { metadata: assigned(boosted, "boosted"), namespace: "other.filter" }),
		]),
	);
	const evidence = await rig.ingest.evidence.evidence(query());
	t.same(evidence.exposures[0]?.counts, { boosted: 0, control: 2 });
	t.same(evidence.health, [{ variant: "v1", requests: 7, failures: 1 }]);
	t.equal(evidence.droppedEntries, 0);
});
