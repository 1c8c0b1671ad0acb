/** A takeover that leaves a share of the baseline's units where they are, for a while. */
import t from "tap";
import { experimentTable } from "../../src/assignment/table.js";
import { weightedEntries } from "../../src/compiler/weights.js";
import { decide } from "../../src/rollout/decide.js";
import type { DecisionInput } from "../../src/rollout/decision.js";
import { evidenceQuery } from "../../src/rollout/evidenceQuery.js";
import { actByPerson } from "../../src/rollout/person.js";
import type { ExperimentStatus } from "../../src/rollout/status.js";
import { evidence, experiment, input, LAST_STEP, metric, ROLLOUT, status } from "./example.js";

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

t.test("its last step switches the default and holds the share back, none of another challenger", async (t) => {
	t.match(at(promoting(0, 200_000)), {
		action: "advance-takeover",
		status: { promotion: { takeoverPpm: 500_000 } },
		defaultVariant: null,
	});
	const begun = at(promoting(1, 500_000));
	t.match(begun, {
		action: "advance-takeover",
		reason: /from 50% to all but 5% of the baseline's units, which stay for 60 s; it is the Service's default now/,
		summary: /v2 is the new version for everybody but 5% of the people who had the old one/,
		status: { phase: "Promoting", closedArms: ["other"], promotion: { takeoverPpm: 950_000, heldBackFromMs: 100_000 } },
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

t.test("it stays with guardrails watched, then it completes", async (t) => {
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

t.test("harm that shows late takes it back, default and all; onHarm freeze leaves it to a person", async (t) => {
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
	const aborted = actByPerson({ experiment: HELD, status: begun, by: "ada", nowMs: 1 }, { verb: "abort" });
	t.match(aborted, { status: { phase: "Aborted" }, defaultVariant: "v1" });
});

t.test(
	"a holdback is judged by its own people, at its own part of alpha; by former rules by everybody, at all of it",
	(t) => {
		const begun = at(promoting(1, 500_000)).status;
		const bad = evidence({ ...GOOD, boosted: { n: 6_000, errors: 0.05 } }, HEALTHY);
		const own = at(begun, { evidence: bad, nowMs: 130_000 });
		t.match(
			own.reason,
			/^Rolled back from the holdback: among units first exposed in its 30 s, error-rate of arm boosted/,
		);
		t.match(own.summary, /for the new one does harm after all to the people who came since it took over: error-rate/);
		// Three claims of one arm, where two arms share the rest.
		t.match(own.findings[0], { harmAlpha: 0.05 / 4 / 3 });
		t.match(
			at({}).findings[0],
			{ harmAlpha: (0.75 * (0.05 * (3 / 4))) / 2 / 3 },
			"the era of its thresholds has three quarters",
		);
		const former = at(begun, { rules: 6, evidence: bad, nowMs: 130_000 });
		t.match(former.reason, /^Rolled back from the holdback: error-rate of arm boosted/);
		t.match(former.findings[0], { harmAlpha: 0.75 * (0.05 / 2 / 3) });
		t.match(at({}, { rules: 6 }).findings[0], { harmAlpha: 0.75 * (0.05 / 2 / 3) });
		t.match(
			at(begun, { nowMs: 130_000 }).reason,
			/no harm is proved among 6000 units against 6000 first exposed in it;/,
		);
		t.notMatch(at(begun, { rules: 6, nowMs: 130_000 }).reason, /among/);
		t.end();
	},
);

t.test("what is asked of the store from the promotion to the end of the holdback, and after it", (t) => {
	const asked = (given: ExperimentStatus) => {
		const resources = {
			...{ gateways: [], services: [], layers: [], accessPolicies: [], dataClasses: [], roleBindings: [] },
			...{ approvalPolicies: [], referenceGrants: [], experiments: [HELD], metrics: [WITH_COVARIATE] },
		};
		const { exposedAfterMs, closeUntilMs, metrics } = evidenceQuery(resources, HELD, given, 500_000);
		return { exposedAfterMs, closeUntilMs, covariateMs: metrics[0]?.covariateMs };
	};
	const all = { exposedAfterMs: undefined, closeUntilMs: undefined, covariateMs: 5_000 };
	const running = status(LAST_STEP);
	t.same(asked(running), all);
	const person = { experiment: HELD, by: "ada", nowMs: 70_000 };
	const taking = actByPerson({ ...person, status: running }, { verb: "promote", arm: "boosted" }).status;
	t.same(asked(taking), { ...all, closeUntilMs: 70_000 }, "what is open then may be under another version");
	const held = at({ ...taking, ...promoting(1, 500_000) }).status;
	const own = { ...all, exposedAfterMs: 100_000, covariateMs: null };
	t.same(asked(held), own, "who came first during the takeover had the arm's version before");
	t.same(asked(at(held, { nowMs: 160_000 }).status), { ...all, closeUntilMs: 70_000 }, "promoted: by what promoted it");
	const bad = evidence({ ...GOOD, boosted: { n: 6_000, errors: 0.05 } }, HEALTHY);
	t.same(asked(at(held, { evidence: bad, nowMs: 130_000 }).status), own, "taken back: by what took it back");
	t.same(asked(actByPerson({ ...person, status: held }, { verb: "abort" }).status), own);
	const { takeover: _, ...former } = held;
	t.same(asked(former), own, "promoted by an earlier Weir");
	t.end();
});

t.test("a promotion says when the takeover began, by former rules it did not", (t) => {
	const winning = evidence({
		control: { n: 9_000, accuracy: 0.78 },
		boosted: { n: 9_000, accuracy: 0.83 },
		other: { n: 9_000 },
	});
	const by = (rules: number) => at({}, { rules, evidence: winning });
	t.match(by(7), { action: "promote", status: { takeover: { fromMs: 100_000 } } });
	t.notOk("takeover" in by(6).status);
	t.end();
});
