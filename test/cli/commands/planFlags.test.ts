/** The values of the flags of `weir plan`. */
import t from "tap";
import { demandMetrics, parsePlanFlags } from "../../../src/cli/commands/planFlags.js";
import { experiment } from "../../decide/rollout/example.js";

const FLAGS = { baseline: [], effect: [], power: "80%" };

t.test("plan reads shares, points and plain numbers", (t) => {
	const { facts, assumptions } = parsePlanFlags({
		...{ traffic: "9000,6000.5", days: "14", power: "0.9" },
		baseline: ["bought=12%", "revenue=12.5,30", "spent=10,20,500"],
		effect: ["bought=3pp", "revenue=2%"],
	});
	t.same(facts, {
		baselines: {
			bought: { mean: 0.12, variance: null, from: "--baseline" },
			revenue: { mean: 12.5, variance: 900, from: "--baseline" },
			spent: { mean: 10, variance: 400, farthest: 490, from: "--baseline" },
		},
		traffic: { newUnitsPerDay: [9_000, 6_000.5], from: "--traffic" },
	});
	t.same(assumptions, { power: 0.9, days: 14, effects: { bought: 0.03, revenue: 0.02 } });
	t.same(parsePlanFlags(FLAGS), {
		facts: { baselines: {}, traffic: null },
		assumptions: { power: 0.8, days: null, effects: {} },
	});
	t.end();
});

t.test("an invalid value is refused with the name of its flag", (t) => {
	for (const [flag, wrong] of [
		["--traffic", { traffic: "many" }],
		["--traffic", { traffic: "-5" }],
		["--traffic", { traffic: "" }],
		["--baseline", { baseline: ["bought"] }],
		["--baseline", { baseline: ["=1"] }],
		["--baseline", { baseline: ["bought=1,2,3,4"] }],
		["--baseline", { baseline: ["bought=1,2,far"] }],
		["--baseline", { baseline: ["bought=1,0"] }],
		["--baseline", { baseline: ["bought=1,NaN"] }],
		["--effect", { effect: ["bought=large"] }],
		["--power", { power: "often" }],
		["--days", { days: "0" }],
		["--days", { days: "1e999" }],
	] as const)
		t.throws(() => parsePlanFlags({ ...FLAGS, ...wrong }), {
			code: "invalid-argument",
			message: `${flag} is not understood`,
		});
	t.end();
});

t.test("a Metric that the Experiment does not use is refused, and the message lists those it uses", (t) => {
	const demand = (flags: object) => demandMetrics(experiment(["boosted"]), parsePlanFlags({ ...FLAGS, ...flags }));
	for (const flags of [{ baseline: ["foo=3"] }, { effect: ["accuracy=1pp", "foo=2pp"] }])
		t.throws(() => demand(flags), {
			code: "invalid-argument",
			message: "unknown Metric foo",
			hint: "Metrics of Experiment main: latency-p99, error-rate, accuracy",
		});
	t.doesNotThrow(() => demand({ baseline: ["error-rate=1%"], effect: ["accuracy=2pp"] }));
	t.end();
});
