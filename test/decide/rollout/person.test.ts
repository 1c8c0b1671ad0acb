import t from "tap";
import { decide } from "../../../src/decide/rollout/decide.js";
import { applyExperiment, applyService, startExperiment } from "../../../src/decide/rollout/declaration.js";
import { commandOutcome, type PersonCommand } from "../../../src/decide/rollout/person.js";
import type { ExperimentStatus } from "../../../src/decide/rollout/status.js";
import type { Service } from "../../../src/declare/resources/resource.js";
import { evidence, experiment, input, LAST_STEP, ROLLOUT, status } from "./example.js";

const act = (change: Partial<ExperimentStatus>, verb: PersonCommand, challengers = ["boosted"]) =>
	commandOutcome({ experiment: experiment(challengers), status: status(change), by: "ada", nowMs: 7_000 }, verb);

const refused = (
	change: Partial<ExperimentStatus>,
	verb: PersonCommand,
	message: RegExp,
	challengers?: string[],
): void => {
	t.throws(() => act(change, verb, challengers), { message }, `${verb.verb} refused: ${message}`);
};

t.test("pause and resume keep the allocation", async (t) => {
	const paused = act({}, { verb: "pause" });
	t.match(paused, { action: "pause", rule: "person", reason: "Paused at 20% by ada." });
	t.match(paused.status, { phase: "Paused", hold: "person", allocationPpm: 200_000 });
	const resumed = act({ phase: "Paused", hold: "person" }, { verb: "resume" });
	t.match(resumed.status, { phase: "Running", hold: null, allocationPpm: 200_000 });
	t.equal(resumed.status.acceptedExposures, undefined);
});

t.test("resume accepts the exposures after SRM, and restarts the duration after an inconclusive end", async (t) => {
	t.equal(act({ phase: "Paused", hold: "srm" }, { verb: "resume" }).status.acceptedExposures, "pending");
	t.equal(act({ phase: "Paused", hold: "inconclusive" }, { verb: "resume" }).status.durationFromMs, 7_000);
});

t.test("promote uses the only open challenger or the named one", async (t) => {
	const outcome = act({}, { verb: "promote", arm: null });
	t.match(outcome, {
		action: "promote",
		status: { phase: "Promoting", promotion: { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 200_000 } },
	});
	t.equal(act({}, { verb: "promote", arm: "other" }, ["boosted", "other"]).status.promotion?.variant, "v3");
	t.equal(
		act({ closedArms: ["boosted"] }, { verb: "promote", arm: null }, ["boosted", "other"]).status.promotion?.arm,
		"other",
	);
	t.equal(act({ phase: "Paused", hold: "srm" }, { verb: "promote", arm: null }).status.hold, null);
});

t.test("an arm that was frozen for proved harm is promoted only by name, with the harm in the reason", async (t) => {
	const frozenHarms = [
		"boosted|error-rate|guardrail",
		"boosted|error-rate|guardrail|country|DE",
		"other|accuracy|goal",
	];
	const frozen = { phase: "Paused", hold: "harm", frozenHarms } as const;
	t.throws(() => act(frozen, { verb: "promote", arm: null }), {
		code: "failed-precondition",
		message: "arm boosted is proved worse by error-rate, and was frozen for it",
		hint: "name it to promote it all the same: --arm boosted",
	});
	const named = act(frozen, { verb: "promote", arm: "boosted" });
	t.match(named, {
		action: "promote",
		reason: /^Arm boosted promoted by ada at 20%, though error-rate was proved worse; it takes over/,
		status: { frozenHarms },
	});
	const resumed = { ...frozen, phase: "Running", hold: null } as const;
	t.throws(() => act(resumed, { verb: "promote", arm: null }), { message: /proved worse/ }, "resumed or not");
	const parts = {
		...frozen,
		frozenHarms: ["boosted|error-rate|guardrail|country|D|E", "boosted|accuracy|goal|country|"],
	};
	t.match(
		act(parts, { verb: "promote", arm: "boosted" }).reason,
		/, though error-rate where country is D\|E, accuracy where country is anything else was proved worse; it/,
		"the reason names the segment, if it was not all units",
	);
	const others = { frozenHarms: ["other|accuracy|goal"] };
	t.notMatch(act(others, { verb: "promote", arm: null }).reason, /worse/);
});

t.test("an arm with parameters is not promoted: its Variant would serve without them", async (t) => {
	const own = experiment(["boosted", "other"]);
	const arms = own.spec.arms.map((arm) =>
		arm.name === "boosted" ? { ...arm, parameters: { temperature: "0.2" } } : arm,
	);
	const promote = (arm: string | null, change: Partial<ExperimentStatus> = {}) =>
		commandOutcome(
			{ experiment: { ...own, spec: { ...own.spec, arms } }, status: status(change), by: "ada", nowMs: 7_000 },
			{ verb: "promote", arm },
		);
	const why = {
		code: "failed-precondition",
		message: "arm boosted has parameters, and a promotion would take its Variant without them",
		hint: /Variant itself/,
	};
	t.throws(() => promote("boosted"), why);
	t.throws(() => promote(null, { closedArms: ["other"] }), why, "not even as the only open arm");
	t.equal(promote("other").status.promotion?.arm, "other", "parameters of another arm do not block the promotion");
	const baseline = own.spec.arms.map((arm) => (arm.baseline ? { ...arm, parameters: { a: "1" } } : arm));
	const outcome = commandOutcome(
		{ experiment: { ...own, spec: { ...own.spec, arms: baseline } }, status: status(), by: "ada", nowMs: 7_000 },
		{ verb: "promote", arm: "boosted" },
	);
	t.equal(outcome.status.promotion?.arm, "boosted", "the baseline's parameters do not either");
});

t.test("abort returns to the default Variant, also from a takeover", async (t) => {
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 200_000 };
	for (const change of [{}, { phase: "Paused", hold: "srm" }, { ...LAST_STEP, phase: "Promoting", promotion }] as const)
		t.match(act(change, { verb: "abort" }).status, { phase: "Aborted", allocationPpm: 0, hold: null, promotion: null });
});

t.test("a command that the phase does not allow fails with failed-precondition", async () => {
	refused({ phase: "Paused", hold: "person" }, { verb: "pause" }, /only a Running/);
	refused({}, { verb: "resume" }, /only a Paused .* is Running/);
	refused({ closedArms: ["boosted"] }, { verb: "promote", arm: "boosted" }, /closed after proven harm/, [
		"boosted",
		"other",
	]);
	refused({}, { verb: "promote", arm: "control" }, /is the baseline/);
	refused({}, { verb: "promote", arm: "none" }, /there is no arm none/);
	refused({}, { verb: "promote", arm: null }, /2 challengers are open/, ["boosted", "other"]);
	refused({ phase: "RolledBack" }, { verb: "promote", arm: null }, /is RolledBack/);
	refused({ phase: "Promoted" }, { verb: "abort" }, /has ended: Promoted/);
	t.throws(() => act({}, { verb: "resume" }), { code: "failed-precondition" });
});

t.test("re-applying an unchanged experiment changes nothing, also after a promotion", async (t) => {
	t.match(startExperiment(experiment(), 9), {
		action: "start",
		rule: "declaration",
		status: { phase: "Running", allocationPpm: 200_000, startedAtMs: 9 },
	});
	t.match(applyExperiment(null, experiment(), null, 9), { action: "start" });
	t.equal(applyExperiment(experiment(), experiment(), status({ phase: "Promoted" }), 9), null);
});

t.test("a changed declaration never raises the allocation; a changed margin refreezes thresholds", async (t) => {
	const rollout = { ...ROLLOUT, stepsPpm: [100_000, 300_000, 1_000_000] };
	const steps = applyExperiment(
		experiment(),
		experiment(["boosted"], { rollout }),
		status({ stepIndex: 1, allocationPpm: 500_000 }),
		9,
	);
	t.match(steps, {
		action: "hold",
		rule: "declaration",
		reason: /changed rollout; the experiment goes on from 50% to 30%/,
	});
	t.match(steps?.status, { stepIndex: 1, allocationPpm: 300_000, stepStartedAtMs: 9 });
	t.ok(steps?.status.thresholds["latency-p99"]);
	const above = { ...ROLLOUT, stepsPpm: [1_000_000] };
	for (const phase of ["Running", "Paused"] as const) {
		const live = status({ phase, stepIndex: 0, allocationPpm: 20_000 });
		const kept = applyExperiment(experiment(), experiment(["boosted"], { rollout: above }), live, 9);
		t.match(kept, {
			action: "hold",
			reason: /goes on at 2%/,
			status: { phase, stepIndex: -1, allocationPpm: 20_000 },
		});
	}
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 20_000 };
	const takeover = applyExperiment(
		experiment(),
		experiment(["boosted"], { rollout: above }),
		status({ phase: "Promoting", promotion }),
		9,
	);
	t.match(takeover?.status.promotion, { stepIndex: -1, takeoverPpm: 20_000 });
	const guardrails = [{ metric: "latency-p99", margin: { kind: "relative", value: 0.5 } }] as const;
	const margins = applyExperiment(experiment(), experiment(["boosted"], { guardrails }), status(), 9);
	t.match(margins, { reason: /changed guardrails/, status: { allocationPpm: 200_000, thresholds: {} } });
	t.notOk(margins?.status.thresholds["latency-p99"]);
	const taken = applyExperiment(experiment(), experiment(["boosted"], { guardrails: [] }), status(), 9);
	t.equal(
		taken?.reason,
		"The declaration changed guardrails; the experiment goes on at 20%. Nothing is judged by latency-p99, error-rate any more.",
		"removed thresholds are not frozen again",
	);
	t.same(taken?.status.thresholds, {});
});

t.test("a margin that changes repeatedly spends the alpha of eras, not all of it each time", async (t) => {
	const guarded = (value: number, kind: "relative" | "absolute" = "relative") =>
		experiment(["boosted"], { guardrails: [{ metric: "latency-p99", margin: { kind, value } }], goal: null });
	const quantile = { valueMs: 21, requests: 5_000, units: 500 };
	const alphas: number[] = [];
	let now = status();
	let margin = 1;
	for (const era of [1, 2, 3, 4]) {
		const seen = decide(
			input({
				experiment: guarded(margin),
				status: now,
				evidence: evidence({ control: { n: 300 }, boosted: { n: 300 } }),
			}),
		);
		alphas.push(seen.findings[0]?.harmAlpha ?? 1);
		const edited = applyExperiment(guarded(margin), guarded(margin / 2), now, 100_000 + era);
		margin /= 2;
		t.match(edited?.reason, /latency-p99 will be frozen anew: .* the alpha that it had stays spent\.$/);
		t.match(edited?.status, {
			thresholds: {},
			refreezes: { "latency-p99": { era: era + 1, because: "declaration" } },
		});
		// While nothing is frozen an edit takes no era.
		const twice = applyExperiment(guarded(margin), guarded(margin / 3), edited?.status ?? now, 100_000 + era);
		t.same(twice?.status.refreezes, edited?.status.refreezes);
		const frozen = decide(
			input({
				experiment: guarded(margin),
				status: edited?.status ?? now,
				baselineQuantiles: { "latency-p99": quantile },
			}),
		);
		t.match(frozen.reason, /^Frozen again, the declaration had changed; latency-p99: slower than/);
		t.equal(frozen.status.thresholds["latency-p99"]?.era, era + 1);
		now = frozen.status;
	}
	t.same(
		alphas.slice(1).filter((alpha, index) => alpha >= (alphas[index] ?? 0)),
		[],
		alphas.join(" "),
	);
	t.ok(alphas.reduce((sum, alpha) => sum + alpha, 0) < 0.05, alphas.join(" "));
	const ms = applyExperiment(guarded(1), guarded(1_000, "absolute"), status(), 9);
	t.same(ms?.status.thresholds, {}, "20 + 1000 ms is not 2 · 20 ms");
	t.equal(applyExperiment(guarded(1), guarded(1), status(), 9), null);
});

t.test("a changed defaultVariant replaces a promoted one; an unchanged one does not", async (t) => {
	const service = (defaultVariant: string, names = ["v1", "v2", "v3"]) =>
		({ kind: "Service", spec: { defaultVariant, variants: names.map((name) => ({ name })) } }) as unknown as Service;
	const learned = { defaultVariant: "v2" };
	t.equal(applyService(service("v1"), service("v1"), learned), null);
	t.match(applyService(service("v1"), service("v3"), learned), /sets the default variant to v3; the promoted v2/);
	t.equal(applyService(service("v1"), service("v3"), null), null);
	const without = service("v1", ["v1", "v3"]);
	const gone = "Variant v2, which was promoted, is declared no more; the default variant is v1.";
	t.equal(applyService(service("v1"), without, learned), gone);
	t.equal(applyService(without, service("v1"), learned), gone, "the declaration does not restore it");
});
