/** A bandit's shares: when they move, where to, and what does not move them. */
import t from "tap";
import { experimentTable } from "../../../src/compile/assignment/experimentTable.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import { evidenceQuery } from "../../../src/decide/rollout/evidenceQuery.js";
import { recompute } from "../../../src/decide/rollout/recompute.js";
import { sharesSentence } from "../../../src/decide/rollout/sentence.js";
import type { ArmShares, ExperimentStatus } from "../../../src/decide/rollout/status.js";
import type { Experiment } from "../../../src/declare/resources/resource.js";
import { PPM } from "../../../src/limits/index.js";
import { resourceSet } from "../../fixtures/resources.js";
import { type ArmSpec, evidence, experiment, input, LAST_STEP, METRICS, ROLLOUT, status } from "./example.js";

const BANDIT = { algorithm: "top-two", floorPpm: 100_000, everyMs: 3_000 } as const;
const ARMS = { control: { n: 1_000 }, boosted: { n: 1_000, accuracy: 0.815 }, deep: { n: 1_000, accuracy: 0.7 } };

const declared = (spec: Partial<Experiment["spec"]> = {}): Experiment =>
	experiment(["boosted", "deep"], { guardrails: [], rollout: { ...ROLLOUT, bandit: BANDIT }, ...spec });

const look = (arms: Readonly<Record<string, ArmSpec>>, learnt: Partial<ExperimentStatus> = {}, plan = declared()) =>
	decide(input({ experiment: plan, status: status({ ...LAST_STEP, ...learnt }), evidence: evidence(arms) }));

const moved = (ppm: Readonly<Record<string, number>>, movedAtMs: number): { shares: ArmShares } => ({
	shares: { ppm, firstMovedAtMs: 1_000, movedAtMs },
});

t.test("a worse arm loses its share; the leader and the baseline stay fully live", async (t) => {
	const outcome = look({ ...ARMS, deep: { n: 1_000, accuracy: 0.77 } });
	t.match(outcome, { action: "reallocate", rule: "bandit" });
	const { shares, ...rest } = outcome.status;
	const { shares: _, ...before } = status(LAST_STEP);
	t.same(rest, before, "nothing else changes");
	t.match(shares, { ppm: { control: 1_000_000, boosted: 1_000_000 }, firstMovedAtMs: 100_000, movedAtMs: 100_000 });
	t.ok((shares?.ppm.deep ?? PPM) < 200_000 && (shares?.ppm.deep ?? 0) >= 100_000, `${shares?.ppm.deep}`);
	t.match(
		outcome.reason,
		/^Shares of the 100% moved: deep from 100% to 1\d\.\d+% of its region; chance to be best by accuracy over 3000 units: control 0\.\d+, boosted 0\.\d+, deep \S+; from here on only units of the core count, the first 10% of each arm's live points\.$/,
	);
	t.match(outcome.summary, /^deep is now shown to fewer people, 1\d\.\d+% of its full share: among 3,000 people/);
});

t.test("a bandit prefers the lower value for a metric with direction down", async (t) => {
	const plan = declared({ goal: { metric: "error-rate", improveBy: { kind: "absolute", value: 0 } } });
	const { shares } = look(
		{ control: { n: 1_000, errors: 0.05 }, boosted: { n: 1_000, errors: 0.04 }, deep: { n: 1_000, errors: 0.075 } },
		{},
		plan,
	).status;
	t.ok((shares?.ppm.deep ?? PPM) < 200_000, `${shares?.ppm.deep}`);
	t.equal(shares?.ppm.boosted, 1_000_000);
});

t.test("a bandit ranks a mean by the variance of its units", async (t) => {
	const plan = declared({ goal: { metric: "revenue", improveBy: { kind: "absolute", value: 0 } } });
	const seen = evidence({ control: { n: 1_000 }, boosted: { n: 1_000 }, deep: { n: 1_000 } });
	const means: Readonly<Record<string, number>> = { control: 10, boosted: 10.1, deep: 9.85 };
	const arms = seen.arms.map((one) => ({
		...one,
		metrics: { revenue: { n: 1_000, mean: means[one.arm] ?? 0, m2: 4_000 } },
	}));
	const outcome = decide(input({ experiment: plan, status: status(LAST_STEP), evidence: { ...seen, arms } }));
	t.match(outcome, { action: "reallocate", status: { shares: { ppm: { boosted: 1_000_000 } } } });
	t.ok((outcome.status.shares?.ppm.deep ?? PPM) < 200_000);
	const flat = arms.map((one) => ({ ...one, metrics: { revenue: { n: 1_000, mean: 10, m2: 0 } } }));
	t.equal(
		decide(input({ experiment: plan, status: status(LAST_STEP), evidence: { ...seen, arms: flat } })).action,
		"hold",
		"without variance there is nothing to rank by",
	);
});

const WORSE = { ...ARMS, deep: { n: 1_000, accuracy: 0.77 } };
const rows: readonly [what: string, expected: string, outcome: ReturnType<typeof look>][] = [
	["a ramp comes first", "ramp", look(WORSE, { stepIndex: 1, allocationPpm: 500_000 })],
	["below the last step", "wait", look(WORSE, { stepIndex: 1, allocationPpm: 500_000, stepStartedAtMs: 99_000 })],
	["too early at the step", "wait", look(WORSE, { stepStartedAtMs: 98_000 })],
	["too early after a move", "wait", look(WORSE, moved({ deep: 900_000 }, 98_000))],
	["long enough after a move", "bandit", look(WORSE, moved({ deep: 900_000 }, 97_000))],
	["too few units", "wait", look({ ...WORSE, deep: { n: 199, accuracy: 0.77, exposed: 1_000 } })],
	[
		"no arm differs",
		"wait",
		look({ control: { n: 1_000 }, boosted: { n: 1_000 }, deep: { n: 1_000 } }, {}, declared({ goal: null })),
	],
	["a pause", "person", look(WORSE, { phase: "Paused", hold: "person" })],
	["proved harm", "harm", look({ ...ARMS, deep: { n: 1_000, accuracy: 0.4 } })],
	[
		"proof",
		"promote",
		look({
			control: { n: 6_000, accuracy: 0.78 },
			boosted: { n: 6_000, accuracy: 0.84 },
			deep: { n: 6_000, accuracy: 0.77 },
		}),
	],
	[
		"maxDuration",
		"max-duration",
		look(WORSE, {}, declared({ rollout: { ...ROLLOUT, bandit: BANDIT, maxDurationMs: 50_000 } })),
	],
	["no bandit", "wait", look(WORSE, {}, declared({ rollout: ROLLOUT }))],
	[
		"broken data",
		"data",
		decide(
			input({
				experiment: declared(),
				status: status(LAST_STEP),
				evidence: evidence(WORSE, { droppedEntries: 1_000 }),
			}),
		),
	],
];
t.test("a bandit moves shares only under its rules", async (t) => {
	for (const [what, expected, outcome] of rows) t.equal(outcome.rule, expected, what);
});

t.test("small changes are ignored, so that the same units do not switch repeatedly", async (t) => {
	const first = look(WORSE).status.shares;
	const again = look(WORSE, { shares: { ...(first as ArmShares), movedAtMs: 0 } });
	t.equal(again.rule, "wait");
	t.same(again.status.shares?.ppm, first?.ppm);
});

t.test("a bandit gives a closed arm no share and ranks the others without it", async (t) => {
	const outcome = look(
		{ ...ARMS, boosted: { n: 1_000, accuracy: 0.78 } },
		{ closedArms: ["deep"] },
		declared({ rollout: { ...ROLLOUT, minUnits: 200, bandit: { ...BANDIT, algorithm: "thompson" } } }),
	);
	t.match(outcome, { rule: "bandit", status: { shares: { ppm: { control: 1_000_000, deep: 0 } } } });
	t.notMatch(outcome.reason, /deep/);
});

t.test("a bandit's decision recomputes from its input byte for byte", async (t) => {
	const asked = input({ experiment: declared(), status: status(LAST_STEP), evidence: evidence(WORSE) });
	const stored = {
		experiment: "main",
		sequence: 1,
		atMs: 100_000,
		by: "weir",
		input: asked,
		outcome: decide(asked),
		acknowledgedAtMs: null,
	};
	t.ok(recompute(JSON.parse(JSON.stringify(stored)))?.matches);
});

t.test("a bandit's table has live points and the core, and from the first move on the core alone", async (t) => {
	const plan = declared();
	const before = experimentTable(plan, null, status({ stepIndex: 1, allocationPpm: 500_000 }));
	t.same(before?.core, { ppm: 100_000, alone: false });
	const after = experimentTable(
		plan,
		null,
		status({ ...LAST_STEP, ...moved({ control: 1_000_000, deep: 250_000 }, 1) }),
	);
	t.same(after?.core, { ppm: 100_000, alone: true });
	t.same(
		after?.arms.map(({ livePoints }) => livePoints),
		[333_333, 333_333, 83_333],
	);
	t.equal(experimentTable(declared({ rollout: ROLLOUT }), null, status(LAST_STEP))?.core, undefined);
});

t.test("the evidence query has the time since which only the core counts", async (t) => {
	const plan = declared();
	const set = resourceSet({ experiments: [plan], metrics: Object.values(METRICS) });
	t.notOk("coreFromMs" in evidenceQuery(set, plan, status(LAST_STEP), 100_000));
	t.equal(evidenceQuery(set, plan, status({ ...LAST_STEP, ...moved({}, 2_000) }), 100_000).coreFromMs, 1_000);
});

t.test("weir status shows the shares", async (t) => {
	const { shares } = moved({ control: 1_000_000, boosted: 375_000, deep: 0 }, 1);
	t.equal(
		sharesSentence({ shares, closedArms: ["deep"] }),
		"live of each arm's allocation: control 100%, boosted 37.5%, deep closed",
	);
	t.equal(sharesSentence({ closedArms: [] }), "");
});
