import t from "tap";
import { type Decision, RULES } from "../../../src/decide/rollout/decision.js";
import type { GateQuestion } from "../../../src/decide/rollout/gate.js";
import { type LoopEvent, RolloutLoop } from "../../../src/decide/rollout/loop.js";
import type { Clock, EvidenceSource, StateStore, Webhook } from "../../../src/decide/rollout/ports.js";
import { recompute } from "../../../src/decide/rollout/recompute.js";
import { EMPTY_STATUS, type Status } from "../../../src/decide/rollout/status.js";
import type { Experiment, Gate, ResourceSet } from "../../../src/declare/resources/resource.js";
import { WeirError } from "../../../src/error.js";
import type { BaselineQuantile, Evidence, EvidenceQuery } from "../../../src/infer/statistics/evidence.js";
import { GATE_RETRY_MS } from "../../../src/limits/index.js";
import { accessPolicy, resourceSet, service, variant } from "../../fixtures/resources.js";
import { evidence, experiment, LAST_STEP, METRICS, ROLLOUT, rate, status } from "./example.js";

/** A store in memory with the semantics of ports.ts: one revision, conflicts on an old one. */
class MemoryStore implements StateStore {
	revision = 1;
	decisions: Decision[] = [];
	down = false;
	closed: readonly string[] | null = null;
	rules: Partial<ResourceSet> = {};
	/** Runs once before the next decide: someone else's change. */
	meanwhile: (() => void) | null = null;

	constructor(
		readonly experiments: readonly Experiment[],
		public status: Status,
	) {}

	async state() {
		if (this.down) throw new WeirError("unavailable", "the state's owner is gone");
		const parts = { experiments: this.experiments, metrics: Object.values(METRICS) };
		const resources = resourceSet({ ...parts, ...this.rules });
		const closed = this.closed === null ? {} : { closed: this.closed };
		return { revision: this.revision, resources, status: this.status, ...closed };
	}

	async decide(request: Parameters<StateStore["decide"]>[0]) {
		this.meanwhile?.();
		this.meanwhile = null;
		if (request.expectedRevision !== this.revision) throw new WeirError("conflict", "the revision moved on");
		this.revision += 1;
		const { experiment: name, atMs, by, input, outcome } = request;
		const service = this.experiments.find(({ metadata }) => metadata.name === name)?.spec.service ?? "";
		const { defaultVariant } = outcome;
		this.status = {
			experiments: { ...this.status.experiments, [name]: outcome.status },
			services: { ...this.status.services, ...(defaultVariant === null ? {} : { [service]: { defaultVariant } }) },
		};
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
	quantilesSince: number[] = [];

	async evidence(query: EvidenceQuery) {
		if (this.down) throw new WeirError("unavailable", "ingest is gone");
		this.queries.push(query);
		return this.present;
	}

	async baselineQuantile({ sinceMs }: { readonly sinceMs: number }) {
		if (this.down) throw new WeirError("unavailable", "ingest is gone");
		this.quantilesSince.push(sinceMs);
		return this.quantile;
	}
}

/** A manual clock; callbacks run in order. */
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

function house(
	experiments: readonly Experiment[] = [experiment()],
	initial: Status = EMPTY_STATUS,
	answers: Webhook = async () => ({ ok: true }),
) {
	const store = new MemoryStore(experiments, initial);
	const source = new FixedEvidence();
	const clock = new ManualClock();
	const events: LoopEvent[] = [];
	const asked: { readonly gate: Gate; readonly question: GateQuestion }[] = [];
	const loop = () =>
		new RolloutLoop({
			store,
			evidence: source,
			clock,
			webhook: async (gate, question) => {
				asked.push({ gate, question });
				return answers(gate, question);
			},
			report: (event) => events.push(event),
			intervalMs: null,
		});
	const types = () => events.filter(({ type }) => type !== "evaluated").map(({ type }) => type);
	return { store, source, clock, events, asked, types, loop };
}

const running = (change = {}): Status => ({ ...EMPTY_STATUS, experiments: { main: status(change) } });

t.test("the loop starts an experiment, freezes its threshold, waits once and ramps", async (t) => {
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
	t.equal(source.queries[0]?.metrics.find(({ name }) => name === "latency-p99")?.threshold, "unfrozen");
	source.quantile = { valueMs: 20, requests: 5_000, units: 250 };
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

t.test("a hold is recorded again for another cause, and not for other numbers", async (t) => {
	const { store, source, clock, loop } = house([experiment()], running());
	const one = loop();
	const look = async (people: number, outcomes: number) => {
		const made = evidence({ control: { n: people }, boosted: { n: people } });
		const arms = made.arms.map((arm) => {
			const { accuracy: _, ...others } = arm.metrics;
			const metrics = outcomes === 0 ? others : { ...others, accuracy: rate(outcomes, 0.8) };
			return { ...arm, metrics, missingUnits: { accuracy: people - outcomes } };
		});
		source.present = { ...made, arms };
		clock.advance(1);
		await one.tick();
	};
	await look(0, 0);
	await look(120, 0);
	await look(300, 0);
	await look(2_430, 0);
	await look(2_430, 60);
	await look(2_900, 90);
	t.match(
		store.decisions.map(({ outcome }) => outcome),
		[
			{ action: "hold", reason: /arm control has 0 of 200 matured units/ },
			{ action: "hold", reason: /no outcome of accuracy came for arm control, of 300/ },
			{ action: "hold", reason: /60 of 2430 matured units of arm control have a value of accuracy/ },
		],
	);
	t.equal(store.decisions.length, 3, "and no more");
});

t.test("an ended experiment is looked at while windows of its units are open, and nothing is decided", async (t) => {
	const { store, source, clock, types, loop } = house(
		[experiment()],
		running({ phase: "Aborted", endedAtMs: 100_000 }),
	);
	const one = loop();
	await one.tick();
	await one.tick();
	t.match(source.queries, [{ experiment: "main" }]);
	clock.advance(30 * 60_000);
	source.down = true;
	await one.tick();
	source.down = false;
	clock.advance(20 * 60_000);
	await one.tick();
	t.equal(source.queries.length, 2);
	t.same([store.decisions, types()], [[], []]);
});

t.test("an experiment of a Service that an Envoy rejects waits, but harm still rolls back", async (t) => {
	const { store, source, clock, types, events, loop } = house([experiment()], running());
	const one = loop();
	source.quantile = { valueMs: 20, requests: 5_000, units: 250 };
	await one.tick();
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	clock.advance(60_000);
	store.closed = [`${experiment().spec.service}`];
	const before = store.decisions.length;
	await one.tick();
	await one.tick();
	t.equal(store.decisions.length, before);
	t.same(types().slice(-1), ["holding"], "recorded once");
	t.match(events.at(-1), {
		experiment: "main",
		error: { message: /^Service \S+ is closed: an Envoy or a sidecar refuses/ },
	});
	store.closed = ["another"];
	await one.tick();
	t.match(store.decisions.at(-1)?.outcome, { action: "ramp" });
	store.closed = [`${experiment().spec.service}`];
	source.present = evidence({ control: { n: 5_000 }, boosted: { n: 5_000, slow: 0.5 } });
	await one.tick();
	t.match(store.decisions.at(-1)?.outcome, { action: "roll-back" });
});

t.test("after a change of the baseline, thresholds are frozen again from later requests", async (t) => {
	const { store, source, clock, loop } = house([experiment()], running());
	source.present = evidence({ control: { n: 1_000, slow: 0.2 }, boosted: { n: 1_000, slow: 0.2 } });
	source.quantile = { valueMs: 31, requests: 5_000, units: 250 };
	const one = loop();
	await one.tick();
	source.present = evidence({ control: { n: 0 }, boosted: { n: 0 } });
	clock.advance(1_000);
	await one.tick();
	t.same(
		store.decisions.map(({ outcome }) => outcome.action),
		["unfreeze-threshold", "freeze-threshold"],
	);
	t.same(source.quantilesSince, [100_000], "asked for once, when it was to be frozen");
	await one.tick();
	t.match(source.queries.at(-1)?.metrics.find(({ name }) => name === "latency-p99")?.threshold, {
		thresholdMs: 62,
		baseline: { thresholdMs: 31 },
		frozenAtMs: 101_000,
	});
});

t.test("a conflict stores nothing, and the decision is made again at once on the new state", async (t) => {
	const { store, source, types, loop } = house([experiment()], running());
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	store.meanwhile = () => {
		store.revision += 1;
		store.status = running({ phase: "Paused", hold: "person" });
	};
	await loop().tick();
	t.same(types(), ["conflict", "decided"]);
	t.match(store.decisions, [{ outcome: { action: "hold", rule: "person" } }]);
	t.equal(store.status.experiments.main?.allocationPpm, 200_000);
});

t.test("concurrent changes delay no rollback, and a ramp is decided again after them", async (t) => {
	for (const [errors, looks, action] of [
		[1, 1, "roll-back"],
		[0, 2, "ramp"],
	] as const) {
		const { store, source, types, loop } = house([experiment()], running());
		source.present = evidence({ control: { n: 250 }, boosted: { n: 250, errors } });
		store.meanwhile = () => {
			store.revision += 1;
		};
		await loop().tick();
		t.match(store.decisions, [{ outcome: { action } }]);
		t.equal(source.queries.length, looks);
		t.same(types(), looks === 1 ? ["decided"] : ["conflict", "decided"]);
	}
});

t.test("after a change of the Experiment or its Metrics the decision is made again", async (t) => {
	const changed = Object.values(METRICS).map((one) => ({ ...one, spec: { ...one.spec, windowMs: 77_000 } }));
	for (const rules of [{ experiments: [experiment(["boosted"], { salt: "other" })] }, { metrics: changed }]) {
		const { store, source, types, loop } = house([experiment()], running());
		source.present = evidence({ control: { n: 250 }, boosted: { n: 250, errors: 1 } });
		store.meanwhile = () => {
			store.revision += 1;
			store.rules = rules;
		};
		await loop().tick();
		t.same(types(), ["conflict", "decided"]);
		t.match(store.decisions[0]?.input, rules.metrics ? { metrics: { accuracy: { spec: { windowMs: 77_000 } } } } : {});
		t.equal(source.queries.length, 2);
	}
});

t.test("while an owner is dead the loop holds, records that once, and never decides", async (t) => {
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

t.test("after a restart the loop continues at the stored step and takeover", async (t) => {
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

t.test("an error of one experiment does not stop the others, and each decides on the newest revision", async (t) => {
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

t.test("the loop ticks by the injected clock until stopped", async (t) => {
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

t.test("a tick looks at each active Experiment once", async (t) => {
	const names = ["a", "b", "c"];
	const all = names.map((name) => ({ ...experiment(), metadata: { ...experiment().metadata, name } }));
	const { source, loop } = house(all, {
		...EMPTY_STATUS,
		experiments: Object.fromEntries(names.map((name) => [name, status()])),
	});
	const one = loop();
	for (let tick = 1; tick <= 2; tick++) {
		await one.tick();
		t.same(
			source.queries.map(({ experiment: name }) => name),
			Array(tick).fill(names).flat(),
		);
	}
});

const GATES: readonly Gate[] = [
	{ at: "before-step", url: "https://one.example/secret?token=x", timeoutMs: 1_000 },
	{ at: "before-promotion", url: "https://two.example/", timeoutMs: 1_000 },
	{ at: "before-promotion", url: "https://three.example/", timeoutMs: 1_000 },
	{ at: "after-rollback", url: "https://notified.example/", timeoutMs: 1_000 },
];
const gated = experiment(["boosted"], { rollout: { ...ROLLOUT, gates: GATES } });
const settled = () => new Promise((resolve) => setImmediate(resolve));

t.test("a step asks its gate once, and waits until the gate agrees", async (t) => {
	let say: (answer: Awaited<ReturnType<Webhook>>) => void = () => {};
	const { store, source, asked, loop, clock } = house(
		[gated],
		running(),
		() => new Promise((resolve) => (say = resolve)),
	);
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	const one = loop();
	await one.tick();
	await one.tick();
	t.equal(asked.length, 1, "while it thinks it is not asked again");
	t.same(store.decisions, []);
	t.match(asked[0]?.question, {
		id: "main/0/before-step/0/ramp-1-500000---",
		experiment: "main",
		action: "ramp",
		from: { allocationPpm: 200_000 },
		to: { allocationPpm: 500_000 },
		evidence: [{ arm: "boosted" }, {}, {}],
	});
	say({ ok: true });
	await settled();
	clock.advance(100);
	await one.tick();
	t.match(store.decisions, [{ outcome: { action: "ramp", rule: "ramp" } }]);
	t.ok(store.decisions.every((decision) => recompute(decision)?.matches));
});

t.test("harm rolls back during a gate's answer, and asks no gate", async (t) => {
	const { store, source, asked, loop } = house([gated], running(), () => new Promise(() => {}));
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	const one = loop();
	await one.tick();
	t.equal(asked.length, 1);
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250, errors: 1 } });
	await one.tick();
	t.match(store.decisions, [{ outcome: { action: "roll-back", rule: "harm" } }]);
	t.equal(asked.length, 1);
});

t.test("a gate's no holds, with its reason and without secrets, and is asked again with growing pauses", async (t) => {
	let answer: Awaited<ReturnType<Webhook>> = { ok: false, why: "HTTP 503" };
	const { store, source, clock, asked, events, loop } = house([gated], running(), async () => answer);
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	const one = loop();
	const look = async (ms: number) => {
		clock.advance(ms);
		await one.tick();
		await settled();
	};
	await look(0);
	await look(10);
	t.match(store.decisions, [
		{
			outcome: {
				action: "hold",
				rule: "gate",
				waitsFor: "gate",
				reason: "Held at 20%: gate before-step (one.example) did not let ramp happen: HTTP 503.",
				status: { allocationPpm: 200_000, stepIndex: 0 },
				gate: { at: "before-step", where: "one.example", why: "HTTP 503" },
			},
		},
	]);
	t.notMatch(
		JSON.stringify([store.decisions[0]?.outcome, events.filter(({ type }) => type === "gate")]),
		/secret|token/,
	);
	t.ok(
		store.decisions.every((decision) => recompute(decision)?.matches),
		"and the decision can be recomputed",
	);
	await look(900);
	t.equal(asked.length, 1, "not before a second");
	await look(100);
	t.equal(asked.length, 2);
	await look(1_500);
	t.equal(asked.length, 2, "nor before two more");
	answer = { ok: true };
	await look(600);
	t.equal(asked.length, 3);
	t.equal(store.decisions.length, 1, "the same hold is recorded once");
	t.equal(new Set(asked.map(({ question }) => question.id)).size, 1, "by one idempotency id");
	await look(100);
	t.match(store.decisions[1], { outcome: { action: "ramp" } });
});

t.test("a gate's yes expires: it is asked again after a while", async (t) => {
	const { store, source, clock, asked, loop } = house([gated], running());
	source.present = evidence({ control: { n: 250 }, boosted: { n: 250 } });
	const one = loop();
	await one.tick();
	await settled();
	clock.advance(31_000);
	await one.tick();
	t.same([asked.length, store.decisions.length], [2, 0]);
});

t.test("a promotion asks its gates in order, then the step's gate, and the first no ends it", async (t) => {
	let refuses = "three";
	const answers: Webhook = async (gate) =>
		gate.url.includes(refuses) ? { ok: false, why: "HTTP 403: freeze" } : { ok: true };
	const { store, source, asked, clock, loop } = house([gated], running(LAST_STEP), answers);
	source.present = evidence({ control: { n: 4_000, accuracy: 0.7 }, boosted: { n: 4_000, accuracy: 0.8 } });
	const one = loop();
	await one.tick();
	await settled();
	await one.tick();
	t.same(
		asked.map(({ gate }) => gate.url),
		["https://two.example/", "https://three.example/"],
	);
	t.match(store.decisions, [{ outcome: { rule: "gate", reason: /before-promotion \(three\.example\).*freeze/ } }]);
	t.equal(store.status.experiments.main?.phase, "Running");
	refuses = "one";
	clock.advance(GATE_RETRY_MS.max);
	for (let look = 0; look < 2; look++) {
		await one.tick();
		await settled();
	}
	t.match(asked.slice(2), [
		{ gate: { url: "https://two.example/" } },
		{ gate: { url: "https://three.example/" } },
		{ gate: { at: "before-step" }, question: { id: /before-step\/0\/promote-/, to: { takeoverPpm: 200_000 } } },
	]);
	t.match(store.decisions.at(-1)?.outcome, {
		rule: "gate",
		reason: /gate before-step \(one\.example\) did not let promote happen/,
		status: { phase: "Running" },
	});
	refuses = "none";
	clock.advance(GATE_RETRY_MS.max);
	for (let look = 0; look < 2; look++) {
		await one.tick();
		await settled();
	}
	t.equal(asked.length, 8);
	t.match(store.decisions.at(-1)?.outcome, { action: "promote", status: { phase: "Promoting" } });
	t.ok(store.decisions.every((decision) => recompute(decision)?.matches));
});

t.test("each step of a takeover asks the step's gate, also the last; a start and a rollback ask none", async (t) => {
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 200_000 };
	const initial = running({ ...LAST_STEP, phase: "Promoting", promotion });
	const { store, source, asked, clock, loop } = house([gated], initial);
	source.present = evidence(
		{ control: { n: 1 }, boosted: { n: 1 } },
		{ health: [{ variant: "v2", requests: 50, failures: 0 }] },
	);
	const one = loop();
	for (let step = 0; step < 4; step++) {
		clock.advance(3_000);
		await one.tick();
		await settled();
		await one.tick();
	}
	t.same(
		store.decisions.map(({ outcome }) => outcome.action),
		["advance-takeover", "complete"],
	);
	t.same(
		asked.map(({ gate, question }) => [gate.at, question.action]),
		[
			["before-step", "advance-takeover"],
			["before-step", "complete"],
		],
	);
	t.equal(new Set(asked.map(({ question }) => question.id)).size, 2, "two questions");
	const fresh = house([gated]);
	await fresh.loop().tick();
	t.match(fresh.store.decisions, [{ outcome: { action: "start" } }]);
	t.equal(fresh.asked.length, 0);
});

t.test("interactions are queried once a promotion is ready, for experiments that share units", async (t) => {
	const banner = (name: string, layer: string, unit = "x-user-id"): Experiment => {
		const own = experiment();
		return {
			...own,
			metadata: { ...own.metadata, name },
			spec: { ...own.spec, layer: { ...own.spec.layer, name: layer }, unit: { from: "header", header: unit } },
		};
	};
	const plans = [experiment(), banner("sibling", "models"), banner("other-units", "banners", "x-tenant")];
	const crossing = [banner("banner", "banners"), banner("ended", "banners")];
	const theirs = {
		...banner("theirs", "banners"),
		metadata: { ...banner("theirs", "banners").metadata, namespace: "hr" },
	};
	const live = (phase: "Running" | "Aborted" = "Running") => status({ phase, stepStartedAtMs: 100_000 });
	const { store, source, loop } = house([...plans, ...crossing, theirs], {
		...EMPTY_STATUS,
		experiments: {
			main: status(LAST_STEP),
			sibling: live(),
			"other-units": live(),
			banner: live(),
			ended: live("Aborted"),
			"hr/theirs": live(),
		},
	});
	const asked = () => source.queries.filter((query) => query.experiment === "main").map((query) => query.interactsWith);
	source.present = evidence({ control: { n: 300 }, boosted: { n: 300 } });
	const one = loop();
	await one.tick();
	t.same(asked(), [[]], "nothing is ready, nothing is asked");
	source.present = evidence({ control: { n: 6_000, accuracy: 0.78 }, boosted: { n: 6_000, accuracy: 0.83 } });
	source.queries = [];
	await one.tick();
	t.same(
		asked(),
		[[], ["banner"]],
		"not one of its own layer, of other units, of another namespace, or that has ended",
	);
	t.equal(store.decisions.find(({ outcome }) => outcome.action === "promote")?.experiment, "main");
	t.equal(store.decisions.at(-1)?.input?.rules, RULES);
});

t.test(
	"a promotion that would deny callers is held, asks no gate, and begins after a change of policies",
	async (t) => {
		const gate: Gate = { at: "before-promotion", url: "https://ci.example/x", timeoutMs: 1_000 };
		const gated = experiment(["boosted"], { rollout: { ...ROLLOUT, gates: [gate] } });
		const { store, source, clock, asked, loop } = house([gated], running(LAST_STEP));
		const services = [service("employment", [variant("v1", 1), variant("v2", 2)], { access: null })];
		const policy = (...variants: string[]) =>
			accessPolicy("all-may", "allow", ["employment"], { principals: ["*"], variants });
		store.rules = { services, accessPolicies: [policy("v1")] };
		source.present = evidence({ control: { n: 6_000, accuracy: 0.78 }, boosted: { n: 6_000, accuracy: 0.83 } });
		const one = loop();
		for (let tick = 0; tick < 3; tick++) {
			await one.tick();
			clock.advance(1_000);
		}
		t.same(
			store.decisions.map(({ outcome }) => [outcome.action, outcome.rule]),
			[["hold", "access"]],
		);
		t.match(store.decisions[0]?.outcome.reason, /AccessPolicy all-may allows v1 and not v2/);
		const [held] = store.decisions;
		t.ok(held !== undefined && recompute(held)?.matches);
		t.equal(asked.length, 0);
		store.rules = { services, accessPolicies: [policy("v1", "v2")] };
		await one.tick();
		t.equal(asked.length, 1);
		await one.tick();
		t.match(store.decisions.at(-1)?.outcome, { action: "promote", status: { phase: "Promoting" } });
		t.equal(store.decisions.at(-1)?.input?.accessLosses, undefined);
	},
);

/** Two Experiments of one Service: a to v2, b to v3; callers may use all, or v2 alone. */
function rivals(
	initial: Readonly<Record<string, Parameters<typeof status>[0]>>,
	rollout: Partial<Experiment["spec"]["rollout"]> = {},
) {
	const of = (name: string, to: string) => {
		const one = experiment(["boosted"], { rollout: { ...ROLLOUT, ...rollout } });
		const arms = one.spec.arms.map((arm) => (arm.baseline ? arm : { ...arm, variant: to }));
		return { ...one, metadata: { ...one.metadata, name }, spec: { ...one.spec, arms, guardrails: [] } };
	};
	const made = house([of("a", "v2"), of("b", "v3")], {
		...EMPTY_STATUS,
		experiments: Object.fromEntries(Object.entries(initial).map(([name, change]) => [name, status(change)])),
	});
	const rule = (name: string, variants: readonly string[]) =>
		accessPolicy(name, "allow", ["employment"], { principals: [`spiffe://a/${name}`], variants });
	made.store.rules = {
		services: [service("employment", [variant("v1", 1), variant("v2", 2), variant("v3", 3)], { access: null })],
		accessPolicies: [rule("all", []), rule("v2-only", ["v2"])],
	};
	const ready = evidence({ control: { n: 6_000, accuracy: 0.7 }, boosted: { n: 6_000, accuracy: 0.9 } });
	const health = ["v1", "v2", "v3"].map((name) => ({ variant: name, requests: 1_000, failures: 0 }));
	let endsAt = 0;
	let tick = 0;
	made.source.evidence = async ({ experiment: name }) => ({
		...ready,
		health: name === "a" && tick < endsAt ? [] : health,
	});
	const one = made.loop();
	const decided = (name: string) =>
		made.store.decisions
			.filter((decision) => decision.experiment === name)
			.map(({ outcome }) => `${outcome.action} ${outcome.rule}`);
	const run = async (ticks: number, until: number) => {
		endsAt = until;
		for (; tick < ticks; tick++) {
			made.clock.advance(1_000);
			await one.tick();
		}
	};
	return { ...made, decided, run };
}

t.test(
	"a winner that is ready during another promotion of its Service waits, then needs a person, as the two are not compared",
	async (t) => {
		const promotion = { arm: "boosted", variant: "v2", stepIndex: 2, takeoverPpm: 1_000_000 };
		const ending = { ...LAST_STEP, phase: "Promoting", promotion, stepStartedAtMs: 1 } as const;
		const { store, decided, run } = rivals({ a: ending, b: LAST_STEP });
		await run(6, 2);
		t.equal(store.status.services.employment?.defaultVariant, "v2");
		t.same(decided("b"), ["hold concurrent", "hold concurrent"]);
		t.match(store.decisions.at(-1)?.outcome, {
			waitsFor: "person",
			reason:
				/every claim of arm boosted is proved against variant v1, but variant v2 is the Service's default by now, .*; a person may promote\.$/,
		});
	},
);

t.test("a holdback stores the default Variant that its winner replaced", async (t) => {
	const promotion = { arm: "boosted", variant: "v3", stepIndex: 2, takeoverPpm: 1_000_000 };
	const b = { ...LAST_STEP, phase: "Promoting", promotion, stepStartedAtMs: 1 } as const;
	const { store, run } = rivals({ b }, { holdback: { sharePpm: 50_000, forMs: 103_000 } });
	store.status = { ...store.status, services: { employment: { defaultVariant: "v2" } } };
	await run(1, 0);
	t.match(store.status, {
		services: { employment: { defaultVariant: "v3" } },
		experiments: { b: { promotion: { replaced: "v2" } } },
	});
});

t.test("if two promotions are ready at one look, one begins and the other waits", async (t) => {
	const { store, decided, run } = rivals({ a: LAST_STEP, b: LAST_STEP });
	await run(14, 0);
	t.equal(store.status.services.employment?.defaultVariant, "v2");
	t.match(decided("a")[0], /^promote/);
	t.same(decided("b"), ["hold concurrent", "hold concurrent"]);
	t.equal(store.status.experiments.b?.phase, "Running");
});

t.test("a winner that is ready during a holdback of its Service waits for the end", async (t) => {
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 2, takeoverPpm: 950_000, heldBackFromMs: 1 };
	const holdback = { sharePpm: 50_000, forMs: 103_000 };
	const a = { ...LAST_STEP, phase: "Promoting", promotion } as const;
	const { decided, run } = rivals({ a, b: LAST_STEP }, { holdback });
	await run(2, 0);
	t.same(decided("b"), ["hold concurrent"]);
	await run(6, 0);
	t.match(decided("a").at(-1), "complete takeover");
	t.same(decided("b"), ["hold concurrent", "hold concurrent"]);
});
