/** Rows that a running Experiment still needs are kept: those without a look, and those that a cap is frozen from. */

import t from "tap";
import type { Judge } from "../../../../src/decide/rollout/judges.js";
import type { EvidenceQuery } from "../../../../src/infer/statistics/evidence.js";
import { EVENTS_MARGIN_MS } from "../../../../src/limits/index.js";
import { EVENTS_HELD_MS } from "../../../../src/observe/events/evidence/retention.js";
import type { MetricDeclaration } from "../../../../src/observe/events/receive/outcomes/metricDeclaration.js";
import { EXPERIMENT, metric, planWith, query, type Rig, sent, startRig, unitsOf } from "../rig.js";

t.setTimeout(120_000);

const HOUR = 3_600_000;
const WINDOW = 600_000;
const SETTLE = 500;
const UNDER_WAY: Judge = { experiment: "models", service: "shop", freezingSinceMs: null };

const asked: EvidenceQuery = query(metric("revenue", { windowMs: WINDOW, perUnit: "sum", missing: "zero" }));

/** A store whose revenue is judged by what `judges` holds, which may be changed, and an Experiment's people. */
async function house(t: { teardown(close: () => Promise<void>): void }, ...judging: readonly Judge[]) {
	return houseWith(t, {}, judging);
}

async function houseWith(
	t: { teardown(close: () => Promise<void>): void },
	options: Parameters<typeof startRig>[0],
	judging: readonly Judge[],
) {
	const judges = [...judging];
	const revenue: MetricDeclaration = { name: "revenue", type: "mean", source: "outcome", windowMs: WINDOW, judges };
	const rig = await startRig({ metrics: async () => [revenue], ...options });
	t.teardown(() => rig.close());
	const units = [...unitsOf("control", 30)];
	/** A unit that arrives now, with an outcome of 100. */
	const come = async (): Promise<void> => {
		const unit = units.pop() ?? "";
		await rig.send([{ kind: "start", unit, requestId: unit, startMs: rig.nowMs }]);
		rig.nowMs += 60_000;
		await rig.post({ metric: "revenue", value: 100, unit });
		await rig.ingest.maintain();
	};
	const pass = async (ms: number): Promise<void> => {
		rig.nowMs += ms;
		await rig.ingest.maintain();
	};
	const seen = async () => {
		const found = await rig.ingest.evidence.evidence(asked);
		const arm = found.arms.find((one) => one.arm === "control");
		return { units: arm?.maturedUnits, mean: arm?.metrics.revenue?.mean };
	};
	return { rig, judges, come, pass, seen };
}

const rowsIn = (rig: Rig, table: string): number =>
	rig.meter.gauges.get(`weir_ingest_rows${JSON.stringify({ table })}`) ?? -1;
const outcomesIn = (rig: Rig): number => rowsIn(rig, "outcomes");
const entriesIn = (rig: Rig): number => rowsIn(rig, "entries");

t.test("rows that arrive between two evidence queries are not lost, with or without a restart of ingest", async (t) => {
	for (const restarted of [false, true]) {
		const { rig, come, pass, seen } = await house(t, UNDER_WAY);
		await come();
		await seen();
		if (restarted) await rig.restart();
		// Longer in all than rows are held by themselves.
		for (let n = 1; n < 6; n++) {
			await pass(3 * WINDOW);
			await come();
		}
		await pass(WINDOW + SETTLE);
		t.match(await seen(), { units: 6, mean: 100 }, restarted ? "restarted" : "not restarted");
		await pass(WINDOW + SETTLE + EVENTS_MARGIN_MS + 1);
		t.not(outcomesIn(rig), 0, "not looked at since");
		await seen();
		await pass(1);
		t.equal(outcomesIn(rig), 0, "what was looked at goes");
	}
});

t.test("an Experiment that was never looked at counts from its first unit on", async (t) => {
	const { come, pass, seen } = await house(t, UNDER_WAY);
	await come();
	await pass(3 * HOUR);
	await come();
	await pass(WINDOW + SETTLE);
	t.match(await seen(), { units: 2, mean: 100 });
});

t.test("rows are removed after a look without new entries, and after the end of the Experiment", async (t) => {
	const { rig, judges, come, pass, seen } = await house(t, UNDER_WAY);
	await come();
	for (let n = 0; n < 3; n++) {
		await pass(HOUR);
		await seen();
	}
	await pass(1);
	t.equal(outcomesIn(rig), 0);
	await come();
	await pass(3 * HOUR);
	t.equal(outcomesIn(rig), 1);
	judges.pop();
	await pass(1);
	t.equal(outcomesIn(rig), 0);
});

t.test("rows are held for EVENTS_HELD_MS at most", async (t) => {
	for (const judge of [UNDER_WAY, { ...UNDER_WAY, freezingSinceMs: 0 }]) {
		const { rig, come, pass, seen } = await house(t, judge);
		await come();
		await seen();
		await pass(EVENTS_HELD_MS + WINDOW + EVENTS_MARGIN_MS);
		t.equal(outcomesIn(rig), 1);
		await pass(SETTLE + 60_000);
		t.equal(outcomesIn(rig), 0);
	}
});

t.test("a cap is frozen from all accepted rows, which are then removed", async (t) => {
	const { rig, judges, come, pass, seen } = await house(t);
	const sinceMs = rig.nowMs;
	judges.push({ ...UNDER_WAY, freezingSinceMs: sinceMs });
	const valuesOf = metric("revenue", { windowMs: WINDOW, perUnit: "sum", missing: "zero", cap: "unfrozen" });
	for (let n = 0; n < 6; n++) {
		await come();
		await pass(HOUR);
		await seen();
	}
	const question = { experiment: "models", service: "shop", quantile: 0.1, sinceMs, untilMs: rig.nowMs, valuesOf };
	t.match(
		await rig.ingest.evidence.baselineQuantile(question),
		{ units: 5, valueMs: 100 },
		"all after the first outcome",
	);
	judges[0] = UNDER_WAY;
	await pass(HOUR);
	await seen();
	await pass(1);
	t.equal(outcomesIn(rig), 0);
});

t.test("a threshold is frozen from all requests since the start, however few come", async (t) => {
	const judges: Judge[] = [];
	const p99: MetricDeclaration = { name: "p99", type: "quantile", source: "latency", windowMs: 60_000, judges };
	const rig = await startRig({ metrics: async () => [p99] });
	t.teardown(() => rig.close());
	const sinceMs = rig.nowMs;
	judges.push({ ...UNDER_WAY, freezingSinceMs: sinceMs });
	for (let n = 0; n < 5; n++) {
		const startMs = rig.nowMs;
		await rig.send([
			{ kind: "end", unit: null, requestId: `r${n}`, startMs, routeName: "weir|p1|shop|-", cluster: "shop/v1" },
		]);
		rig.nowMs += HOUR;
		await rig.ingest.evidence.evidence(query(metric("p99")));
		await rig.ingest.maintain();
	}
	const question = { experiment: "models", service: "shop", quantile: 0.99, sinceMs, untilMs: rig.nowMs };
	t.match(await rig.ingest.evidence.baselineQuantile(question), { requests: 5 });
});

t.test("a cap is frozen from outcomes by request too, for which only the starts are held", async (t) => {
	const { rig, judges, pass, seen } = await house(t);
	const sinceMs = rig.nowMs;
	judges.push({ ...UNDER_WAY, freezingSinceMs: sinceMs });
	const units = unitsOf("control", 5);
	for (const unit of units) {
		const one = { unit, requestId: unit, startMs: rig.nowMs };
		await rig.send([
			{ kind: "start", ...one },
			{ kind: "end", ...one, cluster: "shop/v1" },
		]);
		rig.nowMs += 1_000;
		await rig.post({ metric: "revenue", value: 100, requestId: unit });
		await pass(HOUR);
		await seen();
	}
	await pass(2 * HOUR);
	await seen();
	await pass(1);
	const valuesOf = metric("revenue", { windowMs: WINDOW, perUnit: "sum", missing: "zero", cap: "unfrozen" });
	const question = { experiment: "models", service: "shop", quantile: 0.1, sinceMs, untilMs: rig.nowMs, valuesOf };
	t.match(await rig.ingest.evidence.baselineQuantile(question), { units: 4, valueMs: 100 });
	t.same([entriesIn(rig), outcomesIn(rig)], [5, 5]);
});

t.test("units whose outcomes were removed freeze no cap, and do not count as units without outcomes", async (t) => {
	for (const [freezingRowsMax, everyMs, outcomes, units] of [
		[5, HOUR, 5, 4],
		[0, HOUR, 0, 0],
		// By age: of 36 days 30 are left.
		[1_000, 144 * HOUR, 4, 3],
	] as const) {
		const { rig, judges, come, pass, seen } = await houseWith(t, { freezingRowsMax }, []);
		const sinceMs = rig.nowMs;
		judges.push({ ...UNDER_WAY, freezingSinceMs: sinceMs });
		for (let n = 0; n < (everyMs === HOUR ? 7 : 6); n++) {
			await come();
			await pass(everyMs);
			await seen();
		}
		await pass(3 * HOUR);
		await seen();
		await pass(1);
		t.same([entriesIn(rig), outcomesIn(rig)], [0, outcomes]);
		const valuesOf = metric("revenue", { windowMs: WINDOW, perUnit: "sum", missing: "zero", cap: "unfrozen" });
		const question = { experiment: "models", service: "shop", quantile: 0.5, sinceMs, untilMs: rig.nowMs, valuesOf };
		const found = await rig.ingest.evidence.baselineQuantile(question);
		if (units === 0) t.equal(found, null);
		else t.match(found, { units, valueMs: 100 }, "all that came after the oldest outcome that is left");
	}
});

const DAY = 24 * HOUR;
const P99: Omit<MetricDeclaration, "judges"> = { name: "p99", type: "quantile", source: "latency", windowMs: HOUR };

/** A small Service whose threshold is to be frozen, beside a busy one: four requests a day and one of a challenger's, and sixty. */
async function besideBusy(t: { teardown(close: () => Promise<void>): void }, judges: Judge[], freezingRowsMax: number) {
	const plan = planWith(EXPERIMENT);
	const [shop] = plan.services;
	if (shop === undefined) throw new Error("no Service");
	const services = [shop, { ...shop, name: "team-b/busy", hosts: ["busy.test"], experiments: [] }];
	const both = { ...plan, services };
	const metrics = async () => [{ ...P99, judges }];
	const rig = await startRig({ metrics, plans: async () => both, freezingRowsMax });
	t.teardown(() => rig.close());
	let count = 0;
	const send = async (service: string, requests: number) =>
		rig.send(
			Array.from({ length: requests }, () => ({ unit: null, requestId: `r${count++}`, startMs: rig.nowMs })).flatMap(
				(one) => {
					const routeName = `weir|p1|${service}|-`;
					return [{ kind: "end" as const, ...one, routeName, cluster: `${service}/v1` }];
				},
			),
		);
	const day = async (): Promise<void> => {
		await send("shop", 4);
		await send("team-b/busy", 60);
		const [unit = ""] = unitsOf("boosted", 1, `day-${count}`);
		await rig.send(sent(unit, "p1", rig.nowMs).map((one) => ({ ...one, cluster: "shop/v2" })));
		for (const ms of [2_000, DAY]) {
			rig.nowMs += ms;
			for (const { experiment, service } of judges)
				await rig.ingest.evidence.evidence({ ...query(metric("p99", { windowMs: HOUR })), experiment, service });
			await rig.ingest.maintain();
		}
	};
	const frozenFrom = async (sinceMs: number): Promise<number> => {
		const question = { experiment: "models", service: "shop", quantile: 0.99, sinceMs, untilMs: rig.nowMs };
		return (await rig.ingest.evidence.baselineQuantile(question))?.requests ?? 0;
	};
	return { rig, day, frozenFrom };
}

t.test("another Service's requests change no threshold, and are not held for it", async (t) => {
	const judges: Judge[] = [];
	const { rig, day, frozenFrom } = await besideBusy(t, judges, 100);
	const sinceMs = rig.nowMs;
	judges.push({ ...UNDER_WAY, freezingSinceMs: sinceMs });
	for (let n = 1; n <= 5; n++) {
		await day();
		t.equal(await frozenFrom(sinceMs), 4 * n);
	}
	t.equal(entriesIn(rig), 20, "nor the challenger's");
	judges[0] = { ...UNDER_WAY, freezingSinceMs: sinceMs + 3 * DAY };
	await rig.ingest.maintain();
	t.equal(entriesIn(rig), 8, "it freezes anew, from what came since");
});
