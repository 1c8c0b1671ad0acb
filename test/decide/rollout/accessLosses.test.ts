/** Promotions that a person decides: those that would deny callers, and those after or beside another of the Service. */
import t from "tap";
import { accessLosses } from "../../../src/decide/rollout/accessLosses.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import type { DecisionInput } from "../../../src/decide/rollout/decision.js";
import { beingPromoted, otherPromotions, promotedBefore } from "../../../src/decide/rollout/otherPromotion.js";
import { commandOutcome } from "../../../src/decide/rollout/person.js";
import { recompute } from "../../../src/decide/rollout/recompute.js";
import { RecordedOutcomes } from "../../../src/decide/rollout/recordedOutcomes.js";
import { accessPolicy, resourceSet, service, variant } from "../../fixtures/resources.js";
import { evidence, experiment, input, LAST_STEP, ROLLOUT, status } from "./example.js";

const GOOD = { control: { n: 6_000, accuracy: 0.78 }, boosted: { n: 6_000, accuracy: 0.83 } };
const LOSS = "AccessPolicy all-may-v1 allows v1 and not v2";
const ready = (change: Partial<DecisionInput> = {}) =>
	input({ status: status(LAST_STEP), evidence: evidence(GOOD), ...change });
const all = (variants: readonly string[], name = "all-may-v1") =>
	accessPolicy(name, "allow", ["employment"], { principals: ["*"], variants });
const set = (...accessPolicies: ReturnType<typeof accessPolicy>[]) =>
	resourceSet({
		services: [service("employment", [variant("v1", 1), variant("v2", 2), variant("v3", 3)], { access: null })],
		accessPolicies,
	});

t.test("Weir begins no promotion that would deny callers", (t) => {
	t.equal(decide(ready()).action, "promote");
	const made = ready({ accessLosses: { boosted: LOSS } });
	const held = decide(made);
	t.match(held, {
		...{ action: "hold", rule: "access", waitsFor: "person", status: { phase: "Running", promotion: null } },
		reason: new RegExp(`^Holding at 100%: .*${LOSS}; .*--shut-out`),
		summary: new RegExp(`^boosted would be ready, but ${LOSS}; `),
	});
	t.equal(decide(ready({ accessLosses: { other: LOSS } })).action, "promote", "another arm");
	const decision = { experiment: "main", sequence: 1, atMs: 1, by: "weir", input: made, outcome: held };
	t.equal(recompute({ ...decision, acknowledgedAtMs: null })?.matches, true, "from its stored input alone");
	t.end();
});

t.test("a hold for denied callers ends with maxDuration, without blame on the new version", async (t) => {
	const late = { rollout: { ...ROLLOUT, maxDurationMs: 1_000 } };
	const ended = decide(ready({ experiment: experiment(["boosted"], late), accessLosses: { boosted: LOSS } }));
	t.match(ended, {
		action: "roll-back",
		rule: "max-duration",
		reason: /no promotion after .*AccessPolicy all-may-v1/,
	});
	t.match(ended.summary, /, and in 100 s no one promoted it: v1 stays\.$/);
});

t.test("the hold for denied callers is recorded once, and again for other losses", async (t) => {
	const recorded = new RecordedOutcomes();
	const held = (policies: readonly string[]) => decide(ready({ accessLosses: { boosted: policies.join() } }));
	t.notOk(recorded.has("main", held(["a", "b"]), 1));
	recorded.add("main", held(["a", "b"]), 1);
	t.ok(recorded.has("main", held(["a", "b"]), 2));
	t.notOk(recorded.has("main", held(["b"]), 2_000));
	const waiting = (beingPromoted: string) => decide(ready({ beingPromoted }));
	recorded.add("main", waiting("one"), 3);
	t.ok(recorded.has("main", waiting("one"), 1_003));
	t.notOk(recorded.has("main", waiting("another"), 1_003), "the cause has changed");
	const both = [waiting("one"), waiting("another")];
	for (const paceMs of [1_000, 5_000, 60_000]) {
		const changing = new RecordedOutcomes();
		let records = 0;
		for (let atMs = 0; atMs < 86_400_000; atMs += paceMs) {
			const one = both[(atMs / paceMs) % 2];
			if (one === undefined || changing.has("main", one, atMs)) continue;
			changing.add("main", one, atMs);
			records++;
		}
		t.ok(records < 20 + 24 * 31, `${records} records a day of names that change every ${paceMs} ms`);
	}
	const mending = new RecordedOutcomes();
	for (let left = 20; left > 0; left--) {
		const named = held(Array.from({ length: left }, (_, index) => `p${index}`));
		t.notOk(mending.has("main", named, (20 - left) * 30_000), "an operator corrects one policy after the other");
		mending.add("main", named, (20 - left) * 30_000);
	}
});

t.test("a person's promotion that denies callers needs --shut-out, and the decision records it", (t) => {
	const by = (shutOut: boolean, losses: Readonly<Record<string, string>>, change: Parameters<typeof status>[0] = {}) =>
		commandOutcome(
			{ experiment: experiment(), status: status(change), by: "ada", nowMs: 7_000, accessLosses: losses },
			{ verb: "promote", arm: null, shutOut },
		);
	t.throws(() => by(false, { boosted: LOSS }), {
		...{ code: "failed-precondition", message: LOSS, hint: /--shut-out --reason WHY$/ },
	});
	const meant = by(true, { boosted: LOSS });
	t.equal(meant.action, "promote");
	t.match(meant.reason, `Arm boosted promoted by ada at 20%, although ${LOSS}; it takes`);
	t.notMatch(by(true, {}).reason, /although/);
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 1, heldBackFromMs: 1 };
	t.equal(
		by(false, { boosted: LOSS }, { phase: "Promoting", promotion }).action,
		"complete",
		"the Variant is already the default",
	);
	t.end();
});

t.test("abort explains how to undo a promotion, which applying an unchanged file does not do", async (t) => {
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
	const ended = { experiment: experiment(), status: status({ phase: "Promoted", promotion }), by: "ada", nowMs: 7 };
	t.throws(() => commandOutcome(ended, { verb: "abort" }), {
		code: "failed-precondition",
		hint: /leaves the Service's defaultVariant as it is keeps what was promoted; .* with defaultVariant: v2, then with the one/,
	});
});

t.test("callers lose access by a policy that allows only the default Variant or denies only the arm's", (t) => {
	const two = experiment(["boosted", "third"]);
	const losses = (policies: ReturnType<typeof accessPolicy>[], defaultVariant = "v1") =>
		accessLosses({ resources: set(...policies), status: { services: { employment: { defaultVariant } } } }, two);
	t.match(losses([all(["v1", "v3"])]), { boosted: LOSS });
	t.same(losses([all(["v1", "v2", "v3"])]), {});
	t.same(losses([all(["v1", "v3"])], "v2"), {}, "these callers are already denied");
	t.match(losses([all(["v1", "v3"])], "v9"), { boosted: LOSS }, "a default that is no longer declared");
	t.same(
		losses([accessPolicy("all", "allow", ["employment"], { principals: ["*"] })]),
		{},
		"the policy names no Variant",
	);
	const deny = (mode: "enforce" | "shadow") => accessPolicy("no", "deny", ["employment"], { variants: ["v3"], mode });
	t.match(losses([deny("enforce")]), { third: /AccessPolicy no denies v3 and not v1$/, boosted: undefined });
	t.same(losses([deny("shadow")]), {});
	t.same(accessLosses({ resources: resourceSet({}), status: { services: {} } }, two), {});
	t.end();
});

t.test("no promotion begins while another Experiment of the Service is being promoted", async (t) => {
	const named = (name: string) => {
		const one = experiment();
		return { ...one, metadata: { ...one.metadata, name } };
	};
	const [one, other] = [named("one"), named("other")];
	const resources = { ...set(), experiments: [one, other] };
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
	const found = (change: Parameters<typeof status>[0]) =>
		beingPromoted({ resources, status: { services: {}, experiments: { other: status(change) } } }, one);
	t.equal(found({ phase: "Promoting", promotion }), "other");
	t.equal(found({ phase: "Running" }), null);
	t.equal(
		found({ phase: "Promoting", promotion: { ...promotion, heldBackFromMs: 1 } }),
		"other",
		"it may be taken back",
	);
	t.equal(found({ phase: "Promoted", promotion }), null);
	t.equal(beingPromoted({ resources, status: { services: {}, experiments: {} } }, one), null);
	const made = ready({ beingPromoted: "other" });
	const held = decide(made);
	t.match(held, {
		action: "hold",
		rule: "concurrent",
		waitsFor: "promotion",
		reason: /^Holding at 100%: .* Experiment other of the same Service is being promoted/,
		summary: /^boosted would be ready, .*\(other\) is being promoted/,
	});
	const short = experiment(["boosted"], { rollout: { ...ROLLOUT, maxDurationMs: 1_000 } });
	t.match(decide({ ...made, experiment: short }), { action: "hold", rule: "concurrent" }, "the promotion is proved");
	const frozen = { ...made, status: { ...made.status, frozenHarms: ["boosted|error-rate|guardrail"] } };
	t.match(decide({ ...frozen, beingPromoted: undefined as never }), { rule: "harm", waitsFor: "person" });
	t.match(decide(frozen), { rule: "concurrent" }, "an operator cannot promote it either");
	t.throws(
		() =>
			commandOutcome(
				{ experiment: one, status: status(), by: "ada", nowMs: 7, beingPromoted: "other" },
				{ verb: "promote", arm: null },
			),
		{
			code: "failed-precondition",
			message: /^Experiment other of the same Service is being promoted/,
			hint: /weir promote other .*weir abort other /,
		},
	);
	const decision = { experiment: "main", sequence: 1, atMs: 1, by: "weir", input: made, outcome: held };
	t.equal(recompute({ ...decision, acknowledgedAtMs: null })?.matches, true);
});

t.test("Weir does not replace the winner of another Experiment: the two were not compared", async (t) => {
	const replaces = "v3";
	t.match(decide(ready({ replaces })), {
		action: "hold",
		rule: "concurrent",
		waitsFor: "person",
		reason: /proved against variant v1, but variant v3 is the Service's default by now/,
		summary: /^boosted is better than v1, but all users get v3 /,
	});
	t.equal(decide(ready({ replaces: "v2" })).action, "promote", "the baseline is the winner's own Variant");
	const late = experiment(["boosted"], { rollout: { ...ROLLOUT, maxDurationMs: 1_000 } });
	t.match(decide(ready({ replaces, experiment: late })).summary, /, and in 100 s no one promoted it: v3 stays\.$/);
	const over = status({ ...LAST_STEP, phase: "Paused", hold: "inconclusive" });
	t.match(
		decide(ready({ replaces, status: over })).summary,
		/: its time ended, and its old version is no longer the default\.$/,
	);
	t.match(decide(ready({ beingPromoted: "other", status: over })), {
		reason: /a person may resume or abort, and promote when Experiment other has ended\.$/,
		summary: /: its time ended without a clear result\.$/,
	});
	const state = (defaultVariant?: string) => ({
		resources: set(),
		status: { experiments: {}, services: defaultVariant === undefined ? {} : { employment: { defaultVariant } } },
	});
	t.equal(promotedBefore(state(), experiment()), null);
	const own = { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 950_000 };
	t.same(otherPromotions(state("v2"), experiment(), { promotion: own }), { replaces: "v2" });
	const heldBack = { promotion: { ...own, heldBackFromMs: 1 } };
	t.same(otherPromotions(state("v2"), experiment(), heldBack), {}, "the winner is its own Variant");
	t.equal(promotedBefore(state("v3"), experiment()), "v3");
	const act = { experiment: experiment(), status: status(), by: "ada", nowMs: 7_000, replaces };
	t.match(commandOutcome(act, { verb: "promote", arm: null }), {
		action: "promote",
		reason: /though nothing proves boosted better than variant v3/,
	});
});
