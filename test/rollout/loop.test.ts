import t from "tap";
import type { BaselineQuantile, Evidence, EvidenceQuery } from "../../src/analysis/evidence.js";
import { WeirError } from "../../src/error.js";
import type { Experiment } from "../../src/resources/resource.js";
import type { Decision } from "../../src/rollout/decision.js";
import { type LoopEvent, RolloutLoop } from "../../src/rollout/loop.js";
import type { Clock, EvidenceSource, StateStore } from "../../src/rollout/ports.js";
import { EMPTY_STATUS, type Status } from "../../src/rollout/status.js";
import { evidence, experiment, LAST_STEP, METRICS, status } from "./example.js";

/** A store in memory with the semantics of ports.ts: one revision, conflicts on an old one. */
class MemoryStore implements StateStore {
	revision = 1;
	decisions: Decision[] = [];
	down = false;
	/** Runs once before the next decide: someone else's change. */
	meanwhile: (() => void) | null = null;

	constructor(
		readonly experiments: readonly Experiment[],
		public status: Status,
	) {}

	async state() {
		if (this.down) throw new WeirError("unavailable", "the state's owner is gone");
		const resources = {
			gateways: [],
			services: [],
			layers: [],
			experiments: this.experiments,
			metrics: Object.values(METRICS),
			accessPolicies: [],
			dataClasses: [],
			roleBindings: [],
			approvalPolicies: [],
		};
		return { revision: this.revision, resources, status: this.status };
	}

	async decide(request: Parameters<StateStore["decide"]>[0]) {
		this.meanwhile?.();
		this.meanwhile = null;
		if (request.expectedRevision !== this.revision) throw new WeirError("conflict", "the revision moved on");
		this.revision += 1;
		const { experiment: name, atMs, by, input, outcome } = request;
		this.status = { ...this.status, experiments: { ...this.status.experiments, [name]: outcome.status } };
		const decision: Decision = {
			experiment: name,
			sequence: this.decisions.length + 1,
			atMs,
			by,
			input,
			outcome,
			acknowledgedAtMs: null,
		};
		this.decisions.push(decision);
		return { revision: this.revision, decision };
	}

	async keepPlan() {}
	async plan() {
		return null;
	}
	async acknowledge() {}
	async reportProxies() {}
}

class FixedEvidence implements EvidenceSource {
	present: Evidence = evidence({ control: { n: 0 }, boosted: { n: 0 } });
	quantile: BaselineQuantile | null = null;
	down = false;
	queries: EvidenceQuery[] = [];

	async evidence(query: EvidenceQuery) {
		if (this.down) throw new WeirError("unavailable", "ingest is gone");
		this.queries.push(query);
		return this.present;
	}

	async baselineQuantile() {
		if (this.down) throw new WeirError("unavailable", "ingest is gone");
		return this.quantile;
	}
}

/** Time moves only when told; callbacks run in order. */
class ManualClock implements Clock {
	now = 100_000;
	waiting: { readonly at: number; readonly callback: () => void }[] = [];

	nowMs() {
		return this.now;
	}

	after(ms: number, callback: () => void) {
		const entry = { at: this.now + ms, callback };
		this.waiting.push(entry);
		return () => {
			this.waiting = this.waiting.filter((other) => other !== entry);
		};
	}

	advance(ms: number) {
		this.now += ms;
		const due = this.waiting.filter((entry) => entry.at <= this.now);
		this.waiting = this.waiting.filter((entry) => entry.at > this.now);
		for (const entry of due) entry.callback();
	}
}

function house(experiments: readonly Experiment[] = [experiment()], initial: Status = EMPTY_STATUS) {
	const store = new MemoryStore(experiments, initial);
	const source = new FixedEvidence();
	const clock = new ManualClock();
	const events: LoopEvent[] = [];
	const loop = () =>
		new RolloutLoop({ store, evidence: source, clock, report: (event) => events.push(event), intervalMs: null });
	const types = () => events.filter(({ type }) => type !== "evaluated").map(({ type }) => type);
	return { store, source, clock, events, types, loop };
}

const running = (change = {}): Status => ({ ...EMPTY_STATUS, experiments: { main: status(change) } });

t.test("starts an experiment, freezes its threshold, waits once, ramps", async (t) => {
	const { store, source, clock, loop } = house();
	const one = loop();
	await one.tick();
	t.match(store.decisions[0], {
		by: "weir",
		input: null,
		outcome: { action: "start", status: { phase: "Running", startedAtMs: 100_000 } },
	});
	await one.tick();
	await one.tick();
	t.same(
		store.decisions.map(({ outcome }) => outcome.action),
		["start", "hold"],
		"the same wait is recorded once",
	);
	t.equal(source.queries[0]?.metrics.find(({ name }) => name === "latency-p99")?.threshold, null);
	source.quantile = { valueMs: 20, requests: 500, units: 250 };
	clock.advance(1_000);
	await one.tick();
	t.match(store.decisions[2]?.outcome, { action: "freeze-threshold" });
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	clock.advance(3_000);
	await one.tick();
	t.match(store.decisions[3]?.outcome, {
		action: "ramp",
		status: { allocationPpm: 500_000, stepStartedAtMs: 104_000 },
	});
	t.match(
		source.queries.at(-1)?.metrics.find(({ name }) => name === "latency-p99"),
		{
			threshold: { thresholdMs: 40, frozenAtMs: 101_000 },
			windowMs: 1_000,
			settleMs: 5_400,
		},
	);
});

t.test("a conflict stores nothing and is decided again at the next tick on the new picture", async (t) => {
	const { store, source, types, loop } = house([experiment()], running());
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	store.meanwhile = () => {
		store.revision += 1;
		store.status = running({ phase: "Paused", hold: "person" });
	};
	const one = loop();
	await one.tick();
	t.same(store.decisions, []);
	t.same(types(), ["conflict"]);
	await one.tick();
	t.match(store.decisions, [{ outcome: { action: "hold", rule: "person" } }]);
	t.equal(store.status.experiments.main?.allocationPpm, 200_000);
});

t.test("while an owner is dead it holds, says so once, and never decides", async (t) => {
	const { store, source, types, loop } = house([experiment()], running());
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250, errors: 1 } });
	source.down = true;
	const one = loop();
	await one.tick();
	await one.tick();
	t.same(store.decisions, []);
	t.same(types(), ["holding"]);
	source.down = false;
	store.down = true;
	await one.tick();
	await one.tick();
	t.same(types(), ["holding", "holding"]);
	store.down = false;
	await one.tick();
	t.same(types(), ["holding", "holding", "recovered", "recovered", "decided"]);
	t.match(store.decisions, [{ outcome: { action: "roll-back", rule: "harm" } }]);
	await one.tick();
	t.equal(store.decisions.length, 1, "an ended experiment is left alone");
});

t.test("after a restart it goes on at the stored step and takeover", async (t) => {
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 1, takeoverPpm: 500_000 };
	const { store, source, loop } = house([experiment()], running({ ...LAST_STEP, phase: "Promoting", promotion }));
	source.present = evidence(
		{ control: { n: 1 }, boosted: { n: 1 } },
		{ health: [{ variant: "v2", requests: 50, failures: 0 }] },
	);
	await loop().tick();
	t.match(store.decisions, [{ outcome: { action: "complete", defaultVariant: "v2", status: { phase: "Promoted" } } }]);
	t.equal(source.queries[0]?.healthSinceMs, 95_000);
});

t.test("one experiment's trouble does not stop the others, and each decides on the other's new revision", async (t) => {
	const second = { ...experiment(), metadata: { ...experiment().metadata, name: "second", namespace: "team" } };
	const { store, source, loop } = house([experiment(), second], {
		...EMPTY_STATUS,
		experiments: { main: status(), "team/second": status() },
	});
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	await loop().tick();
	t.same(
		store.decisions.map(({ experiment: name }) => name),
		["main", "team/second"],
	);
	t.equal(source.queries[1]?.service, "team/employment");
});

t.test("it ticks by the injected clock until stopped", async (t) => {
	const { store, source, clock, loop } = house([experiment()], running());
	const one = loop();
	one.start();
	clock.advance(0);
	while (clock.waiting.length === 0) await Promise.resolve();
	t.equal(clock.waiting[0]?.at, 101_000, "a third of 3 s");
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	clock.advance(1_000);
	while (clock.waiting.length === 0) await Promise.resolve();
	await one.stop();
	t.equal(store.decisions.at(-1)?.outcome.action, "ramp");
	t.same(clock.waiting, []);
});
