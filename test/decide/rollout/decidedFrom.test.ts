/** Whether a concurrent change invalidates a decision. */
import t from "tap";
import { decidedFrom } from "../../../src/decide/rollout/decidedFrom.js";
import type { State } from "../../../src/decide/rollout/ports.js";
import { resourceSet, service, variant } from "../../fixtures/resources.js";
import { experiment, LAST_STEP, METRICS, metric, status } from "./example.js";

const AT_MS = 500_000;
const OWN = experiment();
const OTHER = { ...experiment(), metadata: { ...OWN.metadata, name: "other" } };

function state(change: Partial<State["resources"]> = {}, learned: Partial<State["status"]> = {}): State {
	return {
		revision: 1,
		resources: resourceSet({
			experiments: [OWN, OTHER],
			metrics: Object.values(METRICS),
			services: [service("employment", [variant("v1", 1), variant("v2", 2)])],
			...change,
		}),
		status: { experiments: { main: status(LAST_STEP), other: status({}) }, services: {}, ...learned },
	};
}

const from = (of: State): string | null => decidedFrom(of, "main", AT_MS);
const before = from(state());

t.test("unrelated declarations and statuses do not invalidate a decision", async (t) => {
	const added = { ...service("elsewhere", [variant("v1", 9)]) };
	t.equal(from(state({ services: [...state().resources.services, added] })), before);
	t.equal(from({ ...state(), revision: 7 }), before);
	const moved = { main: status(LAST_STEP), other: status({ stepIndex: 1 }) };
	t.equal(from(state({}, { experiments: moved })), before);
});

t.test("a changed input invalidates a decision", async (t) => {
	const main = status(LAST_STEP);
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 2, takeoverPpm: 500_000 };
	const other = status({ ...LAST_STEP, phase: "Promoting", promotion });
	const declared = { ...OWN, spec: { ...OWN.spec, rollout: { ...OWN.spec.rollout, alpha: 0.01 } } };
	const changes: Readonly<Record<string, State>> = {
		"its declaration": state({ experiments: [declared, OTHER] }),
		"its status": state({}, { experiments: { main: { ...main, stepIndex: 0 }, other: status({}) } }),
		"its Metrics": state({
			metrics: Object.values({ ...METRICS, accuracy: metric("accuracy", { windowMs: 9_000 }) }),
		}),
		"its Service's timeout, by which outcomes settle": state({
			services: [service("employment", [variant("v1", 1), variant("v2", 2)], { timeoutMs: 9_000 })],
		}),
		"another's promotion": state({}, { experiments: { main, other } }),
		"the default Variant": state({}, { services: { employment: { defaultVariant: "v2" } } }),
	};
	for (const [what, changed] of Object.entries(changes)) t.not(from(changed), before, what);
	t.equal(from(state({ experiments: [OTHER] })), null, "it is gone");
});

t.test("a decision about an Experiment without a status depends on its declaration only", async (t) => {
	const fresh = (change: Partial<State["resources"]> = {}) => from(state(change, { experiments: {} }));
	t.not(fresh(), null);
	t.equal(fresh({ metrics: [] }), fresh());
	t.not(fresh({ experiments: [{ ...OWN, spec: { ...OWN.spec, salt: "another" } }] }), fresh());
});
