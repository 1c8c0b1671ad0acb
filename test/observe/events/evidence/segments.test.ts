/** Segments, forced arms and units in two experiments, in the evidence. */
import t from "tap";
import { EVENTS_MARGIN_MS, SEGMENT_VALUES_MAX } from "../../../../src/limits/index.js";
import {
	armOf,
	type Entry,
	EXPERIMENT,
	METRICS,
	metric,
	PLANS,
	planWith,
	query,
	type Rig,
	startRig,
	unitsOf,
	withStarts,
} from "../rig.js";

const T0 = 1_000_000;
const SEGMENTS = [{ name: "country", header: "x-country" }];
const OTHER = { ...EXPERIMENT, name: "prices", salt: "prices", segments: SEGMENTS };
const plans: typeof PLANS = {
	...PLANS,
	segmented: planWith({ ...EXPERIMENT, segments: SEGMENTS }),
	prices: planWith(OTHER),
};

const start = (unit: string, country: string | null, over: Partial<Entry> = {}): Entry => ({
	kind: "start",
	unit,
	requestId: `of-${unit}`,
	startMs: T0,
	plan: "segmented",
	headers: country === null ? {} : { "x-country": country },
	...over,
});

async function rigWith(t: { teardown(close: () => Promise<void>): void }): Promise<Rig> {
	const metrics = [
		...METRICS,
		{ name: "stars", type: "mean", source: "outcome", windowMs: 1_000, range: { lo: 1, hi: 5 } } as const,
	];
	const rig = await startRig({ plans: async (version) => plans[version] ?? null, metrics: async () => metrics });
	t.teardown(() => rig.close());
	return rig;
}

t.test("units are grouped by their first request's value, in order of appearance; others share a group", async (t) => {
	const rig = await rigWith(t);
	const units = unitsOf("control", SEGMENT_VALUES_MAX + 5);
	const [first = "", second = "", third = "", fourth = "", fifth = ""] = units;
	await rig.send([
		start(first, "se"),
		start(second, "de", { startMs: T0 + 1 }),
		start(third, null, { startMs: T0 + 2 }),
	]);
	await rig.restart();
	await rig.send([
		start(first, "fr", { startMs: T0 + 3, requestId: "later" }),
		start(fourth, "x".repeat(65), { startMs: T0 + 3 }),
		start(fifth, fifth, { startMs: T0 + 3 }),
		...units.slice(5).map((unit, index) => start(unit, `land-${index}`, { startMs: T0 + 4 + index })),
	]);
	await rig.post(units.map((unit, index) => ({ metric: "revenue", value: index, unit, time: T0 + 100 })));
	rig.nowMs = T0 + 10_000;
	const asked = query(metric("revenue"));
	t.same((await rig.ingest.evidence.evidence(asked)).segments, [], "not asked for");
	const { segments } = await rig.ingest.evidence.evidence({ ...asked, segments: ["country"] });
	const of = (value: string | null) => segments.find((segment) => segment.value === value);
	t.match(of("se"), { segment: "country", rank: 0 });
	t.match(of("se")?.arms.find(({ arm }) => arm === "control")?.metrics.revenue, { n: 1, mean: 0 });
	t.match(of("de"), { rank: 1 });
	t.match(of(`land-${SEGMENT_VALUES_MAX - 3}`), { rank: SEGMENT_VALUES_MAX - 1 });
	t.equal(of("fr"), undefined, "its first request had se");
	// third, fourth, fifth, and what came when all ranks were taken
	const rest = of(null);
	t.equal(rest?.rank, SEGMENT_VALUES_MAX);
	t.equal(
		rest?.arms.find(({ arm }) => arm === "control")?.metrics.revenue?.n,
		3 + units.length - 5 - (SEGMENT_VALUES_MAX - 2),
	);
	t.equal(segments.length, SEGMENT_VALUES_MAX + 1);
});

t.test("a unit that the sidecar puts into another arm than the plan is left out and counted", async (t) => {
	const rig = await rigWith(t);
	const [forced = "", other = ""] = unitsOf("control", 2);
	const assigned = (unit: string, arm: string) => ({
		plan: "callout",
		service: "shop",
		experiment: "models",
		arm,
		variant: "v2",
		unit,
	});
	const end = (unit: string, arm: string, requestId: string): Entry => ({
		kind: "end",
		unit: null,
		requestId,
		startMs: T0,
		plan: "callout",
		metadata: assigned(unit, arm),
	});
	await rig.send(withStarts([end(forced, "boosted", "r1"), end(other, "control", "r2")]));
	await rig.send(withStarts([end(forced, "control", "r3")]));
	rig.nowMs = T0 + 200_000;
	const evidence = await rig.ingest.evidence.evidence(query(metric("errors")));
	t.equal(evidence.forcedUnits, 1);
	const inHoldback = async (exposedAfterMs: number) =>
		(await rig.ingest.evidence.evidence({ ...query(metric("errors")), exposedAfterMs })).forcedUnits;
	t.equal(await inHoldback(0), 1, "a holdback counts its own, by when it was seen where it was never exposed");
	t.equal(await inHoldback(T0 + 100_000), 0);
	t.equal(evidence.conflictingUnits, 0);
	t.equal(evidence.droppedEntries, 1, "the contradicting entry is not evidence");
	t.match(
		evidence.arms.find(({ arm }) => arm === "control"),
		{ exposedUnits: 1 },
		"the other one alone",
	);
});

t.test("units in two experiments have moments over both assignments", async (t) => {
	const rig = await rigWith(t);
	const units = [...unitsOf("control", 3), ...unitsOf("boosted", 2)];
	await rig.send(units.map((unit) => start(unit, null)));
	await rig.send(
		units
			.slice(1)
			.map((unit) =>
				start(unit, null, { plan: "prices", routeName: "weir|prices|shop|prices", requestId: `p-${unit}` }),
			),
	);
	await rig.post(units.map((unit, index) => ({ metric: "revenue", value: index + 1, unit, time: T0 + 1 })));
	rig.nowMs = T0 + 2_000;
	const asked = { ...query(metric("revenue", { missing: "zero" })), interactsWith: ["prices"] };
	const { interactions } = await rig.ingest.evidence.evidence(asked);
	const [prices] = interactions;
	t.equal(prices?.experiment, "prices");
	t.equal(
		prices?.cells.reduce((sum, { units: found }) => sum + found, 0),
		4,
	);
	const both = prices?.cells.find(({ arm, otherArm }) => arm === "control" && otherArm === armOf(units[1] ?? ""));
	t.ok(both !== undefined && (both.metrics.revenue?.n ?? 0) === both.units, "every unit in both has its value");
});

t.test("values outside a Metric's range are refused one by one; infinities are no numbers", async (t) => {
	const rig = await rigWith(t);
	const row = (value: unknown) => ({ metric: "stars", value, unit: "u" });
	const { status, json } = await rig.post([row(1), row(5), row(5.1), row(0.9), row(-1), row(null)]);
	t.equal(status, 200);
	const { accepted, refused } = json as { accepted: number; refused: { index: number; code: string }[] };
	t.equal(accepted, 2);
	t.same(
		refused.map(({ index, code }) => [index, code]),
		[
			[2, "value-out-of-range"],
			[3, "value-out-of-range"],
			[4, "value-out-of-range"],
			[5, "value-not-finite"],
		],
	);
	t.match(await rig.post('[{"metric": "stars", "value": 1e999, "unit": "u"}]'), { status: 422 });
});

t.test("the newest outcome of each metric is known, also once its rows are gone", async (t) => {
	const rig = await rigWith(t);
	await rig.post([
		{ metric: "revenue", value: 1, unit: "u", time: T0 - 50 },
		{ metric: "revenue", value: 1, unit: "v", time: T0 - 20 },
	]);
	const asked = query(metric("revenue"), metric("accuracy"));
	t.same((await rig.ingest.evidence.evidence(asked)).newestOutcomeMs, { revenue: T0 - 20 });
	rig.nowMs += 10 * EVENTS_MARGIN_MS;
	await rig.ingest.maintain();
	t.same((await rig.ingest.evidence.evidence(asked)).newestOutcomeMs, { revenue: T0 - 20 });
});

t.test("a cap's quantile includes units without a value if they count as zero", async (t) => {
	const rig = await rigWith(t);
	const units = unitsOf("control", 5);
	const ask = { experiment: "models", service: "shop", quantile: 0.5, sinceMs: 0, untilMs: T0 + 2_000 };
	const spent = metric("revenue", { perUnit: "sum", cap: "unfrozen" });
	t.equal(await rig.ingest.evidence.baselineQuantile({ ...ask, valuesOf: spent }), null);
	await rig.send(units.map((unit) => start(unit, null)));
	await rig.post(
		units
			.slice(0, 3)
			.flatMap((unit, index) => [10, index].map((value) => ({ metric: "revenue", value, unit, time: T0 }))),
	);
	rig.nowMs = T0 + 2_000;
	const found = await rig.ingest.evidence.baselineQuantile({ ...ask, valuesOf: spent });
	t.same(found, { valueMs: 11, requests: 3, units: 3 });
	const zeros = { ...spent, missing: "zero" as const };
	t.same(await rig.ingest.evidence.baselineQuantile({ ...ask, valuesOf: zeros }), {
		valueMs: 10,
		requests: 5,
		units: 5,
	});
});

t.test(
	"a request without an end lasts until it is given up, in outcomes per request and in the mean duration",
	async (t) => {
		const rig = await rigWith(t);
		const [a = "", b = ""] = unitsOf("control", 2);
		const requests = [
			start(a, null, { requestId: "1" }),
			start(a, null, { requestId: "2" }),
			start(b, null, { requestId: "3" }),
		];
		await rig.send(requests);
		await rig.send(requests.slice(0, 2).map((entry) => ({ ...entry, kind: "end" as const, durationMs: 20 })));
		await rig.post([{ metric: "revenue", value: 6, unit: a, time: T0 }]);
		rig.nowMs = T0 + 2_000;
		const clicks = metric("revenue", { perUnit: "sum", denominator: "requests", missing: "zero" });
		const { arms } = await rig.ingest.evidence.evidence(query(clicks, metric("p99", { threshold: null })));
		const found = arms.find(({ arm }) => arm === "control")?.metrics;
		t.match(found?.revenue, { n: 2, mean: 3, co: { n: 2, means: [3, 1.5], m2: [18, 3, 0.5] } });
		t.match(found?.p99, { n: 2, mean: (20 + 1_500) / 2 });
	},
);

t.test("rows before a unit's first exposure are kept for its covariate", async (t) => {
	const rig = await rigWith(t);
	const lookback = 20 * EVENTS_MARGIN_MS;
	const [early = "", silent = ""] = unitsOf("control", 2);
	const asked = query(metric("revenue", { covariateMs: lookback }));
	await rig.post([
		{ metric: "revenue", value: 40, unit: early, time: T0 - 10 },
		{ metric: "revenue", value: 20, unit: early, time: T0 - 10 },
	]);
	await rig.ingest.evidence.evidence(asked);
	rig.nowMs = T0 + lookback - 1_000;
	await rig.ingest.maintain();
	const startMs = rig.nowMs;
	await rig.send([start(early, null, { startMs }), start(silent, null, { startMs })]);
	await rig.post([early, silent].map((unit, index) => ({ metric: "revenue", value: index, unit, time: startMs + 1 })));
	rig.nowMs += 2_000;
	const { arms } = await rig.ingest.evidence.evidence(asked);
	const found = arms.find(({ arm }) => arm === "control")?.metrics.revenue;
	t.match(found?.co, { n: 2, means: [0.5, 30] }, "who sent nothing before gets the mean of the others");
	t.same(found?.co?.m2, [0.5, 0, 0]);
});
