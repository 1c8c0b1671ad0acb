/** The evidence query and its answer outside the namespace `default`. */
import t from "tap";
import { evidenceQuery, localEvidence, metricsOf } from "../../../src/decide/rollout/evidenceQuery.js";
import { initialStatus } from "../../../src/decide/rollout/status.js";
import { resourceSet } from "../../fixtures/resources.js";
import { experiment, METRICS, NOTHING_BESIDE } from "./example.js";

const inTeam = <Resource extends { readonly metadata: { readonly namespace: string } }>(
	resource: Resource,
): Resource => ({
	...resource,
	metadata: { ...resource.metadata, namespace: "team" },
});

t.test("evidence queries use qualified metric names, and answers use the names of the goal", (t) => {
	const plan = inTeam(experiment());
	const resources = resourceSet({ experiments: [plan], metrics: Object.values(METRICS).map(inTeam) });
	const query = evidenceQuery(resources, plan, initialStatus([1_000_000], 0), 0);
	t.same(query.metrics.map(({ name }) => name).sort(), ["team/accuracy", "team/error-rate", "team/latency-p99"]);
	const moments = { n: 3, mean: 0.5, m2: 0.1 };
	const answer = {
		experiment: "team/main",
		asOfMs: 0,
		arms: [
			{
				arm: "control",
				exposedUnits: 3,
				maturedUnits: 3,
				metrics: { "team/accuracy": moments },
				missingUnits: { "team/accuracy": 1 },
			},
		],
		exposures: [],
		...NOTHING_BESIDE,
	};
	const [arm] = localEvidence(answer, metricsOf(resources, plan)).arms;
	t.same(arm?.metrics, { accuracy: moments });
	t.same(arm?.missingUnits, { accuracy: 1 });
	t.end();
});
