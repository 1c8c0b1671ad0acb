import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { DecisionInput } from "../../../src/decide/rollout/decision.js";
import type { ExperimentStatus } from "../../../src/decide/rollout/status.js";
import type { Problem } from "../../../src/declare/resources/resource.js";
import { difference } from "../../../src/operate/state/difference.js";
import { PLAN_KEPT_MS, PLANS_KEPT_MIN } from "../../../src/operate/state/store/planStore.js";
import { Store } from "../../../src/operate/state/store/store.js";
import { actOn } from "../actOn.js";
import { ALL, experiment, file, METRIC, outcome, SERVICE, temporaryDirectory } from "../employment.js";

const at = (nowMs: number) => ({ by: "ada", dryRun: false, nowMs });

function opened(test: Test, directory = temporaryDirectory(test), now?: () => number): Store {
	const store = new Store(directory, now === undefined ? {} : { now });
	test.teardown(() => store.close());
	return store;
}

function statusOf(store: Store, name: string): ExperimentStatus {
	const status = store.current.status.experiments[name];
	if (status === undefined) throw new Error(`no status of ${name}`);
	return status;
}

/** A decision on the current revision that sets part of the status. */
function decide(store: Store, name: string, change: Partial<ExperimentStatus>, atMs = 5_000, defaultVariant?: string) {
	const status = { ...statusOf(store, name), ...change };
	return store.decide({
		experiment: name,
		expectedRevision: store.current.revision,
		by: "weir",
		atMs,
		input: null,
		outcome: outcome(status, { defaultVariant: defaultVariant ?? null }),
	});
}

t.test("an apply stores all, starts the experiment at its first step and records it", async (t) => {
	const store = opened(t);
	const result = store.apply(file(ALL), at(1_000));
	t.match(result, {
		outcome: "applied",
		revision: 1,
		changes: [
			{ kind: "Service", name: "employment", change: "created" },
			{ kind: "Experiment", name: "boosted", change: "created" },
			{ kind: "Metric", name: "accuracy", change: "created" },
		],
	});
	t.match(statusOf(store, "boosted"), { phase: "Running", allocationPpm: 20_000, startedAtMs: 1_000 });
	t.match(store.decisions("boosted", 0, 10), {
		decisions: [{ sequence: 1, by: "ada", outcome: { action: "start", rule: "declaration" }, acknowledgedAtMs: null }],
		next: null,
	});
	t.same(
		store.sources.map((one) => one.source),
		[experiment("boosted"), METRIC, SERVICE],
		"each resource keeps the text it was written in",
	);
});

t.test("a second apply merges by kind and name and leaves the rest", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	const result = store.apply(file(METRIC.replaceAll("accuracy", "clicks")), at(2_000));
	t.match(result, { outcome: "applied", revision: 2 });
	t.equal(store.current.resources.metrics.length, 2);
	t.equal(store.current.resources.experiments.length, 1);
});

t.test("applying the same again changes nothing, also with another comment", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	const before = store.current;
	t.match(store.apply(file(ALL), at(2_000)), { outcome: "applied", revision: 1 });
	t.equal(store.current, before);
	const commented = ALL.replace("kind: Metric", "kind: Metric # of the labels");
	t.match(store.apply(file(commented), at(2_000)), { revision: 1 });
	t.match(store.sources[1]?.source, /of the labels/, "the newest text is kept");
	t.equal(store.decisions("boosted", 0, 10).decisions.length, 1);
});

t.test("a wrong document refuses the whole apply, with file, line and column", async (t) => {
	const store = opened(t);
	const result = store.apply(file(ALL.replace("variant: v2", "variant: v7"), "team.yaml"), at(1_000));
	if (result.outcome !== "refused") throw new Error("applied");
	const line = ALL.split("\n").findIndex((text) => text.includes("variant: v2")) + 1;
	t.match(result.problems, [{ position: { file: "team.yaml", line } }]);
	t.equal(store.current.revision, 0);
	t.equal(store.current.resources.services.length, 0, "nothing is half applied");
	t.throws(() => store.decisions("boosted", 0, 10), { code: "not-found" });
});

t.test("a document that breaks a stored one is refused, and the place is in the stored text", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	const result = store.apply(file(SERVICE.replace("name: v2,", "name: v3,")), at(2_000));
	if (result.outcome !== "refused") throw new Error("applied");
	t.ok(result.problems.some((problem) => problem.position?.file === "stored Experiment boosted"));
	t.equal(store.current.revision, 1);
});

t.test("a dry run reports the changes and makes none", async (t) => {
	const store = opened(t);
	const result = store.apply(file(ALL), { ...at(1_000), dryRun: true });
	t.match(result, { outcome: "applied", revision: 0 });
	t.equal(result.outcome === "applied" && result.changes.length, 3);
	t.equal(store.current.revision, 0);
	t.equal(store.sources.length, 0);
	t.match(store.apply(file(ALL), at(1_000)), { outcome: "applied", revision: 1 }, "and reserves no name");
});

t.test("re-applying after a promotion does not undo it, a changed default variant does and is recorded", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
	await decide(store, "boosted", { phase: "Promoted", promotion }, 5_000, "v2");
	t.same(store.current.status.services, { employment: { defaultVariant: "v2" } });
	const before = store.current;
	t.match(store.apply(file(ALL), at(6_000)), { revision: before.revision });
	t.equal(store.current, before);

	const v3 = SERVICE.replace("defaultVariant: v1", "defaultVariant: v2");
	t.match(store.apply(file(v3), { ...at(7_000), dryRun: true }), { outcome: "applied" });
	t.match(store.apply(file(v3), at(7_000)), { outcome: "applied", revision: before.revision + 1 });
	t.same(store.current.status.services, {}, "the field wins");
	t.match(store.decisions("boosted", 2, 10).decisions, [
		{ by: "ada", atMs: 7_000, input: null, outcome: { rule: "declaration", defaultVariant: "v2" } },
	]);
});

t.test("a changed field of a running experiment wins and is recorded as a person's decision", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	await decide(store, "boosted", { stepIndex: 1, allocationPpm: 100_000 });
	store.apply(file(experiment("boosted").replace("minUnits: 500", "minUnits: 900")), at(6_000));
	t.equal(store.current.resources.experiments[0]?.spec.rollout.minUnits, 900);
	t.equal(statusOf(store, "boosted").allocationPpm, 100_000, "the ramp goes on where it was");
	t.match(store.decisions("boosted", 2, 10).decisions, [{ by: "ada", outcome: { rule: "declaration" } }]);
});

t.test("a changed seed, salt, slot, weight or unit of a running experiment is refused", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	const result = store.apply(file(experiment("boosted", "[0%, 50%]"), "b.yaml"), at(2_000));
	t.match(result, { outcome: "refused", problems: [{ position: { file: "b.yaml" } }] });
	t.equal(store.current.revision, 1);
});

t.test("a name or salt that is or was in use is refused, also after deletion and a restart", async (t) => {
	const directory = temporaryDirectory(t);
	let store = new Store(directory);
	store.apply(file([SERVICE, METRIC, experiment("a", "[0%, 20%]", "  salt: pepper\n")].join("---\n")), at(1_000));
	t.match(store.apply(file(experiment("b", "[20%, 40%]", "  salt: pepper\n"), "b.yaml"), at(2_000)), {
		outcome: "refused",
		problems: [{ position: { file: "b.yaml", line: 13 }, message: /"pepper" is in use by Experiment a/ }],
	});
	t.match(store.apply(file(experiment("pepper", "[20%, 40%]")), at(2_000)), { outcome: "refused" }, "a salt as a name");
	t.match(store.delete([{ kind: "Experiment", name: "a" }], at(3_000)), {
		outcome: "refused",
		problems: [{ hint: /weir abort a/ }],
	});
	actOn(store, "a", { verb: "abort", by: "ada", reason: "", arm: null, nowMs: 3_000 });
	t.match(store.delete([{ kind: "Experiment", name: "a" }], at(3_000)), { outcome: "applied", revision: 3 });
	t.same(store.current.status.experiments, {});
	await store.close();
	store = opened(t, directory);
	t.match(store.apply(file(experiment("a", "[0%, 20%]", "  salt: other\n")), at(4_000)), {
		outcome: "refused",
		problems: [{ message: /the name 'a' was used/ }],
	});
	t.match(store.apply(file(experiment("c", "[0%, 20%]", "  salt: pepper\n"), "c.yaml"), at(4_000)), {
		outcome: "refused",
		problems: [{ position: { file: "c.yaml", line: 13 }, message: /'pepper' was used by Experiment 'a'/ }],
	});
	t.match(store.apply(file(experiment("c", "[0%, 20%]")), at(4_000)), { outcome: "applied" });
	t.match(store.decisions("a", 0, 10).decisions.at(-1), { by: "ada", outcome: { reason: /deleted/ } });
});

t.test("an experiment that has ended gives its slot to the next one", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	t.match(store.apply(file(experiment("next")), at(2_000)), { outcome: "refused" }, "not while it runs");
	actOn(store, "boosted", { verb: "abort", by: "ada", reason: "", arm: null, nowMs: 3_000 });
	t.match(store.apply(file(experiment("next")), at(4_000)), { outcome: "applied" });
	t.match(store.delete([{ kind: "Service", name: "employment" }], at(5_000)), { outcome: "refused" });
});

/** The experiment `boosted` promoted v2, while the Service declares v1. */
async function promoted(store: Store, text = ALL) {
	store.apply(file(text), at(1_000));
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
	await decide(store, "boosted", { phase: "Promoted", promotion }, 5_000, "v2");
}

/** As `experiment`, measured against v2. */
const onV2 = (name: string, slot?: string, more?: string) =>
	experiment(name, slot, more)
		.replace("variant: v1", "variant: v0")
		.replace("variant: v2", "variant: v1")
		.replace("variant: v0", "variant: v2");

t.test("after a promotion the baseline of a new experiment must be on the live default variant", async (t) => {
	const store = opened(t);
	await promoted(store);
	t.match(store.apply(file(experiment("next"), "next.yaml"), at(6_000)), {
		outcome: "refused",
		problems: [
			{ position: { file: "next.yaml" }, message: /not on the default variant v2/, hint: /write variant: v2/ },
		],
	});
	const whole = [SERVICE, METRIC, onV2("next")].join("---\n");
	t.match(store.apply(file(whole), at(6_000)), { outcome: "applied" }, "also beside the unchanged Service");
	t.equal(store.current.resources.services[0]?.spec.defaultVariant, "v1", "the store keeps the declared spec");
	t.match(statusOf(store, "next"), { phase: "Running" });
	t.match(store.apply(file(whole), at(7_000)), { outcome: "applied", revision: store.current.revision });
	const other = METRIC.replaceAll("accuracy", "clicks");
	t.match(store.apply(file(other), at(7_000)), { outcome: "applied" }, "a running one is checked so too");
	t.match(
		store.delete([{ kind: "Metric", name: "clicks" }], at(7_000)),
		{ outcome: "applied" },
		"by a deletion as well",
	);
	const v2 = SERVICE.replace("defaultVariant: v1", "defaultVariant: v2");
	t.match(
		store.apply(file(v2), at(8_000)),
		{ outcome: "applied" },
		"a declaration of the live Variant changes nothing",
	);
	t.match(store.apply(file(SERVICE), at(9_000)), { outcome: "refused" }, "to declare another moves its baseline away");
});

t.test("a default variant that changes in the same apply wins over the promoted one", async (t) => {
	const store = opened(t);
	const v3 = (text: string) => text.replace("  variants:", "  variants:\n    - {name: v3, endpoints: []}");
	await promoted(store, ALL.replace(SERVICE, v3(SERVICE)));
	const changed = v3(SERVICE).replace("defaultVariant: v1", "defaultVariant: v3");
	const next = experiment("next").replace("variant: v1", "variant: v3");
	t.match(store.apply(file([changed, onV2("next")].join("---\n")), at(6_000)), {
		outcome: "refused",
		problems: [{ hint: /write variant: v3/ }],
	});
	t.match(store.apply(file([changed, next].join("---\n")), at(6_000)), { outcome: "applied" });
});

t.test("an experiment that runs beside a promoted one keeps its baseline", async (t) => {
	const store = opened(t);
	const both = [SERVICE, METRIC, experiment("boosted", "[0%, 50%]"), experiment("beside", "[50%, 100%]")].join("---\n");
	await promoted(store, both);
	t.match(store.apply(file(both), at(6_000)), { outcome: "applied", revision: store.current.revision });
	t.match(store.apply(file(METRIC.replaceAll("accuracy", "clicks")), at(6_000)), { outcome: "applied" });
	t.match(
		store.apply(file(both.replace("defaultVariant: v1", "defaultVariant: v2")), at(7_000)),
		{ outcome: "applied" },
		"and the promotion can be declared",
	);
});

t.test("a file that still holds an experiment that has ended applies", async (t) => {
	const store = opened(t);
	await promoted(store);
	t.match(store.apply(file([ALL, onV2("next")].join("---\n")), at(6_000)), { outcome: "applied" });
	const { revision } = store.current;
	t.match(store.apply(file(ALL), at(7_000)), { outcome: "applied", revision }, "without a change");
	const v2 = ALL.replace("defaultVariant: v1", "defaultVariant: v2");
	t.match(store.apply(file(v2), at(8_000)), { outcome: "applied" }, "with the new default of its Service");
	t.equal(statusOf(store, "boosted").phase, "Promoted");
	t.match(
		store.apply(file(v2.replace("minUnits: 500", "minUnits: 900")), at(9_000)),
		{ outcome: "refused" },
		"its changed spec is checked",
	);
	const salted = onV2("third", "[0%, 100%]", "  salt: boosted\n");
	actOn(store, "next", { verb: "abort", by: "ada", reason: "", arm: null, nowMs: 9_000 });
	t.match(
		store.apply(file([v2, salted].join("---\n")), at(9_000)),
		{ outcome: "refused", problems: [{ message: /the salt 'boosted' was used/ }] },
		"its salt stays taken",
	);
});

t.test("two new experiments with one salt are refused together", async (t) => {
	const store = opened(t);
	const both = [
		SERVICE,
		METRIC,
		experiment("a", "[0%, 20%]", "  salt: s\n"),
		experiment("b", "[20%, 40%]", "  salt: s\n"),
	];
	t.match(store.apply(file(both.join("---\n")), at(1_000)), { outcome: "refused" });
});

t.test("deleting a resource in use is refused, deleting an unknown one is not-found", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	t.match(store.delete([{ kind: "Service", name: "employment" }], at(2_000)), { outcome: "refused" });
	t.throws(() => store.delete([{ kind: "Service", name: "other" }], at(2_000)), { code: "not-found" });
	t.equal(store.current.revision, 1);
});

t.test("a decision on an old revision is a conflict and leaves nothing", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	const old = store.current.revision;
	await decide(store, "boosted", { allocationPpm: 100_000, stepIndex: 1 });
	await t.rejects(
		store.decide({
			experiment: "boosted",
			expectedRevision: old,
			by: "weir",
			atMs: 6_000,
			input: null,
			outcome: outcome({ ...statusOf(store, "boosted"), allocationPpm: 500_000 }),
		}),
		{ code: "conflict" },
	);
	t.equal(statusOf(store, "boosted").allocationPpm, 100_000);
	t.equal(store.decisions("boosted", 0, 10).decisions.length, 2);
});

t.test("a decision that changes no status is kept and leaves the revision", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	await store.acknowledge(1, 1_500);
	const { revision, decision } = await decide(store, "boosted", {});
	t.equal(revision, 1);
	t.match(decision, { sequence: 2, acknowledgedAtMs: 5_000 }, "its plan was acknowledged before it");
});

t.test("plans, acknowledgements and proxy reports leave the revision", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	await store.keepPlan("00ff", { gateways: [], services: [] });
	await store.acknowledge(1, 2_000);
	await store.reportProxies([{ node: "envoy-1", connectedAtMs: 1, types: {} }]);
	t.equal(store.current.revision, 1);
	t.match(store.proxies, { proxies: [{ node: "envoy-1" }] });
});

t.test("an acknowledgement starts the step of a moved Experiment, once", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	await store.acknowledge(1, 1_200);
	t.equal(statusOf(store, "boosted").stepStartedAtMs, 1_200);
	await decide(store, "boosted", { allocationPpm: 100_000, stepIndex: 1, stepStartedAtMs: 5_000 });
	await store.acknowledge(1, 5_500);
	t.equal(statusOf(store, "boosted").stepStartedAtMs, 5_000, "an older plan does not count");
	await store.acknowledge(2, 6_000);
	t.equal(statusOf(store, "boosted").stepStartedAtMs, 6_000);
	await store.acknowledge(2, 9_000);
	t.equal(statusOf(store, "boosted").stepStartedAtMs, 6_000, "a repeated one neither");
	t.same(
		store.decisions("boosted", 0, 10).decisions.map((one) => one.acknowledgedAtMs),
		[1_200, 6_000],
	);
	await t.rejects(store.acknowledge(3, 9_000), { code: "invalid-argument" });
});

t.test("a closed Service is not acknowledged with the rest, but when it is open again", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	await store.acknowledge(1, 1_200, ["employment"]);
	t.equal(statusOf(store, "boosted").stepStartedAtMs, 1_000);
	await decide(store, "boosted", {});
	const times = () => store.decisions("boosted", 0, 10).decisions.map((one) => one.acknowledgedAtMs);
	t.same(times(), [null, null], "an unchanged status keeps a step time that no Envoy has acknowledged");
	await store.acknowledge(1, 1_300, ["another"]);
	t.equal(statusOf(store, "boosted").stepStartedAtMs, 1_300);
	t.same(times(), [1_300, 1_300]);
});

t.test("an acknowledgement of an earlier move does not start the step of a later one", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	await decide(store, "boosted", { allocationPpm: 100_000, stepIndex: 1, stepStartedAtMs: 5_000 });
	await store.acknowledge(1, 5_500);
	t.equal(statusOf(store, "boosted").stepStartedAtMs, 5_000);
});

t.test("a decision made before an acknowledgement does not put the older step time back", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	const seen = statusOf(store, "boosted");
	await store.acknowledge(1, 4_000);
	const input = { status: seen } as DecisionInput;
	const made = outcome({ ...seen, hold: "srm", phase: "Paused" });
	const request = { experiment: "boosted", expectedRevision: 1, by: "weir", atMs: 5_000 };
	await store.decide({ ...request, input, outcome: made });
	t.match(statusOf(store, "boosted"), { phase: "Paused", stepStartedAtMs: 4_000 });
});

t.test("a person's verb is recorded with the person and the reason", async (t) => {
	const store = opened(t);
	store.apply(file(ALL), at(1_000));
	const act = { by: "grace", reason: "a fire", arm: null, nowMs: 2_000 };
	t.match(actOn(store, "boosted", { verb: "pause", ...act }), {
		revision: 2,
		decision: { by: "grace", outcome: { rule: "person", action: "pause", reason: /a fire/ } },
	});
	t.equal(statusOf(store, "boosted").phase, "Paused");
	t.throws(() => actOn(store, "boosted", { verb: "pause", ...act }), { code: "failed-precondition" });
	t.throws(() => actOn(store, "unknown", { verb: "pause", ...act }), { code: "not-found" });
	t.match(actOn(store, "boosted", { verb: "resume", ...act }), { revision: 3 });
	t.match(actOn(store, "boosted", { verb: "promote", ...act }), { revision: 4 });
	t.match(actOn(store, "boosted", { verb: "abort", ...act }), { revision: 5 });
	t.equal(statusOf(store, "boosted").phase, "Aborted");
});

t.test("decisions come in pages, numbered without a gap, each experiment its own", async (t) => {
	const store = opened(t);
	store.apply(
		file([SERVICE, METRIC, experiment("a", "[0%, 50%]"), experiment("ab", "[50%, 100%]")].join("---\n")),
		at(1),
	);
	for (let i = 0; i < 6; i++) await decide(store, "a", {}, i);
	await decide(store, "ab", {});
	const first = store.decisions("a", 0, 5);
	t.same([first.decisions.map((one) => one.sequence), first.next], [[1, 2, 3, 4, 5], 5]);
	const second = store.decisions("a", 5, 5);
	t.same([second.decisions.map((one) => one.sequence), second.next], [[6, 7], null]);
	t.same(store.decisions("a", 7, 5), { decisions: [], next: null });
	t.equal(store.decisions("ab", 0, 5).decisions.length, 2);
});

t.test("old plans are removed, the latest and recent ones stay", async (t) => {
	let nowMs = 0;
	const store = opened(t, undefined, () => nowMs);
	t.equal(store.newestPlan, null);
	const extra = 5;
	for (let i = 0; i < PLANS_KEPT_MIN + extra; i++) {
		nowMs = i;
		await store.keepPlan(`plan-${i}`, { gateways: [], services: [] });
	}
	t.not(await store.plan("plan-0"), null, "all are younger than a day");
	nowMs = 2;
	await store.keepPlan("plan-0", { gateways: [], services: [] });
	nowMs = PLAN_KEPT_MS + 1_000;
	const last = { gateways: [], services: [], of: "the last" } as never;
	await store.keepPlan("last", last);
	t.same(store.newestPlan, last);
	const kept: string[] = [];
	for (const version of ["plan-0", "plan-1", "plan-5", "plan-6", "plan-7", "plan-204", "last"]) {
		if ((await store.plan(version)) !== null) kept.push(version);
	}
	t.same(kept, ["plan-6", "plan-7", "plan-204", "last"], `${PLANS_KEPT_MIN} stay`);
	await t.rejects(store.keepPlan("last", { gateways: [], services: [{ name: "x" }] } as never), {
		code: "already-exists",
	});
	await t.rejects(store.keepPlan("../x", { gateways: [], services: [] }), { code: "invalid-argument" });
});

t.test("a wait ends with a change, its timeout, its signal or the store", async (t) => {
	const store = opened(t);
	t.same((await store.state(-1, 0))?.revision, 0, "-1 is below every revision");
	t.equal(await store.state(0, 0), null);
	t.equal(await store.state(0, 10), null);
	const waiting = store.state(0, 60_000);
	store.apply(file(ALL), at(1_000));
	t.equal((await waiting)?.revision, 1);
	const gone = new AbortController();
	const aborted = store.state(1, 60_000, gone.signal);
	gone.abort();
	t.equal(await aborted, null);
	const closing = store.state(1, 60_000);
	await store.close();
	t.equal(await closing, null);
});

t.test("everything is there after a restart", async (t) => {
	const directory = temporaryDirectory(t);
	const first = new Store(directory);
	first.apply(file(ALL), at(1_000));
	await first.keepPlan("00ff", { gateways: [], services: [] });
	await decide(first, "boosted", { allocationPpm: 100_000, stepIndex: 1 });
	const { current, sources, metricNames } = first;
	await first.close();
	const second = opened(t, directory);
	t.same(second.current, current);
	t.same(second.sources, sources);
	t.same(await second.plan("00ff"), { gateways: [], services: [] });
	t.same(second.metricNames, metricNames);
});

t.test("a second open of the store is refused, in this process and in another", async (t) => {
	const directory = temporaryDirectory(t);
	const store = new Store(directory);
	t.throws(() => new Store(directory), { code: "failed-precondition", message: /is open in process/ });
	const module = new URL("../../../src/operate/state/store/store.js", import.meta.url).href;
	const script = `import(${JSON.stringify(module)}).then(({ Store }) => new Store(process.argv[1]))
		.then(() => process.exit(0), (error) => { console.log(JSON.stringify(error)); process.exit(3); })`;
	const other = () => spawnSync(process.execPath, ["-e", script, directory], { encoding: "utf8" });
	const refused = other();
	t.equal(refused.status, 3);
	t.match(JSON.parse(refused.stdout), { code: "failed-precondition", hint: /data directory of its own/ });
	store.apply(file(ALL), at(1_000));
	await store.close();
	t.equal(other().status, 0, "a closed store is free, and so is one whose owner has ended");
	opened(t, directory);
});

t.test("no other user can read the state files", async (t) => {
	const directory = join(temporaryDirectory(t), "state");
	opened(t, directory);
	t.equal(statSync(directory).mode & 0o777, 0o700);
	for (const name of readdirSync(directory)) t.equal(statSync(join(directory, name)).mode & 0o777, 0o600, name);
	const wide = mkdtempSync(join(tmpdir(), "weir-wide-"));
	t.teardown(() => rmSync(wide, { recursive: true, force: true }));
	chmodSync(wide, 0o755);
	t.throws(() => new Store(wide), { code: "failed-precondition", hint: /chmod 700/ });
});

t.test("during a promotion no apply moves the default Variant, as its end would move it back", async (t) => {
	const v3 = SERVICE.replace("  variants:", "  variants:\n    - {name: v3, endpoints: []}");
	const all = [v3, METRIC, experiment("boosted")].join("---\n");
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
	for (const heldBackFromMs of [undefined, 1]) {
		const store = opened(t);
		store.apply(file(all), at(1_000));
		const under = { ...promotion, ...(heldBackFromMs === undefined ? {} : { heldBackFromMs }) };
		await decide(store, "boosted", { phase: "Promoting", promotion: under }, 5_000, heldBackFromMs ? "v2" : undefined);
		const to = (name: string) => file(all.replace("defaultVariant: v1", `defaultVariant: ${name}`));
		const refused = (from: string, name: string) => {
			const { problems } = store.apply(to(name), at(6_000)) as { problems: readonly Problem[] };
			const found = problems.find(({ message }) => message.includes("is being promoted"));
			t.match(found, {
				position: { file: "weir.yaml", line: 8 },
				message: `the default variant of Service employment would move from ${from} to ${name}, and Experiment boosted is being promoted on it`,
				hint: "wait for its end, or abort it first: weir abort boosted",
			});
		};
		if (heldBackFromMs === undefined) {
			refused("v1", "v3");
			continue;
		}
		refused("v2", "v3");
		t.match(store.apply(to("v2"), at(6_000)), { outcome: "applied" }, "the live Variant changes nothing");
		refused("v2", "v1");
		t.match(statusOf(store, "boosted"), { phase: "Promoting" });
	}
});

t.test("a Variant that a holdback may return to stays declared; an undeclared one cannot be default", async (t) => {
	const store = opened(t);
	const v3 = SERVICE.replace("  variants:", "  variants:\n    - {name: v3, endpoints: []}");
	const all = [v3, METRIC, experiment("boosted")].join("---\n");
	store.apply(file(all), at(1_000));
	const promotion = {
		arm: "boosted",
		variant: "v2",
		stepIndex: 3,
		takeoverPpm: 950_000,
		heldBackFromMs: 1,
		replaced: "v3",
	};
	await decide(store, "boosted", { phase: "Promoting", promotion }, 5_000, "v2");
	t.match(store.apply(file(SERVICE), at(6_000)), {
		outcome: "refused",
		problems: [
			{
				position: { file: "weir.yaml", line: 10 },
				message:
					"variant v3 of Service employment, which it replaced, would be deleted, and Experiment boosted is being promoted on it",
			},
		],
	});
	const gone = "v9";
	await decide(store, "boosted", { phase: "Aborted", promotion: null }, 7_000, gone);
	t.match(difference(store.current).services, [{ liveDefaultVariant: "v1" }], "as Envoys serve it");
});
