/** A takeover that keeps a share of the baseline's units on the baseline for a while. */
import t from "tap";
import { experimentTable } from "../../../src/compile/assignment/experimentTable.js";
import { weightedEntries } from "../../../src/compile/envoy/weights.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { DecisionInput } from "../../../src/decide/rollout/decision.js";
import { evidenceQuery } from "../../../src/decide/rollout/evidenceQuery.js";
import { commandOutcome } from "../../../src/decide/rollout/person.js";
import type { ExperimentStatus } from "../../../src/decide/rollout/status.js";
import { startTakeover } from "../../../src/decide/rollout/takeover.js";
import { resourceSet } from "../../fixtures/resources.js";
import { evidence, experiment, input, LAST_STEP, metric, ROLLOUT, rate, status } from "./example.js";

const WITH_COVARIATE = metric("accuracy", { covariateMs: 5_000 });

const HELD = experiment(["boosted", "other"], {
	rollout: { ...ROLLOUT, holdback: { sharePpm: 50_000, forMs: 60_000 } },
});
const GOOD = { control: { n: 6_000 }, boosted: { n: 6_000 }, other: { n: 6_000 } };
const HEALTHY = { health: [{ variant: "v2", requests: 100, failures: 0 }] };
const at = (change: Partial<ExperimentStatus>, given: Partial<DecisionInput> = {}) =>
	decide(
		input({
			experiment: HELD,
			status: status({ ...LAST_STEP, ...change }),
			evidence: evidence(GOOD, HEALTHY),
			...given,
		}),
	);
const promoting = (stepIndex: number, takeoverPpm: number) => ({
	phase: "Promoting" as const,
	promotion: { arm: "boosted", variant: "v2", stepIndex, takeoverPpm },
});

t.test("a takeover's last step switches the default and keeps back only the baseline's share", async (t) => {
	t.match(at(promoting(0, 200_000)), {
		action: "advance-takeover",
		status: { promotion: { takeoverPpm: 500_000 } },
		defaultVariant: null,
	});
	const begun = at(promoting(1, 500_000));
	t.match(begun, {
		action: "advance-takeover",
		reason: /from 50% to all but 5% of the baseline's units, which stay for 60 s; it is the Service's default now/,
		summary: /All users get v2 now, except 5% of the people who had the old version/,
		status: {
			phase: "Promoting",
			closedArms: ["other"],
			promotion: { takeoverPpm: 950_000, heldBackFromMs: 100_000 },
		},
		defaultVariant: "v2",
	});
	const table = experimentTable(HELD, null, begun.status);
	const points = new Map<string, number>();
	if (table !== null)
		for (const entry of weightedEntries(table, "v2"))
			points.set(entry.variant, (points.get(entry.variant) ?? 0) + entry.points);
	// A third of all points is the baseline's; 5 % of them stay.
	t.equal(points.get("v1"), 333_333 - 316_666);
	t.equal(points.get("v3") ?? 0, 0);
	t.equal((points.get("v1") ?? 0) + (points.get("v2") ?? 0), 1_000_000);
});

t.test("a takeover never moves units away from the winner, not even for a larger holdback", async (t) => {
	const larger = experiment(["boosted", "other"], {
		rollout: { ...ROLLOUT, stepsPpm: [900_000], holdback: { sharePpm: 500_000, forMs: 60_000 } },
	});
	const kept = at({ ...promoting(0, 900_000), takeover: { fromMs: 1 } }, { experiment: larger });
	t.match(kept, {
		action: "advance-takeover",
		reason:
			/from 90% to all but 10% of the baseline's units \(50% are declared, but no user is taken back\), which stay for 60 s/,
		summary: /except 10% of the people/,
		status: {
			promotion: { takeoverPpm: 900_000, heldBackFromMs: 100_000 },
			takeover: { heldBack: { sharePpm: 100_000 } },
		},
		defaultVariant: "v2",
	});
	const begun = startTakeover(larger, status(LAST_STEP), "boosted", 1).promotion;
	t.match(begun, { takeoverPpm: 500_000 });
	t.match(at(promoting(0, 500_000), { experiment: larger }).status.promotion, {
		takeoverPpm: 500_000,
		heldBackFromMs: 100_000,
	});
});

t.test("a holdback lasts its time under its guardrails, then completes", async (t) => {
	const begun = at(promoting(1, 500_000)).status;
	t.match(at(begun, { nowMs: 130_000 }), {
		action: "hold",
		rule: "takeover",
		waitsFor: "holdback",
		expectedMs: 30_000,
	});
	const done = at(begun, { nowMs: 160_000 });
	t.match(done, {
		action: "complete",
		status: { phase: "Promoted", promotion: { takeoverPpm: 1_000_000 } },
		defaultVariant: "v2",
	});
	t.equal(done.status.promotion?.heldBackFromMs, undefined);
});

t.test("harm in a holdback rolls back winner and default, or waits for a person with onHarm freeze", async (t) => {
	const begun = at(promoting(1, 500_000)).status;
	const bad = evidence({ ...GOOD, boosted: { n: 6_000, errors: 0.05 } }, HEALTHY);
	t.match(at(begun, { evidence: bad, nowMs: 130_000 }), {
		action: "roll-back",
		rule: "harm",
		status: { phase: "RolledBack", promotion: null },
		defaultVariant: "v1",
	});
	const freezing = experiment(["boosted", "other"], { rollout: { ...HELD.spec.rollout, onHarm: "freeze" } });
	t.match(at(begun, { experiment: freezing, evidence: bad, nowMs: 200_000 }), {
		action: "hold",
		rule: "harm",
		waitsFor: "person",
	});
	const others = evidence({ ...GOOD, other: { n: 6_000, errors: 0.05 } }, HEALTHY);
	t.match(
		at({ ...begun, closedArms: [] }, { evidence: others, nowMs: 130_000 }),
		{ action: "hold", rule: "takeover" },
		"another challenger's harm is not the winner's",
	);
	const aborted = commandOutcome({ experiment: HELD, status: begun, by: "ada", nowMs: 1 }, { verb: "abort" });
	t.match(aborted, { status: { phase: "Aborted" }, defaultVariant: "v1" });
});

t.test(
	"a holdback is tested on its own units at its share of alpha; under old rules on all units at all of alpha",
	(t) => {
		const begun = at(promoting(1, 500_000)).status;
		const bad = evidence({ ...GOOD, boosted: { n: 6_000, errors: 0.05 } }, HEALTHY);
		const own = at(begun, { evidence: bad, nowMs: 130_000 });
		t.match(
			own.reason,
			/^Rolled back from the holdback: among units first exposed in its 30 s, error-rate of arm boosted/,
		);
		t.match(
			own.summary,
			/^errors of boosted are .*: boosted is rolled back to v1, as it does harm to the people who came since it took over\.$/,
		);
		// Three claims of one arm, where two arms share the rest.
		t.match(own.findings[0], { harmAlpha: 0.05 / 4 / 3 });
		t.match(
			at({}).findings[0],
			{ harmAlpha: (0.75 * (0.05 * (3 / 4))) / 2 / 3 },
			"the era of its thresholds has three quarters",
		);
		t.end();
	},
);

t.test("evidence queries from the promotion to after the end of the holdback have the right window", (t) => {
	const asked = (given: ExperimentStatus) => {
		const resources = resourceSet({ experiments: [HELD], metrics: [WITH_COVARIATE] });
		const { exposedAfterMs, closeUntilMs, metrics } = evidenceQuery(resources, HELD, given, 500_000);
		return { exposedAfterMs, closeUntilMs, covariateMs: metrics[0]?.covariateMs };
	};
	const all = { exposedAfterMs: undefined, closeUntilMs: undefined, covariateMs: 5_000 };
	const running = status(LAST_STEP);
	t.same(asked(running), all);
	const person = { experiment: HELD, by: "ada", nowMs: 70_000 };
	const taking = commandOutcome({ ...person, status: running }, { verb: "promote", arm: "boosted" }).status;
	t.same(asked(taking), { ...all, closeUntilMs: 70_000 }, "open windows may contain requests to another version");
	const held = at({ ...taking, ...promoting(1, 500_000) }).status;
	const own = { ...all, exposedAfterMs: 100_000, covariateMs: null };
	t.same(asked(held), own, "units of the takeover had the arm's version before");
	t.same(
		asked(at(held, { nowMs: 160_000 }).status),
		{ ...all, closeUntilMs: 70_000 },
		"a promoted Experiment uses the data before its takeover",
	);
	const bad = evidence({ ...GOOD, boosted: { n: 6_000, errors: 0.05 } }, HEALTHY);
	t.same(
		asked(at(held, { evidence: bad, nowMs: 130_000 }).status),
		own,
		"a rolled back Experiment uses the data of its holdback",
	);
	t.same(asked(commandOutcome({ ...person, status: held }, { verb: "abort" }).status), own);
	t.end();
});

t.test("missing measurements are no proof of no harm: each claim reports its counts", (t) => {
	const begun = at(promoting(1, 500_000)).status;
	const unmeasured = evidence({ control: { n: 0, exposed: 5_000 }, boosted: { n: 0, exposed: 5_000 } }, HEALTHY);
	t.match(at(begun, { evidence: unmeasured, nowMs: 130_000 }), {
		action: "hold",
		reason: /for 30 s more: nothing could be judged yet \(latency-p99: no data in the baseline, .*accuracy/,
		summary: /for 30 s more: nothing could be judged yet\.$/,
	});
	t.match(at(begun, { evidence: unmeasured, nowMs: 160_000 }), {
		action: "complete",
		reason: /the holdback has ended; nothing could be judged \(/,
		summary: "all users get v2 now: nothing could be judged.",
	});
	const some = {
		...unmeasured,
		arms: evidence({ control: { n: 300, exposed: 5_000 }, boosted: { n: 5_000 } }).arms.map((arm) => ({
			...arm,
			metrics: { "error-rate": arm.metrics["error-rate"] ?? rate(0, 0) },
		})),
	};
	t.match(at(begun, { evidence: some, nowMs: 160_000 }), {
		reason: /\(error-rate 5000 against 300\); nothing could be judged of latency-p99, accuracy \(/,
		summary: /by error-rate among 5,000 people against 300; nothing could be judged of latency-p99, accuracy\.$/,
	});
	t.match(at(begun, { nowMs: 160_000 }).reason, /holdback has ended; no harm .*\(latency-p99 6000 against 6000, /);
	t.end();
});

t.test("a holdback reports a harm that an operator accepted, and rolls back for another one", (t) => {
	const begun = { ...at(promoting(1, 500_000)).status, frozenHarms: ["boosted|accuracy|goal"] };
	const worse = evidence({ ...GOOD, boosted: { n: 6_000, accuracy: 0.3 } }, HEALTHY);
	t.match(at(begun, { evidence: worse, nowMs: 130_000 }), {
		action: "hold",
		rule: "harm",
		waitsFor: "holdback",
		reason:
			/accuracy of arm boosted is proved worse .* as was known .*; no other harm .*\(latency-p99 6000 against 6000,/,
		summary: /worse by accuracy, as was known .*; no other harm .* 6,000 people against 6,000\.$/,
	});
	t.match(at(begun, { evidence: worse, nowMs: 160_000 }), {
		action: "complete",
		reason: /the holdback has ended; accuracy of arm boosted is proved worse .* as was known/,
		summary: /all users get v2 now: it is still worse by accuracy, as was known/,
	});
	t.match(at(begun, { nowMs: 160_000 }).summary, /it was worse by accuracy before, which is not proved again; no harm/);
	const another = evidence({ ...GOOD, boosted: { n: 6_000, accuracy: 0.3, errors: 0.05 } }, HEALTHY);
	t.match(at(begun, { evidence: another, nowMs: 130_000 }), {
		action: "roll-back",
		reason: /: among .* error-rate of/,
	});
	const part = { segment: "country", value: "DE", rank: 0, arms: worse.arms };
	const segmented = { ...HELD, spec: { ...HELD.spec, segments: [{ name: "country", header: "x-country" }] } };
	const inPart = { experiment: segmented, evidence: { ...worse, segments: [part] }, nowMs: 130_000 };
	t.equal(at(begun, inPart).action, "hold", "a frozen harm of all units covers a part of them");
	// The frozen harm covers only a part of the units.
	const partly = { ...begun, frozenHarms: ["boosted|accuracy|goal|country|DE"] };
	const onlyPart = { ...inPart, evidence: { ...evidence(GOOD, HEALTHY), segments: [part] } };
	const where = "accuracy where country is DE";
	t.match(at(partly, onlyPart), {
		action: "hold",
		summary: new RegExp(`: it is still worse by ${where}, as was known when it was promoted; no other harm`),
	});
	t.match(at(partly, { nowMs: 130_000 }), {
		reason: new RegExp(`: ${where} was proved worse before it was promoted, and is not in the holdback yet`),
		summary: new RegExp(`: it was worse by ${where} before, which is not proved again yet; no harm`),
	});
	t.equal(at({ ...begun, frozenHarms: [] }, inPart).action, "roll-back");
	// Harm of a guardrail that was removed since then is not the same as harm that is not proved again.
	const gone = ["boosted|error-rate|guardrail", "boosted|error-rate-of-all|guardrail|country|DE", ...begun.frozenHarms];
	const some = { ...HELD, spec: { ...HELD.spec, guardrails: [] } };
	const without = { experiment: some, nowMs: 130_000 };
	t.match(at({ ...begun, frozenHarms: gone }, without), {
		reason:
			/accuracy was proved worse before .*; error-rate, error-rate-of-all where country is DE .* nothing is judged by it any more; no harm/,
		summary:
			/accuracy before, .* again yet; .* error-rate, error-rate-of-all where country is DE before, .* not watched/,
	});
	t.end();
});

t.test("a holdback reports the number of units without harm", (t) => {
	const begun = at(promoting(1, 500_000)).status;
	const whole = /now: no harm has been found among 6,000 people against 6,000\.$/;
	t.match(at(begun, { nowMs: 160_000 }).summary, whole);
	const made = evidence(GOOD, HEALTHY);
	const fewer = made.arms.map((arm) => ({ ...arm, metrics: { ...arm.metrics, "error-rate": rate(5_000, 0) } }));
	const { summary } = at(begun, { evidence: { ...made, arms: fewer }, nowMs: 160_000 });
	t.match(summary, /\(latency-p99 among 6,000 .*, error-rate among 5,000 people against 5,000, accuracy among 6,000/);
	t.end();
});

t.test("broken data or a sample ratio mismatch keep a holdback open until an operator ends it", (t) => {
	const begun = at(promoting(1, 500_000)).status;
	const lost = evidence(GOOD, { ...HEALTHY, droppedEntries: 9_000 });
	const early = at(begun, { evidence: lost, nowMs: 130_000 });
	t.match(early, {
		action: "hold",
		rule: "data",
		waitsFor: "data",
		expectedMs: null,
		reason:
			/for 30 s more: .*the data are broken: 9000 access-log entries were dropped, more than 1% of 18000 units; it does/,
		summary: /for 30 s more: .* cannot be trusted: 9,000 records of requests were lost\. It does not end/,
	});
	const skewed = evidence({ control: { n: 3_000 }, boosted: { n: 6_000 } }, HEALTHY);
	const late = at(begun, { evidence: skewed, nowMs: 160_000 });
	t.match(late, {
		action: "hold",
		rule: "data",
		waitsFor: "data",
		status: { phase: "Promoting", promotion: { takeoverPpm: 950_000 } },
		defaultVariant: null,
		reason: /whose time is over: .*: sample ratio mismatch, p \S+e-\d+ over 9000 exposed units; it does not end/,
		summary: /though its time is over: .* cannot be trusted: people are not split/,
	});
	t.equal(at(late.status, { nowMs: 160_000 }).action, "complete", "whole again");
	const person = { experiment: HELD, status: late.status, by: "ada", nowMs: 200_000 };
	t.match(commandOutcome(person, { verb: "promote", arm: null }), { action: "complete", defaultVariant: "v2" });
	t.match(commandOutcome(person, { verb: "abort" }), { action: "abort", defaultVariant: "v1" });
	t.end();
});

t.test("harm on broken data rolls back a holdback too, with a warning", (t) => {
	const begun = at(promoting(1, 500_000)).status;
	const skewed = evidence({ control: { n: 3_000 }, boosted: { n: 6_000, errors: 0.05 } }, HEALTHY);
	const found = { evidence: skewed, nowMs: 130_000 };
	const expected = {
		reason: /error-rate of .* though the data are broken: sample ratio mismatch, p \S+ over 9000 exposed units\.$/,
		summary: /^errors of .*, although what is measured cannot be trusted \(people are not split/,
	};
	t.match(at(begun, found), { action: "roll-back", rule: "harm", ...expected });
	const freezing = { ...HELD, spec: { ...HELD.spec, rollout: { ...HELD.spec.rollout, onHarm: "freeze" as const } } };
	t.match(at(begun, { ...found, experiment: freezing }), { action: "hold", waitsFor: "person", ...expected });
	t.match(at({}, found), { action: "close-arm", rule: "harm", ...expected }, "and before it");
	t.match(at({}, { ...found, experiment: freezing }), { action: "pause", rule: "harm", ...expected });
	t.match(at({ closedArms: ["other"] }, found), { action: "roll-back", rule: "harm", ...expected });
	t.end();
});

t.test("with onHarm freeze, a person ends a holdback with harm: abort or promote again", (t) => {
	const freezing = { ...HELD, spec: { ...HELD.spec, rollout: { ...HELD.spec.rollout, onHarm: "freeze" as const } } };
	const begun = at(promoting(1, 500_000)).status;
	const bad = evidence({ ...GOOD, boosted: { n: 6_000, errors: 0.05 } }, HEALTHY);
	const long = { experiment: freezing, evidence: bad, nowMs: 10_000_000 };
	t.match(at(begun, long), {
		waitsFor: "person",
		reason: /^The holdback does not end by itself, a person aborts, or promotes to end it: among units/,
	});
	const person = { experiment: freezing, status: begun, by: "ada", nowMs: 200_000 };
	const ended = commandOutcome(person, { verb: "promote", arm: null });
	t.match(ended, {
		action: "complete",
		reason: "Holdback ended by ada; all users get variant v2.",
		status: { phase: "Promoted", allocationPpm: 0, promotion: { arm: "boosted", takeoverPpm: 1_000_000 } },
		defaultVariant: "v2",
	});
	t.equal(ended.status.promotion?.heldBackFromMs, undefined);
	t.same(commandOutcome(person, { verb: "promote", arm: "boosted" }), ended);
	t.throws(() => commandOutcome(person, { verb: "promote", arm: "other" }), { code: "failed-precondition" });
	const taking = { ...begun, ...promoting(1, 500_000) };
	t.throws(() => commandOutcome({ ...person, status: taking }, { verb: "promote", arm: null }), {
		message: /only a Running/,
	});
	t.end();
});

t.test("a holdback's claims have no planned look and no covariate from before it", async (t) => {
	const begun = at(promoting(1, 500_000)).status;
	const inference = { design: "fixed-horizon", units: 8_000 } as const;
	const planned = { ...HELD, spec: { ...HELD.spec, rollout: { ...HELD.spec.rollout, inference } } };
	const looks = [{ atMs: 90_000, units: 8_000, z: { boosted: 9 }, boundary: 1.6, effects: {} }];
	const goal = (change: Partial<ExperimentStatus>, given: Partial<DecisionInput>) =>
		at(change, { experiment: planned, ...given }).findings.find(
			({ role, arm }) => role === "goal" && arm === "boosted",
		);
	t.match(goal({ looks }, {}), { look: { number: 1 } });
	t.notOk("look" in (goal({ ...begun, looks }, { nowMs: 130_000 }) ?? { look: null }));
	// Units of the new version had better values before: the covariate corrects that only before the holdback.
	const own = { goal: { metric: "revenue", improveBy: { kind: "absolute", value: 0 } as const }, guardrails: [] };
	const made = evidence(GOOD, HEALTHY);
	const revenue = (before: number) => ({
		...{ n: 6_000, mean: 5, m2: 6_000, extremes: [4, before].map((mean) => ({ lo: mean - 2, hi: mean + 3 })) },
		co: { n: 6_000, means: [5, before], m2: [6_000, 3_000, 6_000] },
	});
	const given = {
		experiment: { ...HELD, spec: { ...HELD.spec, ...own } },
		metrics: { revenue: metric("revenue", { type: "mean", covariateMs: 5_000 }) },
		evidence: {
			...made,
			arms: made.arms.map((arm) => ({ ...arm, metrics: { revenue: revenue(arm.arm === "boosted" ? 2 : 1) } })),
		},
		nowMs: 130_000,
	};
	t.match(at(begun, given).findings, [{ metric: "revenue", verdict: "open", improvement: 0 }]);
	t.ok(Math.abs((goal({}, given)?.improvement ?? 0) + 0.5) < 1e-9);
});

t.test("a holdback that ends without the winner returns to the Variant that the winner replaced", async (t) => {
	const begun = at(promoting(1, 500_000), { replaces: "v3" }).status;
	t.equal(begun.promotion?.replaced, "v3");
	const person = { experiment: HELD, status: begun, by: "ada", nowMs: 1 };
	t.match(commandOutcome(person, { verb: "abort" }), { defaultVariant: "v3", reason: /goes back to variant v3/ });
	const harmed = { control: { n: 6_000 }, other: { n: 6_000 }, boosted: { n: 6_000, errors: 0.5 } };
	t.match(at(begun, { evidence: evidence(harmed, HEALTHY) }), {
		...{ action: "roll-back", defaultVariant: "v3", summary: /: boosted is rolled back to v3, as it does harm/ },
	});
	t.notHas(at(promoting(1, 500_000)).status.promotion, "replaced");
	const own = at(promoting(1, 500_000), { replaces: "v2" }).status;
	t.notHas(own.promotion, "replaced", "its own Variant was the default before: harm takes it back all the same");
	t.equal(
		commandOutcome({ ...person, status: at(promoting(1, 500_000)).status }, { verb: "abort" }).defaultVariant,
		"v1",
	);
});
