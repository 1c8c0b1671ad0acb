/** Interactions are tested at exactly the declared level. */
import t from "tap";
import type { InteractionEvidence } from "../../../src/infer/statistics/evidence.js";
import { interactions } from "../../../src/infer/statistics/interaction.js";
import { questionOf } from "../../../src/infer/statistics/question.js";
import { differenceBounds } from "../../../src/infer/statistics/sequential/bernoulliBounds.js";
import { PRIOR_RATE } from "../../../src/infer/statistics/sequential/bernoulliMixture.js";
import { sampleRatio } from "../../../src/infer/statistics/sequential/srm.js";
import { crossing, experiment, METRICS } from "../../decide/rollout/example.js";

const ALPHA = 0.01;
const OWN = experiment(["boosted"]);
const { accuracy } = METRICS;
if (accuracy === undefined) throw new Error("the metric");
const QUESTION = questionOf(
	{
		...{ arm: "boosted", role: "goal", metricName: "accuracy", metric: accuracy, slowLine: 0, reference: null },
		...{ effect: { kind: "absolute", value: 0.005 }, meanUnits: 2_000 },
	},
	accuracy,
	OWN,
	0.05,
	0.05,
);
const found = (...evidence: readonly InteractionEvidence[]) =>
	interactions(QUESTION, { metric: "accuracy", arm: "boosted", experiment: OWN }, evidence, ALPHA);

t.test("effects have half of alpha, over two sides of each cell of all others", async (t) => {
	const n = 2_000;
	for (const others of [1, 2]) {
		const level = ALPHA / 2 / 2 / (2 * others);
		const [seen, expected]: [boolean[], boolean[]] = [[], []];
		for (let hits = 0; hits <= 300; hits += 2) {
			const high = (1_400 + hits) / n;
			const own = crossing({
				old: { control: [n, 0.7], boosted: [n, high] },
				new: { control: [n, 0.7], boosted: [n, 0.7] },
			});
			const steady = {
				...crossing({ a: { control: [n, 0.7], boosted: [n, 0.7] }, b: { control: [n, 0.7], boosted: [n, 0.7] } }),
				experiment: "team/still",
			};
			seen.push(found(...[own, steady].slice(0, others)).length > 0);
			const bounds = (successes: number) =>
				differenceBounds({ n, sum: successes }, { n, sum: 1_400 }, level, PRIOR_RATE);
			expected.push(bounds(1_400 + hits).lower > bounds(1_400).upper);
			if (seen.at(-1) !== expected.at(-1)) break;
		}
		t.same(seen, expected);
		t.ok(seen.includes(true), "some interactions are found");
	}
});

t.test("assignments have half of alpha over all others", async (t) => {
	const livePoints = { boosted: 1, control: 1 };
	for (const others of [1, 3]) {
		let between = 0;
		for (let more = 0; more <= 500; more += 5) {
			const counts = { boosted: 3_000 + more, control: 3_000 };
			const own = crossing({ old: { control: [3_000, 0.7], boosted: [3_000 + more, 0.7] } });
			const empty = { experiment: "team/empty", cells: [] };
			const ratio = sampleRatio([{ planVersion: "old", firstMs: 0, counts, livePoints }]);
			const p = Math.min(1, Math.exp(-(ratio?.logBayesFactor ?? 0)));
			const named = found(own, ...Array.from({ length: others - 1 }, () => empty)).some(
				({ kind }) => kind === "assignment",
			);
			t.equal(named, p < ALPHA / 2 / others, `${more} more: p ${p}`);
			if (p < 0.2 && !named) between++;
		}
		t.ok(between > 3, `${between} are unlikely, and no proof`);
	}
});
