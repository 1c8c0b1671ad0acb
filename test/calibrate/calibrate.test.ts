/** A small sample of the calibration, and a check that it detects an invalid method. */
import t from "tap";
import { lower99, upper99, verdictOf } from "./evidence.js";
import { looksOf, merge, run } from "./experiment.js";
import { type Method, methodOf } from "./methods.js";
import { drawOf, meanOf } from "./outcomes.js";
import { uniforms } from "./random.js";
import { SCENARIOS } from "./scenarios.js";
import { verdict } from "./table.js";

t.test("scenarios and their seeds are unique", async (t) => {
	t.equal(new Set(SCENARIOS.map(({ seed }) => seed)).size, SCENARIOS.length);
});

t.test("the calibration's verdict agrees with binomial bounds", async (t) => {
	// scipy.stats.beta.ppf(0.99, 201, 3800) and (0.01, 200, 3801)
	t.ok(Math.abs(upper99(200, 4_000) - 0.05862) < 5e-5, `${upper99(200, 4_000)}`);
	t.ok(Math.abs(lower99(200, 4_000) - 0.04231) < 5e-5, `${lower99(200, 4_000)}`);
	t.equal(verdictOf(160, 4_000), "within");
	t.equal(verdictOf(200, 4_000), "undecided");
	t.equal(verdictOf(240, 4_000), "excess");
	t.equal(verdictOf(0, 10), "undecided");
});

t.test("looks follow the ramp, and the last one has all units", async (t) => {
	const looks = looksOf(20_000, 100);
	t.equal(looks.length, 100);
	t.equal(looks.at(-1), 20_000);
	t.ok((looks[9] ?? 0) < 100, "a tenth of the looks at 2 %");
});

t.test("the challenger's mean lies on the line for every distribution", async (t) => {
	for (const scenario of SCENARIOS.filter((one) => methodOf(one) !== null)) {
		const relative = scenario.method.endsWith("ratio") && !scenario.method.startsWith("asympcs-");
		const [draw, uniform, out] = [drawOf(scenario), uniforms(7, scenario.seed), new Float64Array(4)];
		const means = [false, true].map((challenger) => {
			let [sum, weight, squares] = [0, 0, 0];
			const units = 60_000;
			for (let unit = 0; unit < units; unit++) {
				draw(challenger, unit / units, uniform, out);
				sum += out[0] ?? 0;
				weight += scenario.law.of.startsWith("clustered-ratio") ? (out[1] ?? 0) : 1;
				squares += (out[0] ?? 0) ** 2;
			}
			return { mean: sum / weight, error: Math.sqrt(squares) / weight };
		});
		const [baseline, challenger] = means;
		if (baseline === undefined || challenger === undefined) throw new Error("two arms");
		const lift = relative || scenario.method === "asympcs-lift";
		const expected = baseline.mean + scenario.line * (lift ? meanOf(scenario.law) : 1);
		const within = 5 * Math.hypot(baseline.error, challenger.error);
		t.ok(Math.abs(challenger.mean - expected) < within, `${scenario.name}, ${scenario.method}`);
	}
});

t.test("exact methods do not err in a part of every scenario, and parts add up", async (t) => {
	for (const scenario of SCENARIOS.filter(({ method }) => !method.startsWith("asympcs"))) {
		const small = { ...scenario, units: Math.min(scenario.units, 4_000) };
		const tally = run(small, 0, 12, 15);
		// Binomial(12, 0.05) exceeds 5 with probability 3e-5.
		t.ok(Math.max(tally.always.above, tally.always.below) <= 5, `${scenario.name}, ${scenario.method}`);
	}
	const [first] = SCENARIOS;
	if (first === undefined) throw new Error("scenarios");
	const small = { ...first, units: 2_000 };
	t.same(merge(run(small, 0, 5, 10), run(small, 5, 7, 10)), run(small, 0, 12, 10));
});

t.test("the calibration detects a method that errs: a repeated fixed-sample z test", async (t) => {
	const scenario = SCENARIOS.find(({ method }) => method === "asympcs-difference");
	if (scenario === undefined) throw new Error("the scenario");
	const peeking: Method = {
		exact: true,
		claims: (challenger, baseline) => {
			const [c, b] = [challenger.moments(), baseline.moments()];
			const z = (c.mean - b.mean - scenario.line) / Math.sqrt(c.m2 / c.n ** 2 + b.m2 / b.n ** 2);
			return { above: z > 1.645, below: z < -1.645, missed: Math.abs(z) > 1.96 };
		},
	};
	const tally = run({ ...scenario, units: 4_000 }, 0, 100, 40, peeking);
	t.equal(verdict({ scenario, exact: true, tally }), "excess");
});
