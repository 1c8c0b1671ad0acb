/** Reasons to hold a promotion with all claims proved: an effect that fades, an arm of another Experiment. */
import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { PeriodEvidence } from "../../../src/infer/statistics/evidence.js";
import { crossing, evidence, experiment, input, LAST_STEP, ROLLOUT, rate, status } from "./example.js";

const GOOD = { control: { n: 6_000, accuracy: 0.78 }, boosted: { n: 6_000, accuracy: 0.83 } };
const ready = (extra: Parameters<typeof evidence>[1]) =>
	decide(input({ status: status(LAST_STEP), evidence: evidence(GOOD, extra) }));

/** Accuracies of both arms by period, 3,000 units an arm in each. */
const periods = (...shares: readonly (readonly [control: number, boosted: number])[]): PeriodEvidence[] =>
	shares.map(([control, boosted], index) => ({
		fromMs: index * 10_000,
		toMs: (index + 1) * 10_000,
		arms: [
			{ arm: "control", exposedUnits: 3_000, metrics: { accuracy: rate(3_000, control) } },
			{ arm: "boosted", exposedUnits: 3_000, metrics: { accuracy: rate(3_000, boosted) } },
		],
	}));

t.test("a steady effect promotes without a note on time", async (t) => {
	const outcome = ready({ periods: periods([0.78, 0.83], [0.78, 0.83]) });
	t.equal(outcome.action, "promote");
	t.notMatch(outcome.reason, /weakens/);
	t.match(
		outcome.summary,
		/^accuracy is 5 points better \(at least 2.\d\); p99 latency and errors are fine: v2 takes over\.$/,
	);
});

t.test("an effect that weakens but stays above the line is promoted with a warning", async (t) => {
	const outcome = ready({ periods: periods([0.78, 0.9], [0.78, 0.82]) });
	t.match(outcome, {
		action: "promote",
		reason: /caution, the effect weakens: 0.12 among the early half of the units, 0.04 among the late half/,
		summary: /helped the first people more than the later ones/,
	});
});

t.test("an effect that is gone in late units is held for a person", async (t) => {
	const outcome = ready({ periods: periods([0.78, 0.9], [0.78, 0.72]) });
	t.match(outcome, {
		action: "hold",
		rule: "novelty",
		reason:
			/the effect of arm boosted on accuracy fades: at least 0.0\d+ among units first exposed before 10000, at most -0.0\d+ since, the line is 0.005/,
		summary: /those who came later no longer gain as much as was asked for/,
	});
	t.equal(ready({ periods: periods([0.78, 0.9]) }).action, "promote", "one period gives no trend");
	const odd = ready({ periods: periods([0.78, 0.9], [0.78, 0.9], [0.78, 0.7], [0.78, 0.7]) });
	t.equal(odd.rule, "novelty", "halves of several periods");
	const six = ready({
		periods: periods([0.78, 0.9], [0.78, 0.9], [0.78, 0.9], [0.78, 0.7], [0.78, 0.7], [0.78, 0.7]),
	});
	t.match(six.reason, /among units first exposed before 30000,/, "three periods of six are a half");
});

t.test("an equal effect in all arms of a concurrent Experiment promotes", async (t) => {
	const interactions = [
		crossing({
			old: { control: [3_000, 0.78], boosted: [3_000, 0.83] },
			new: { control: [3_000, 0.7], boosted: [3_000, 0.75] },
		}),
	];
	t.equal(ready({ interactions }).action, "promote");
	t.equal(ready({ interactions: [{ experiment: "team/empty", cells: [] }] }).action, "promote");
});

t.test("an effect in only one arm of a concurrent Experiment is held, and the reason names it", async (t) => {
	const interactions = [
		crossing({
			old: { control: [3_000, 0.78], boosted: [3_000, 0.9] },
			new: { control: [3_000, 0.78], boosted: [3_000, 0.76] },
		}),
	];
	t.match(ready({ interactions }), {
		action: "hold",
		rule: "interaction",
		waitsFor: "person",
		reason:
			/arm boosted interacts with experiment team\/banner: accuracy at least 0.0\d+ with its arm old, at most 0.0\d+ with new/,
		summary: /it helps differently with old than with new of experiment team\/banner/,
	});
});

t.test("dependent assignments of two Experiments hold the promotion", async (t) => {
	const interactions = [
		crossing({
			old: { control: [3_300, 0.78], boosted: [2_700, 0.83] },
			new: { control: [2_700, 0.78], boosted: [3_300, 0.83] },
		}),
	];
	t.match(ready({ interactions }), {
		action: "hold",
		rule: "interaction",
		reason: /arm boosted and the arms of experiment team\/banner are not assigned independently \(p \S+e-\d+\)/,
	});
});

t.test("an arm that was frozen for harm is promoted only by a person; other arms take precedence", (t) => {
	const by = (arms: Parameters<typeof evidence>[0]) =>
		decide(
			input({
				experiment: experiment(Object.keys(arms).filter((arm) => arm !== "control")),
				status: status({ ...LAST_STEP, frozenHarms: ["boosted|accuracy|goal"] }),
				evidence: evidence(arms),
			}),
		);
	t.match(by(GOOD), {
		action: "hold",
		rule: "harm",
		waitsFor: "person",
		reason: /arm boosted is proved by now, but it was frozen when accuracy was proved worse; .* \(--arm boosted\)\.$/,
		summary: /^boosted would be ready, but it was stopped before because accuracy was worse; a person may promote it/,
	});
	const two = { ...GOOD, control: { n: 9_000, accuracy: 0.75 }, boosted: { n: 9_000, accuracy: 0.85 } };
	for (const accuracy of [0.81, 0.88])
		t.match(by({ ...two, other: { n: 9_000, accuracy } }), {
			action: "promote",
			status: { promotion: { arm: "other" } },
		});
	t.match(by({ other: { n: 9_000, accuracy: 0.81 }, ...two }).status.promotion, { arm: "other" }, "in either order");
	t.end();
});

t.test("an arm that waits for an operator still ends with maxDuration", (t) => {
	const over = { ...LAST_STEP, startedAtMs: -600_000 };
	const fades = { periods: periods([0.78, 0.9], [0.78, 0.72]) };
	const cell = { control: [3_000, 0.78], boosted: [3_000, 0.9] } as const;
	const meets = { interactions: [crossing({ old: cell, new: { ...cell, boosted: [3_000, 0.76] } })] };
	const by = (change: Parameters<typeof status>[0], extra: Parameters<typeof evidence>[1]) => {
		const declared = (onInconclusive: "pause" | "keep-default") =>
			decide(
				input({
					experiment: experiment(["boosted"], { rollout: { ...ROLLOUT, onInconclusive } }),
					status: status({ ...over, ...change }),
					evidence: evidence(GOOD, extra),
				}),
			);
		return [declared("keep-default"), declared("pause")] as const;
	};
	const frozen = { frozenHarms: ["boosted|accuracy|goal"] };
	for (const [change, extra, reason, summary] of [
		[
			frozen,
			{},
			/every claim of arm boosted is proved by now, but it was frozen when accuracy was proved worse/,
			/boosted would be ready, but it was stopped before because accuracy was worse/,
		],
		[
			{},
			fades,
			/the effect of arm boosted on accuracy fades: .* no proof/,
			/it helped only the first people: .* asked for/,
		],
		[
			{},
			meets,
			/arm boosted interacts with experiment team\/banner: .* with new/,
			/it helps differently with old than/,
		],
	] as const) {
		const [ended, paused] = by(change, extra);
		t.match(ended, {
			action: "roll-back",
			rule: "max-duration",
			status: { phase: "RolledBack", allocationPpm: 0 },
			reason: new RegExp(`^Back to the default: no promotion after 11.7 min of at most 10 min: ${reason.source}\\.$`),
			summary: new RegExp(`${summary.source}.*, and in 11.7 min no one promoted it: v1 stays\\.$`),
		});
		t.notMatch(ended.summary, /a person may/);
		t.match(paused, {
			action: "pause",
			rule: "max-duration",
			status: { phase: "Paused", hold: "inconclusive" },
			reason: new RegExp(`^Paused: no promotion after .*${reason.source}; a person decides\\.$`),
		});
		t.equal(by({ ...change, durationFromMs: 90_000 }, extra)[0].action, "hold", "resume restarts the duration");
	}
	t.equal(by({}, {})[0].action, "promote", "a proved arm is promoted after maxDuration too");
	t.end();
});
