/** A takeover that leaves a share of the baseline's units where they are, for a while. */
import t from "tap";
import { experimentTable } from "../../src/assignment/table.js";
import { weightedEntries } from "../../src/compiler/weights.js";
import { decide } from "../../src/rollout/decide.js";
import type { DecisionInput } from "../../src/rollout/decision.js";
import { actByPerson } from "../../src/rollout/person.js";
import type { ExperimentStatus } from "../../src/rollout/status.js";
import { evidence, experiment, input, LAST_STEP, ROLLOUT, status } from "./example.js";

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
	const aborted = actByPerson({ experiment: HELD, status: begun, by: "ada", nowMs: 1 }, { verb: "abort" });
	t.match(aborted, { status: { phase: "Aborted" }, defaultVariant: "v1" });
});
