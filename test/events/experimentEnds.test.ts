/** The end of an Experiment in the decision log: one record for all people of an arm, whatever ended it, and once. */
import { join } from "node:path";
import t, { type Test } from "tap";
import type { PlanTable } from "../../src/compiler/plan.js";
import { PlanReader } from "../../src/events/accessLog/planReader.js";
import { DecisionLog } from "../../src/events/decisions/decisionLog.js";
import type { DecisionsAnswer } from "../../src/events/decisions/decisionQuery.js";
import { NOTHING_ELSE } from "../../src/events/decisions/decisionRecord.js";
import { type EndOf, ExperimentEnds } from "../../src/events/decisions/experimentEnds.js";
import { NAMESPACES_HEADER, namespacesWord } from "../../src/events/decisions/readNamespaces.js";
import type { IngestOptions } from "../../src/events/ingest.js";
import { openEventStore } from "../../src/events/store/store.js";
import { DECISIONS_KEPT_MS } from "../../src/limits.js";
import type { ExperimentEnd } from "../../src/rollout/experimentEnd.js";
import type { ExperimentStatus } from "../../src/rollout/status.js";
import { Store } from "../../src/state/store/store.js";
import { experiment, file, METRIC, outcome, SERVICE, temporaryDirectory } from "../state/employment.js";
import { type Entry, EXPERIMENT, PLANS, planWith, type Rig, seriesKey, startRig, TestMeter, unitsOf } from "./rig.js";

const TAKEOVER = { arm: "boosted", variant: "v2", ppm: 1_000_000 };
const ALL_PLANS: Readonly<Record<string, PlanTable>> = {
	...PLANS,
	takeover: planWith({ ...EXPERIMENT, takeover: TAKEOVER, exposing: false }),
};
const [control, boosted] = [unitsOf("control", 5), unitsOf("boosted", 3)];
const outside = unitsOf(null, 2);

/** What a store holds, by SQL. */
const ENTRY =
	"INSERT INTO entries (ended, request, start_us, received_ms, service, reference, experiment, unit, assigned) VALUES";
const UNIT = "INSERT INTO units (experiment, unit, arm, plan, first_ms, received_ms, core, ordinal) VALUES";
const CHANGE = `INSERT INTO decisions (id, kind, at_ms, received_ms, experiment, unit, arm, former_arm, reason, decided_by, count)
	VALUES`;

t.setTimeout(60_000);

/** An ingest that asks a control, and the control: its Experiment `models` on `shop` is Running. */
async function scene(test: Test, over: Partial<IngestOptions> = {}) {
	const state = new Store(temporaryDirectory(test));
	test.teardown(() => state.close());
	const text = [SERVICE, METRIC, experiment("models")].join("---\n").replaceAll("employment", "shop");
	state.apply(file(text), { by: "ada", dryRun: false, nowMs: 1_000 });
	const rig = await startRig({
		plans: async (version) => ALL_PLANS[version] ?? null,
		experiments: async () => state.experimentsUnderWay,
		endOf: async (name, service) => state.experimentEnd(name, service),
		...over,
	});
	test.teardown(() => rig.close());
	/** As a rollout or a person decides it. */
	const decide = (change: Partial<ExperimentStatus>, defaultVariant: string | null = null) => {
		const status = state.current.status.experiments.models;
		if (status === undefined) throw new Error("no status");
		const { revision } = state.current;
		return state.decide({
			...{ experiment: "models", expectedRevision: revision, by: "weir", atMs: 900_000, input: null },
			outcome: outcome({ ...status, ...change }, { defaultVariant }),
		});
	};
	return { rig, state, decide };
}

const end = (unit: string, startMs = 2_000, plan = "p1"): Entry => ({
	...{ kind: "end", unit, requestId: `${unit}-${startMs}`, startMs, plan },
});

async function asked(rig: Rig, query = "kind=assignment-changed") {
	const { status, json } = await rig.call("GET", `/v1/requests?${query}`, "");
	if (status !== 200) throw new Error(JSON.stringify(json));
	return (json as DecisionsAnswer).decisions;
}

const told = async (rig: Rig): Promise<readonly (readonly unknown[])[]> =>
	(await asked(rig))
		.map(({ reason, formerArm, arm, variant, count }) => [reason, formerArm, arm, variant, count] as const)
		.toReversed();

t.test("an abort is one record for each arm, whole, and known to who asks at once", async (t) => {
	const { rig, decide } = await scene(t);
	// Two Gateways, and who comes through both is one person.
	await rig.send(
		[...control, ...outside, ...boosted].map((unit) => end(unit)),
		{ node: "edge", log: "weir|edge" },
	);
	await rig.send(
		boosted.slice(0, 2).map((unit) => end(unit, 3_000)),
		{ node: "inner", log: "weir|inner" },
	);
	t.same(await told(rig), [], "it runs");
	const { decision } = await decide({ phase: "Aborted", allocationPpm: 0 });
	const ends = await asked(rig);
	t.same(
		ends.map(({ formerArm, count }) => [formerArm, count]).sort(),
		[
			["boosted", 3],
			["control", 5],
		],
		"who had no arm got the default Variant before, too",
	);
	const { id: _, formerArm: __, count: ___, ...rest } = ends[0] ?? { id: 0, formerArm: "", count: 0 };
	t.same(rest, {
		...{ kind: "assignment-changed", reason: "aborted", by: "control", decision: decision.sequence },
		...{ atMs: 900_000, receivedMs: rig.nowMs, experiment: "models", arm: null, variant: "v1", service: "shop" },
		...{ requestId: null, traceId: null, gateway: null, method: null, path: null, principal: null, via: null },
		...{ unit: null, verdict: null, policy: null, plan: null, status: null, latencyMs: null },
	});
	t.equal((await asked(rig, "reason=aborted")).length, 2);
	t.equal((await asked(rig, "reason=promoted")).length, 0);
	const stored = seriesKey("weir_ingest_decision_records_total", { kind: "assignment-changed", result: "stored" });
	t.equal(rig.meter.counts.get(stored), 2);
	const known = seriesKey("weir_ingest_known_units", { known: "arm" });
	await rig.ingest.maintain();
	t.equal(rig.meter.gauges.get(known), 0);

	const seenBy = async (...namespaces: string[]) => {
		const headers = { [NAMESPACES_HEADER]: namespacesWord(namespaces) };
		const { json } = await rig.call("GET", "/v1/requests", "", headers);
		return (json as DecisionsAnswer).decisions.length;
	};
	t.same([await seenBy("default"), await seenBy("team")], [2, 0], "it is of its Service's namespace");
});

t.test(
	"an end is told once: asked again, kept up, started again, and after requests that were under way",
	async (t) => {
		const { rig, decide, state } = await scene(t);
		await rig.send([...control, ...boosted].map((unit) => end(unit)));
		await decide({ phase: "RolledBack", allocationPpm: 0 });
		// At the same time.
		await Promise.all([rig.ingest.maintain(), asked(rig), asked(rig), rig.ingest.maintain()]);
		const expected = [
			["rolled-back", "boosted", null, "v1", 3],
			["rolled-back", "control", null, "v1", 5],
		];
		t.same(await told(rig), expected);
		await rig.send([end(boosted[0] ?? "", 2_500)]);
		await rig.ingest.maintain();
		t.same(await told(rig), expected, "it was long under way");
		// It learns of the units anew from the store.
		await rig.restart();
		await rig.ingest.maintain();
		t.same(await told(rig), expected);
		const [of] = state.current.resources.experiments;
		t.equal(of?.metadata.name, "models");
		const gone = state.delete([{ kind: "Experiment", name: "models" }], { by: "ada", dryRun: false, nowMs: 950_000 });
		t.equal(gone.outcome, "applied");
		await rig.restart();
		await rig.ingest.maintain();
		t.same(await told(rig), expected, "to delete what has ended changes nobody's arm");
	},
);

t.test("an end while ingest was down is told when it is back", async (t) => {
	const { rig, decide } = await scene(t);
	await rig.send(boosted.map((unit) => end(unit)));
	await rig.ingest.close();
	await decide({ phase: "Aborted", allocationPpm: 0 });
	await rig.reopen();
	await rig.ingest.maintain();
	t.same(await told(rig), [["aborted", "boosted", null, "v1", 3]]);
});

t.test("so is one that first exposures alone tell of, all requests being gone", async (t) => {
	const { rig, decide } = await scene(t);
	await rig.send(boosted.map((unit) => end(unit)));
	await rig.ingest.maintain();
	await rig.ingest.close();
	await decide({ phase: "Aborted", allocationPpm: 0 });
	const store = await openEventStore(join(rig.directory, "data"));
	await store.entries.transaction(async (transaction) => {
		await transaction.run(
			`${UNIT.replace("VALUES", "")} SELECT experiment, unit, assigned, 'p1', 2000, 2000, true, 1 FROM entries`,
		);
		await transaction.run("DELETE FROM entries");
	});
	await store.close();
	await rig.reopen();
	await rig.ingest.maintain();
	t.same(await told(rig), [["aborted", "boosted", null, "v1", 3]]);
});

t.test(
	"a promotion: the winner's Variant for all; who came in the takeover counts by the arm that it gave",
	async (t) => {
		const { rig, decide } = await scene(t);
		await rig.send([...control, ...boosted].map((unit) => end(unit)));
		await rig.send(control.slice(0, 2).map((unit) => end(unit, 3_000, "takeover")));
		const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
		await decide({ phase: "Promoted", allocationPpm: 0, promotion }, "v2");
		const changed = ["assignment-changed", "control", "boosted", "v2", 1];
		t.same(await told(rig), [
			changed,
			changed,
			["promoted", "boosted", null, "v2", 5],
			["promoted", "control", null, "v2", 3],
		]);
	},
);

t.test(
	"of one that is deleted since the requests tell the Service; where that went, too, nobody gets a Variant",
	async (t) => {
		for (const service of [false, true]) {
			const { rig, state, decide } = await scene(t);
			await rig.send(boosted.map((unit) => end(unit)));
			await decide({ phase: "Aborted", allocationPpm: 0 });
			const gone = (["Experiment", "Service"] as const).slice(0, service ? 2 : 1);
			const targets = gone.map((kind) => ({ kind, name: kind === "Service" ? "shop" : "models" }));
			t.equal(state.delete(targets, { by: "ada", dryRun: false, nowMs: 950_000 }).outcome, "applied");
			const variant = service ? null : "v1";
			t.match(await asked(rig), [
				{ reason: "aborted", service: "shop", variant, count: 3, atMs: 900_000, decision: 2 },
			]);
		}
	},
);

t.test(
	"while control does not say how it ended nothing is forgotten; what it does not know leaves no record",
	async (t) => {
		let answer: () => Promise<ExperimentEnd | null> = async () => {
			throw new Error("control is dead");
		};
		const { rig, state } = await scene(t, { experiments: async () => [], endOf: async () => answer() });
		const known = seriesKey("weir_ingest_known_units", { known: "arm" });
		await rig.send(boosted.map((unit) => end(unit)));
		await rig.ingest.maintain();
		t.equal(rig.meter.gauges.get(known), 3);
		t.match(rig.lines.at(-1), /^error the end of an Experiment could not be recorded .*control is dead/);
		answer = async () => state.experimentEnd("another", null);
		await rig.ingest.maintain();
		t.equal(rig.meter.gauges.get(known), 0);
		t.same(await told(rig), []);

		// The record of an end may have gone by its age, and the requests not yet.
		const old = { reason: "aborted", atMs: rig.nowMs - DECISIONS_KEPT_MS - 1, decision: 2 } as const;
		answer = async () => ({ ...old, service: "shop", variant: "v1" });
		await rig.send(boosted.map((unit) => end(unit, 3_000)));
		t.same(await told(rig), []);
		answer = async () => ({ ...old, atMs: old.atMs + 1, service: "shop", variant: "v1" });
		await rig.send(boosted.map((unit) => end(unit, 4_000)));
		t.same(await told(rig), [["aborted", "boosted", null, "v1", 3]]);
	},
);

/** A store with a decision log whose queue takes one record. */
async function openLog(test: Test) {
	const store = await openEventStore(test.testdir());
	test.teardown(() => store.close());
	const quiet = (): void => undefined;
	const log = { info: quiet, warn: quiet, error: quiet };
	const plans = new PlanReader(async () => null);
	const options = { store, plans, clock: () => 5, meter: new TestMeter(), log, allowedPpm: 0 };
	return { store, log, decisions: new DecisionLog(options, 1) };
}

/** Over a store of which it knows what rows say, and whose ends are given. */
async function overStore(test: Test) {
	const { store, log, decisions } = await openLog(test);
	const ends: Record<string, ExperimentEnd> = {};
	const endOf: EndOf = async (experiment) => ends[experiment] ?? null;
	const known = new ExperimentEnds({ store, decisions, endOf, heard: async () => undefined, clock: () => 5, log });
	const rows = (sql: string) => store.questions.transaction((transaction) => transaction.rows(sql));
	return {
		...{ store, known },
		run: (sql: string) => store.entries.transaction((transaction) => transaction.run(sql)),
		abort: (experiment: string) => {
			ends[experiment] = { reason: "aborted", atMs: 4, decision: 7, service: "shop", variant: "v1" };
		},
		told: async () =>
			(await rows("SELECT reason, experiment, former_arm, count FROM decisions WHERE decision = 7 ORDER BY id")).map(
				({ experiment, former_arm, count }) => [experiment, former_arm, Number(count)],
			),
	};
}

t.test("of which Experiments there are units the store tells, also behind what the decision log recalls", async (t) => {
	const { known, run, abort, told } = await overStore(t);
	await run(`${UNIT} ('exposed', 1, 'a', 'p', 1, 1, true, 0), ('on', 1, 'a', 'p', 1, 1, true, 1)`);
	await run(
		`${ENTRY} (true, 1, 1000, 1, 'shop', false, 'heard', 2, 'b'), (true, 2, 1000, 1, 'shop', true, NULL, NULL, NULL)`,
	);
	t.same(known.experiments, []);
	await known.recall();
	t.same([...known.experiments].sort(), ["exposed", "heard", "on"]);
	for (const ended of ["exposed", "heard"]) abort(ended);
	await known.forget(["exposed", "heard"]);
	t.same(await told(), [
		["exposed", "a", 1],
		["heard", "b", 1],
	]);
	t.same(known.experiments, ["on"]);
	await known.recall();
	await known.forget(["exposed", "heard"]);
	t.equal((await told()).length, 2, "they were told");
	t.same(known.experiments, ["on"]);
});

t.test("a person's newest arm counts, of a request, a first exposure or a change, whichever are left", async (t) => {
	const { known, run, abort, told } = await overStore(t);
	await run(
		`${UNIT} ('e', 1, 'a', 'p', 1, 1, true, 0), ('e', 2, 'a', 'p', 1, 1, true, 1), ('e', 3, 'a', 'p', 1, 1, true, 2)`,
	);
	await run(`${ENTRY} (true, 1, 2000, 2, 'shop', false, 'e', 2, 'b')`);
	const change = "'assignment-changed'";
	await run(`${CHANGE} (1, ${change}, 3, 3, 'e', 2, 'c', 'b', ${change}, 'envoy', 1),
		(2, ${change}, 3, 3, 'e', 3, NULL, 'a', ${change}, 'envoy', 1), (3, ${change}, 3, 3, 'e', 4, 'c', 'a', ${change}, 'envoy', 1)`);
	abort("e");
	await known.forget(["e"]);
	t.same(await told(), [
		["e", "a", 1],
		["e", "c", 2],
	]);
});

t.test("an end that waits for the store is told once", async (t) => {
	const { store, known, run, abort, told } = await overStore(t);
	await run(`${UNIT} ('e', 1, 'a', 'p', 1, 1, true, 0)`);
	await known.recall();
	abort("e");
	const { transaction } = store.decisions;
	store.decisions.transaction = async () => {
		throw new Error("full");
	};
	await known.forget(known.experiments);
	t.same(known.experiments, ["e"], "it stays known");
	store.decisions.transaction = transaction;
	await known.forget(known.experiments);
	t.same(await told(), [["e", "a", 1]]);
	t.same(known.experiments, []);
});

t.test("an end has room where the queue is full of other records", async (t) => {
	const { store, decisions: decisionLog } = await openLog(t);
	for (const reason of ["no-identity", "other-node"]) decisionLog.queue.refused({ ...NOTHING_ELSE, reason });
	await decisionLog.queue.always(
		["a", "b"].map((formerArm) => ({ ...NOTHING_ELSE, reason: "aborted", formerArm, decision: 7 })),
	);
	const rows = await store.questions.transaction((transaction) =>
		transaction.rows("SELECT reason, former_arm FROM decisions ORDER BY id"),
	);
	const expected = [
		["no-identity", null],
		["aborted", "a"],
		["aborted", "b"],
	];
	t.same(
		rows.map(({ reason, former_arm }) => [reason, former_arm]),
		expected,
	);
	await decisionLog.queue.close();
});
