/** The grid of thresholds around a quantile: how it is measured, and how requests are counted by it. */

import t from "tap";
import { evidenceQuery, localEvidence } from "../../../../src/decide/rollout/evidenceQuery.js";
import { initialStatus } from "../../../../src/decide/rollout/status.js";
import type { Metric } from "../../../../src/declare/resources/resource.js";
import { CENTRE, GRID_SIZE, gridQuantiles } from "../../../../src/infer/statistics/quantileGrid.js";
import { ingestClient } from "../../../../src/observe/events/client.js";
import { QUANTILES_ASKED_MAX } from "../../../../src/observe/events/evidence/evidenceQuery.js";
import { experiment, METRICS } from "../../../decide/rollout/example.js";
import { resourceSet } from "../../../fixtures/resources.js";
import { type Entry, metric, query, startRig, unitsOf } from "../rig.js";

const T0 = 1_000_000;

const exposed = (unit: string, requestId: string): Entry => ({ kind: "start", unit, requestId, startMs: T0 });
const ended = (unit: string | null, requestId: string, over: Partial<Entry> = {}): Entry => ({
	...{ kind: "end", unit, requestId, startMs: T0 },
	...over,
});

t.test("a grid of thresholds: queried in parts, closed together, merged, returned as shares at each", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const latency = {
		...METRICS["latency-p99"],
		spec: { ...METRICS["latency-p99"]?.spec, windowMs: 1_000 },
	} as Metric;
	const plan = experiment(["boosted"], { segments: [{ name: "country", header: "x-country" }] });
	const gridMs = gridQuantiles(0.99).map((_, index) => 10 * (index + 1));
	const frozen = { thresholdMs: 220, referenceMs: 110, era: 1, gridMs, frozenAtMs: T0 - 1, sampleSize: 5_000 };
	const resources = resourceSet({ experiments: [plan], metrics: [latency] });
	const asked = evidenceQuery(
		resources,
		plan,
		{ ...initialStatus([1_000_000], 0), thresholds: { "latency-p99": frozen } },
		T0,
	);
	t.equal(asked.metrics.length, GRID_SIZE / 4);
	const ask = async () => {
		const found = await ingestClient(rig.httpSocket).evidence({ ...asked, experiment: "models", service: "shop" });
		return localEvidence(found, { "latency-p99": latency });
	};
	const control = unitsOf("control", 12);
	const boosted = unitsOf("boosted", 12);
	// A person's two requests: one as fast as can be, one that takes 8 ms for the first, 16 ms for the second, …
	const of = (units: readonly string[], from: number, to: number): Entry[] =>
		units
			.slice(from, to)
			.flatMap((unit, index) => [
				...[exposed(unit, `g${unit}a`), exposed(unit, `g${unit}b`), ended(unit, `g${unit}a`, { durationMs: 1 })],
				ended(unit, `g${unit}b`, { durationMs: 8 * (from + index + 1) }),
			]);
	// The mean over people of the share above each threshold; a challenger's are twice the baseline's.
	const expected = (people: number, factor: number): number[] =>
		gridMs.map(
			(ms) => control.slice(0, people).filter((_, index) => 8 * (index + 1) > factor * ms).length / 2 / people,
		);
	const near = (found: readonly number[] | undefined, wanted: readonly number[]): boolean =>
		found?.length === wanted.length && found.every((share, index) => Math.abs(share - (wanted[index] ?? 0)) < 1e-12);
	for (const [from, to] of [
		[0, 5],
		[5, 12],
	] as const) {
		await rig.send([...of(control, from, to), ...of(boosted, from, to)]);
		rig.nowMs += 30_000;
		const evidence = await ask();
		for (const { arm, metrics, missingUnits } of evidence.arms.filter(({ arm }) => arm !== "other")) {
			t.same(Object.keys(metrics), ["latency-p99"]);
			t.same(Object.keys(missingUnits), []);
			const found = metrics["latency-p99"];
			const wanted = expected(to, arm === "control" ? 1 : 2);
			t.match(found, { n: to, co: undefined });
			t.ok(near(found?.slow, wanted), `${arm}: ${found?.slow}`);
			t.ok(Math.abs((found?.mean ?? 0) - (wanted[CENTRE] ?? 0)) < 1e-12, "the metric itself is the quantile's own");
		}
		const [segment] = evidence.segments;
		t.ok(near(segment?.arms[0]?.metrics["latency-p99"]?.slow, evidence.arms[0]?.metrics["latency-p99"]?.slow ?? []));
	}
	await rig.send([ended(control[0] ?? "", `g${control[0]}a`, { durationMs: 1 })]);
	await rig.restart();
	t.ok(near((await ask()).arms[0]?.metrics["latency-p99"]?.slow, expected(12, 2)), "kept over a restart");
	const further = asked.metrics[0]?.threshold;
	if (typeof further !== "object" || further === null) throw new Error("no threshold");
	const many = { ...further, further: [...(further.further ?? []), { thresholdMs: 1, baselineMs: 1 }] };
	await t.rejects(ingestClient(rig.httpSocket).evidence(query(metric("p99", { threshold: many }))), {
		code: "invalid-argument",
		message: /further/,
	});
});

t.test("further quantiles of the baseline come with the metric's own, over the same intervals", async (t) => {
	const rig = await startRig();
	t.teardown(() => rig.close());
	const cluster = "shop/v1";
	await rig.send(
		Array.from({ length: 100 }, (_, index) => ended(null, `q${index}`, { durationMs: 1 + (index % 20), cluster })),
	);
	const ask = { experiment: "models", service: "shop", quantile: 0.5, sinceMs: T0, untilMs: T0 + 100 };
	const client = ingestClient(rig.httpSocket);
	// Each of five stretches has 1 to 20.
	t.match(await client.baselineQuantile({ ...ask, others: [0, 0.5, 1].map((q) => (1 + 8 * q) / 10) }), {
		valueMs: 10.5,
		others: [2.9, 10.5, 18.1],
	});
	t.equal((await client.baselineQuantile(ask))?.others, undefined);
	await t.rejects(client.baselineQuantile({ ...ask, others: [1] }), { code: "invalid-argument", message: /others/ });
	const many = Array.from({ length: QUANTILES_ASKED_MAX + 1 }, () => 0.5);
	await t.rejects(client.baselineQuantile({ ...ask, others: many }), { code: "invalid-argument" });
});
