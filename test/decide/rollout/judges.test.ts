/** The Experiments whose rows ingest must keep for evidence and for freezing. */
import t from "tap";
import { judgesOf } from "../../../src/decide/rollout/judges.js";
import { type ExperimentStatus, initialStatus } from "../../../src/decide/rollout/status.js";
import { resourceSet } from "../../fixtures/resources.js";
import { experiment, METRICS, metric } from "./example.js";

const LATENCY = "latency-p99";
const STARTED = 10_000_000;
const running = initialStatus([1_000_000], STARTED);
const promotion = { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 500_000 };

const judges = (status: ExperimentStatus | undefined, plan = experiment(), metrics = Object.values(METRICS)) =>
	judgesOf({
		resources: resourceSet({ experiments: [plan], metrics }),
		status: { experiments: status === undefined ? {} : { main: status }, services: {} },
	});

t.test("a running Experiment reads the Metrics of its goal and guardrails in its own namespace", (t) => {
	const one = { experiment: "main", service: "employment", freezingSinceMs: null };
	t.same(Object.fromEntries(judges(undefined)), { accuracy: [one], [LATENCY]: [one], "error-rate": [one] });
	t.same([...judges({ ...running, phase: "Paused" }).keys()].sort(), ["accuracy", "error-rate", LATENCY]);
	const plan = experiment();
	const theirs = { ...plan, metadata: { ...plan.metadata, namespace: "hr" } };
	const all = judgesOf({
		resources: resourceSet({ experiments: [plan, theirs] }),
		status: { experiments: {}, services: {} },
	});
	t.same(all.get("hr/accuracy"), [{ experiment: "hr/main", service: "hr/employment", freezingSinceMs: null }]);
	t.same(all.get("accuracy"), [one]);
	for (const phase of ["Aborted", "RolledBack", "Promoted"] as const)
		t.equal(judges({ ...running, phase }).size, 0, phase);
	t.end();
});

t.test("an Experiment in a takeover reads only its holdback", (t) => {
	const takeover = { fromMs: STARTED + 1 };
	t.equal(judges({ ...running, phase: "Promoting", promotion, takeover }).size, 0);
	const heldBack = { ...promotion, heldBackFromMs: STARTED + 2 };
	t.equal(judges({ ...running, phase: "Promoting", promotion: heldBack, takeover }).size, 3);
	t.end();
});

t.test("a threshold or cap is frozen from data since ten minutes before the start, or since its reset", (t) => {
	const since = (status: ExperimentStatus, name = LATENCY) => judges(status).get(name)?.[0]?.freezingSinceMs;
	t.equal(since(running), STARTED - 600_000);
	t.equal(since(running, "accuracy"), null);
	const given = { era: 2, sinceMs: STARTED + 5, formerMs: 20 };
	t.equal(since({ ...running, refreezes: { [LATENCY]: given } }), STARTED + 5);
	t.equal(since({ ...running, thresholds: { [LATENCY]: { thresholdMs: 1, frozenAtMs: 1, sampleSize: 1 } } }), null);
	const capped = metric("accuracy", { type: "mean", cap: { quantile: 0.99 } });
	t.equal(judges(running, experiment(), [capped]).get("accuracy")?.[0]?.freezingSinceMs, STARTED - 600_000);
	t.end();
});
