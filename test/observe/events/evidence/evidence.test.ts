import { join } from "node:path";
import t from "tap";
import type { EvidenceMetric } from "../../../../src/infer/statistics/evidence.js";
import { openEventStore } from "../../../../src/observe/events/store/store.js";
import { type Entry, metric, query, type Rig, sent, startRig, unitsOf } from "../rig.js";

const T0 = 1_000_000;

async function momentsOf(rig: Rig, asked: EvidenceMetric, arm = "control") {
	const evidence = await rig.ingest.evidence.evidence(query(asked));
	const found = evidence.arms.find((candidate) => candidate.arm === arm);
	return { ...found?.metrics[asked.name], missing: found?.missingUnits[asked.name], matured: found?.maturedUnits };
}

const exposed = (unit: string, requestId: string, startMs = T0): Entry => ({ kind: "start", unit, requestId, startMs });
const ended = (unit: string, requestId: string, over: Partial<Entry> = {}): Entry => ({
	kind: "end",
	unit,
	requestId,
	startMs: T0,
	...over,
});

t.test("an observation is made once, when window and settling are over", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("control", 1);
	const asked = metric("errors");
	await rig.send([
		exposed(unit, "r1"),
		ended(unit, "r1", { status: 500 }),
		exposed(unit, "r2", T0 + 900),
		exposed(unit, "r3", T0 + 1_001),
	]);
	await rig.send([{ ...ended(unit, "r2"), startMs: T0 + 900 }]);
	rig.nowMs = T0 + 1_500;
	t.same(await momentsOf(rig, asked), { missing: undefined, matured: 0 }, "not yet at the due time itself");
	rig.nowMs = T0 + 1_501;
	const once = { n: 1, mean: 0.5, m2: 0, extremes: [{ lo: 0.5, hi: 0.5 }] };
	t.same(await momentsOf(rig, asked), { ...once, missing: undefined, matured: 1 });
	rig.nowMs = T0 + 5_000;
	await rig.send([{ ...ended(unit, "r1", { status: 200 }) }, { ...ended(unit, "r3"), startMs: T0 + 1_001 }]);
	rig.nowMs = T0 + 6_000;
	t.match(await momentsOf(rig, asked), { n: 1, mean: 0.5 });
	await rig.restart();
	t.match(await momentsOf(rig, asked), { n: 1, mean: 0.5 });
});

t.test("what came after the due time does not count, though closing runs later", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("control", 1);
	await rig.send([exposed(unit, "r1")]);
	rig.nowMs = T0 + 2_000;
	await rig.send([ended(unit, "r1")]);
	await rig.post({ metric: "revenue", value: 5, unit, time: T0 + 10 });
	rig.nowMs = T0 + 3_000;
	t.match(await momentsOf(rig, metric("errors")), { n: 1, mean: 1 }, "no end in time: failed");
	t.match(await momentsOf(rig, metric("revenue")), { n: undefined, missing: 1 });
});

t.test("latency is the share slower than the threshold, of units exposed after it was frozen", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [before = "", slow = "", fast = ""] = unitsOf("control", 3);
	await rig.send([exposed(before, "r0", T0 - 10), ended(before, "r0", { startMs: T0 - 10, durationMs: 900 })]);
	await rig.send([exposed(slow, "r1"), exposed(slow, "r2"), exposed(slow, "r3"), exposed(fast, "r4")]);
	await rig.send([ended(slow, "r1", { durationMs: 100 }), ended(slow, "r2", { durationMs: 100.5 }), ended(fast, "r4")]);
	rig.nowMs = T0 + 2_000;
	const asked = metric("p99", {
		threshold: { thresholdMs: 100, baseline: { arm: "control", thresholdMs: 100 }, frozenAtMs: T0 - 1 },
	});
	t.match(await momentsOf(rig, { ...asked, threshold: "unfrozen" }), { n: undefined, matured: 3 });
	const moments = await momentsOf(rig, asked);
	t.match(moments, { n: 2, matured: 3 });
	t.ok(Math.abs((moments.mean ?? 0) - 1 / 3) < 1e-12, "2 of 3 (one has no end), and 0 of 1");
});

t.test("each arm's slow requests are counted by its own threshold", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [control = ""] = unitsOf("control", 1);
	const [boosted = ""] = unitsOf("boosted", 1);
	for (const unit of [control, boosted])
		await rig.send([exposed(unit, `of-${unit}`), ended(unit, `of-${unit}`, { durationMs: 60 })]);
	rig.nowMs = T0 + 2_000;
	const threshold = { thresholdMs: 80, baseline: { arm: "control", thresholdMs: 40 }, frozenAtMs: T0 - 1 };
	const { arms } = await rig.ingest.evidence.evidence(query(metric("p99", { threshold })));
	const shares = Object.fromEntries(arms.map(({ arm, metrics }) => [arm, metrics.p99?.mean]));
	t.match(shares, { control: 1, boosted: 0 });
});

t.test("a threshold frozen anew leaves out every observation made against the former one", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [a = "", b = "", c = ""] = unitsOf("control", 3);
	const old = metric("p99", {
		threshold: { thresholdMs: 1_000, baseline: { arm: "control", thresholdMs: 1_000 }, frozenAtMs: T0 - 1 },
	});
	const errors = metric("errors");
	await rig.send([exposed(a, "r1"), exposed(b, "r2")]);
	await rig.send([ended(a, "r1", { durationMs: 500 }), ended(b, "r2", { durationMs: 500 })]);
	rig.nowMs = T0 + 2_000;
	t.match(await momentsOf(rig, old), { n: 2, mean: 0, matured: 2 });
	const none = { ...old, threshold: "unfrozen" as const };
	t.match(await momentsOf(rig, none), { n: undefined, missing: undefined, matured: 2 }, "between the two: nothing");
	const again = {
		...old,
		threshold: { thresholdMs: 100, baseline: { arm: "control", thresholdMs: 100 }, frozenAtMs: T0 + 2_000 },
	};
	t.match(await momentsOf(rig, again), { n: undefined, missing: undefined, matured: 2 }, "from 0");
	await rig.send([exposed(c, "r3", T0 + 2_001)]);
	await rig.send([ended(c, "r3", { startMs: T0 + 2_001, durationMs: 500 })]);
	rig.nowMs = T0 + 4_000;
	t.match(await momentsOf(rig, again), { n: 1, mean: 1, matured: 3 }, "only c, slow by the new threshold");
	const evidence = await rig.ingest.evidence.evidence(query(again, errors));
	const control = evidence.arms.find(({ arm }) => arm === "control");
	t.match(control?.metrics, { p99: { n: 1 }, errors: { n: 3 } }, "other metrics keep theirs");
});

t.test("an outcome joins by unit or by request id, early ones too, and only inside the window", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [a = "", b = "", c = "", d = ""] = unitsOf("control", 4);
	const request = "f0000000-0000-4000-8000-000000000001";
	// Before any exposure is known.
	await rig.post([
		{ metric: "revenue", value: 1, unit: a, time: T0 + 1 },
		{ metric: "revenue", value: 4, requestId: request, time: T0 + 1_000 },
		{ metric: "revenue", value: 7, unit: c, time: T0 + 1_001 },
		{ metric: "revenue", value: 8, unit: c, time: T0 - 1 },
		{ metric: "revenue", value: 9, unit: c, time: T0, experiment: "another" },
	]);
	await rig.send([exposed(a, "r1"), exposed(b, request), exposed(c, "r3"), exposed(d, "r4")]);
	await rig.post({ metric: "revenue", value: 3, unit: a, time: T0 + 2, experiment: "models" });
	rig.nowMs = T0 + 2_000;
	t.match(await momentsOf(rig, metric("revenue")), { n: 2, mean: 3, m2: 2, missing: 2, matured: 4 });
});

t.test("missing as zero counts every matured unit", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [a = "", b = ""] = unitsOf("control", 2);
	await rig.send([exposed(a, "r1"), exposed(b, "r2")]);
	await rig.post({ metric: "revenue", value: 6, unit: a, time: T0 });
	rig.nowMs = T0 + 2_000;
	t.match(await momentsOf(rig, metric("revenue", { missing: "zero" })), {
		...{ n: 2, mean: 3, m2: 18, missing: undefined },
		extremes: [{ lo: 0, hi: 6 }],
	});
});

t.test("an edited window does not make a second observation of a unit", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [unit = ""] = unitsOf("control", 1);
	await rig.send([exposed(unit, "r1"), ended(unit, "r1")]);
	rig.nowMs = T0 + 20 * 60_000;
	for (const windowMs of [1_000, 60_000, 1_000, 15 * 60_000, 1_000]) {
		t.match(await momentsOf(rig, metric("errors", { windowMs })), { n: 1 });
		rig.nowMs += 60_000;
	}
});

t.test("moments keep their digits far from zero", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const units = unitsOf("control", 3_000);
	const values = units.map((_, index) => 1e9 + (index % 7));
	await rig.send(units.map((unit, index) => exposed(unit, `r${index}`)));
	await rig.post(units.map((unit, index) => ({ metric: "revenue", value: values[index], unit, time: T0 })));
	rig.nowMs = T0 + 2_000;
	const moments = await momentsOf(rig, metric("revenue"));
	const small = values.map((value) => value - 1e9);
	const mean = small.reduce((sum, value) => sum + value, 0) / small.length;
	const m2 = small.reduce((sum, value) => sum + (value - mean) ** 2, 0);
	t.equal(moments.n, 3_000);
	t.ok(Math.abs((moments.mean ?? 0) - 1e9 - mean) < 1e-6, `mean ${moments.mean}`);
	t.ok(Math.abs((moments.m2 ?? 0) / m2 - 1) < 1e-6, `m2 ${moments.m2} against ${m2}`);
});

for (const covariateMs of [null, 1_000]) {
	t.test(`values that are all one have no spread, over however many looks (covariate: ${covariateMs})`, async (t) => {
		const rig = await startRig();
		t.teardown(() => rig.close());
		const units = unitsOf("control", 240);
		const asked = query(metric("revenue", { covariateMs }));
		const sent = (value: number, unit: string, time: number) => ({ metric: "revenue", value, unit, time });
		let noisy = false;
		for (let look = 0; look < 8; look++) {
			const startMs = T0 + look * 5_000;
			const some = units.slice(30 * look, 30 * look + 30);
			await rig.send(some.map((unit, index) => exposed(unit, `r${look}-${index}`, startMs)));
			// Three tenths, over three, are no tenth.
			const now = some.flatMap((unit, index) =>
				Array.from({ length: 1 + (index % 3) }, () => sent(0.1, unit, startMs + 1)),
			);
			await rig.post([...now, ...some.map((unit, index) => sent(0.3 + index, unit, startMs - 1))]);
			// Plain addition of ten thousand tenths is off by 1.6e-13 of the sum.
			for (const _ of look === 7 ? [1, 2, 3, 4] : [])
				await rig.post(Array.from({ length: 2_500 }, () => sent(0.1, some[0] ?? "", startMs + 2)));
			rig.nowMs = startMs + 2_000;
			const { arms } = await rig.ingest.evidence.evidence(asked);
			const revenue = arms.find(({ arm }) => arm === "control")?.metrics.revenue;
			t.match(revenue, { n: some.length * (look + 1), mean: 0.1, m2: 0 });
			const [, product, spread = 0] = revenue?.co?.m2 ?? [];
			t.equal(product, covariateMs === null ? undefined : 0, "what does not vary goes with nothing");
			t.equal(spread > 1, covariateMs !== null, "the covariate varies");
			noisy ||= revenue?.extremes?.[0]?.lo !== revenue?.extremes?.[0]?.hi;
		}
		t.ok(noisy, "rounding made values differ");
	});
}

t.test("the baseline's quantile is over the default Variant outside challenger arms", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const ask = { experiment: "models", service: "shop", quantile: 0.5, sinceMs: T0, untilMs: T0 + 100 };
	t.equal(await rig.ingest.evidence.baselineQuantile(ask), null);
	const [control = ""] = unitsOf("control", 1);
	const [boosted = ""] = unitsOf("boosted", 1);
	const [rest = ""] = unitsOf(null, 1);
	await rig.send([
		ended(control, "r1", { durationMs: 10, cluster: "shop/v1" }),
		ended(rest, "r2", { durationMs: 20, cluster: "shop/v1" }),
		ended(rest, "r3", { durationMs: 40, cluster: "shop/v1" }),
		{ kind: "end", unit: null, requestId: "r4", startMs: T0, durationMs: 50, cluster: "shop/v1" },
		ended(boosted, "r5", { durationMs: 1_000, cluster: "shop/v1" }),
		ended(control, "r6", { durationMs: 1_000, cluster: "shop/v2" }),
	]);
	rig.nowMs = T0 + 100;
	await rig.send([ended(control, "r7", { durationMs: 2_000, cluster: "shop/v1" })]);
	t.match(await rig.ingest.evidence.baselineQuantile(ask), { valueMs: 30, requests: 4, units: 2 });
});

t.test("the baseline's quantile has its precision by units, not by requests", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const people = unitsOf(null, 60);
	const cluster = "shop/v1";
	await rig.send(
		people.flatMap((unit, person) =>
			Array.from({ length: 1 + (person % 4) }, (_, index) => {
				const durationMs = ((person * 37) % 101) + ((index * 13) % 7);
				return ended(unit, `known-${person}-${index}`, { durationMs, cluster });
			}),
		),
	);
	const ask = { experiment: "models", service: "shop", quantile: 0.9, sinceMs: 0, untilMs: T0 + 1_000 };
	const found = await rig.ingest.evidence.baselineQuantile(ask);
	// numpy: np.quantile at 0.9 and its bracket, Var(ΣS ÷ ΣN) over people by the delta method (Deng, Knoblich & Lu 2018).
	t.match(found, { requests: 150, units: 60 });
	t.ok(Math.abs((found?.standardErrorMs ?? 0) - 3.890739854444632) < 1e-9, `${found?.standardErrorMs}`);
	t.equal((await rig.ingest.evidence.baselineQuantile({ ...ask, quantile: 0.99 }))?.standardErrorMs, undefined);
});

t.test("a stall in one stretch of time does not set the baseline's quantile", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [rest = ""] = unitsOf(null, 1);
	for (let batch = 0; batch < 10; batch++) {
		rig.nowMs = T0 + batch * 10;
		const durationMs = batch === 0 ? 900 : 10;
		await rig.send(
			Array.from({ length: 20 }, (_, index) =>
				ended(rest, `stall-${batch}-${index}`, { durationMs, cluster: "shop/v1" }),
			),
		);
	}
	const ask = { experiment: "models", service: "shop", quantile: 0.99, sinceMs: 0, untilMs: T0 + 1_000 };
	t.match(await rig.ingest.evidence.baselineQuantile(ask), { valueMs: 10, requests: 200 });
});

t.test("evidence has the newest first exposure, so that a silent sender differs from silent traffic", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const [one = "", two = ""] = unitsOf("control", 2);
	const newest = async () => (await rig.ingest.evidence.evidence(query(metric("errors")))).newestExposureMs;
	t.equal(await newest(), undefined);
	await rig.send([exposed(one, "r1", T0 + 700), exposed(two, "r2", T0 + 300)]);
	t.equal(await newest(), T0 + 700);
});

t.test("a metric that no look can take in costs that metric alone, and is named", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const units = [...unitsOf("control", 3), ...unitsOf("boosted", 3)];
	await rig.send(units.flatMap((unit) => sent(unit, "p1", rig.nowMs)));
	await rig.post(units.map((unit) => ({ metric: "accuracy", unit, value: 1 })));
	// What began just before a restart is left out.
	rig.nowMs += 60_001;
	await rig.send([{ kind: "end", unit: null, requestId: "later", startMs: rig.nowMs }]);
	await rig.ingest.close();
	const store = await openEventStore(join(rig.directory, "data"));
	await store.outcomes.transaction((transaction) =>
		transaction.run(
			"INSERT INTO outcomes SELECT 'revenue', unit, NULL, NULL, 1e200 * rowid, event_ms, received_ms FROM outcomes",
		),
	);
	await store.close();
	await rig.reopen();
	for (const laterMs of [5_000, 5_000, 60_000]) {
		rig.nowMs += laterMs;
		const asked = query(metric("errors"), metric("revenue"), metric("accuracy"));
		const { arms, unreadable } = await rig.ingest.evidence.evidence(asked);
		t.same(unreadable, ["revenue"]);
		for (const { metrics, maturedUnits } of arms)
			t.match([maturedUnits, metrics], [3, { errors: { n: 3 }, accuracy: { n: 3, mean: 1 } }]);
		t.equal(rig.lines.filter((line) => /VARPOP/.test(JSON.stringify(line))).length, 1, "logged once");
	}
	await t.rejects(rig.ingest.evidence.evidence({ ...query(metric("errors")), segments: [1 as never] }), {
		code: "unavailable",
	});
});
