/** A promotion that would shut out callers of the default Variant: held with the policies' names, or meant by a person. */
import t from "tap";
import { compile, NO_COLLECTORS } from "../../src/compiler/compile.js";
import type { Experiment } from "../../src/resources/resource.js";
import { decide } from "../../src/rollout/decide.js";
import type { DecisionInput, ShutOut } from "../../src/rollout/decision.js";
import { beingPromoted, otherPromotions, promotedBefore } from "../../src/rollout/otherPromotion.js";
import { actByPerson } from "../../src/rollout/person.js";
import { recompute } from "../../src/rollout/recompute.js";
import { RecordedOutcomes } from "../../src/rollout/recordedOutcomes.js";
import { askShutOut, shutOutWarnings } from "../../src/rollout/shutOut.js";
import { EMPTY_STATUS } from "../../src/rollout/status.js";
import { accessPolicy, resourceSet, service, variant } from "../fixtures/resources.js";
import { evidence, experiment, input, LAST_STEP, ROLLOUT, status } from "./example.js";

const GOOD = { control: { n: 6_000, accuracy: 0.78 }, boosted: { n: 6_000, accuracy: 0.83 } };
const BOOSTED: ShutOut = { from: "v1", to: "v2", policies: ["all-may-v1"], more: 0 };
const shutOuts = (state: Parameters<typeof askShutOut>[0], of: Experiment, nowMs: number) =>
	Object.fromEntries(
		of.spec.arms.flatMap(({ name }) => {
			const found = askShutOut(state, of, name, nowMs).answer();
			return found === null ? [] : [[name, found]];
		}),
	);
const ready = (change: Partial<DecisionInput> = {}) =>
	input({ status: status(LAST_STEP), evidence: evidence(GOOD), ...change });
const all = (variants: readonly string[], name = "all-may-v1") =>
	accessPolicy(name, "allow", ["employment"], { principals: ["*"], variants });
const set = (...accessPolicies: ReturnType<typeof accessPolicy>[]) =>
	resourceSet({
		services: [service("employment", [variant("v1", 1), variant("v2", 2), variant("v3", 3)], { access: null })],
		accessPolicies,
	});

t.test("Weir begins none: it says which policy it is, and what to do", async (t) => {
	t.equal(decide(ready()).action, "promote");
	const held = decide(ready({ shutOuts: { boosted: BOOSTED } }));
	t.match(held, {
		action: "hold",
		rule: "access",
		waitsFor: "access",
		status: { phase: "Running" },
		reason:
			"Holding at 100%: every claim of arm boosted is proved, but by AccessPolicy all-may-v1 requests may use variant v1, the Service's default, that may not use v2, and would be refused outside of the Experiment; let AccessPolicies say of v2 what they say of v1 (an allow: name both in its variants) and it goes on by itself; a person may promote it all the same (--shut-out --reason WHY).",
		summary:
			"boosted would be ready, but callers outside of the Experiment would be refused: AccessPolicy all-may-v1 lets requests use v1 that may not use v2; let AccessPolicies say of v2 what they say of v1 (an allow: name both in its variants), and it goes on by itself. A person may promote it all the same.",
	});
	t.equal(held.status.promotion, null);
	t.equal(decide(ready({ shutOuts: { other: BOOSTED } })).action, "promote", "another arm's matter");
	const many = decide(ready({ shutOuts: { boosted: { ...BOOSTED, policies: ["a", "b"], more: 3 } } }));
	t.match(many.summary, /AccessPolicy a, b and 3 more lets/);
	const made = ready({ shutOuts: { boosted: BOOSTED } });
	const decision = { experiment: "main", sequence: 1, atMs: 1, by: "weir", input: made, outcome: decide(made) };
	t.equal(recompute({ ...decision, acknowledgedAtMs: null })?.matches, true, "from its stored input alone");
});

t.test("it ends with maxDuration, which says nothing against the new version", async (t) => {
	const late = { rollout: { ...ROLLOUT, maxDurationMs: 1_000 } };
	const ended = decide(ready({ experiment: experiment(["boosted"], late), shutOuts: { boosted: BOOSTED } }));
	t.match(ended, { action: "roll-back", rule: "max-duration", reason: /no promotion after .*AccessPolicy all-may-v1/ });
	t.match(
		ended.summary,
		/^Everybody is back on the old version, which says nothing against the new one: nobody promoted/,
	);
});

t.test("it is recorded once, and again when it names something else", async (t) => {
	const recorded = new RecordedOutcomes();
	const held = (policies: readonly string[]) => decide(ready({ shutOuts: { boosted: { ...BOOSTED, policies } } }));
	t.notOk(recorded.has("main", held(["a", "b"]), 1));
	recorded.add("main", held(["a", "b"]), 1);
	t.ok(recorded.has("main", held(["a", "b"]), 2));
	t.notOk(recorded.has("main", held(["b"]), 2_000));
	const waiting = (beingPromoted: string) => decide(ready({ beingPromoted }));
	recorded.add("main", waiting("one"), 3);
	t.ok(recorded.has("main", waiting("one"), 1_003));
	t.notOk(recorded.has("main", waiting("another"), 1_003), "it waits for another now");
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
		t.notOk(mending.has("main", named, (20 - left) * 30_000), "a person mends one policy after the other");
		mending.add("main", named, (20 - left) * 30_000);
	}
});

t.test("a person is refused, unless it is said to be meant, and the decision tells of it", async (t) => {
	const by = (shutOut: boolean, found: Readonly<Record<string, ShutOut>> = { boosted: BOOSTED }) =>
		actByPerson(
			{
				experiment: experiment(),
				status: status(),
				by: "ada",
				nowMs: 7_000,
				shutOutBy: (arm: string) => found[arm] ?? null,
			},
			{ verb: "promote", arm: null, shutOut },
		);
	t.throws(() => by(false), {
		code: "failed-precondition",
		message:
			"by AccessPolicy all-may-v1 requests may use variant v1, the Service's default, that may not use v2: outside of the Experiment they would be refused",
		hint: /^let AccessPolicies say of v2 what they say of v1 .*; or promote it all the same: --shut-out --reason WHY$/,
	});
	t.match(by(true), {
		action: "promote",
		reason:
			/^Arm boosted promoted by ada at 20%, though by AccessPolicy all-may-v1 requests may use variant v1, .*; it takes/,
	});
	t.notMatch(by(true, {}).reason, /though/);
	const holding = status({
		phase: "Promoting",
		promotion: { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 1, heldBackFromMs: 1 },
	});
	const end = { experiment: experiment(), status: holding, by: "ada", nowMs: 7_000, shutOutBy: () => BOOSTED };
	t.equal(actByPerson(end, { verb: "promote", arm: null }).action, "complete", "it is the default already");
});

t.test("the way back from a promotion is told: an apply of what was never changed is none", async (t) => {
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 3, takeoverPpm: 1_000_000 };
	const ended = { experiment: experiment(), status: status({ phase: "Promoted", promotion }), by: "ada", nowMs: 7 };
	t.throws(() => actByPerson(ended, { verb: "abort" }), {
		code: "failed-precondition",
		hint: /leaves the Service's defaultVariant as it is keeps what was promoted; .* with defaultVariant: v2, then with the one/,
	});
});

t.test("each challenger is judged against the default Variant of now", async (t) => {
	const two = experiment(["boosted", "third"]);
	const declared = { resources: set(all(["v1", "v3"])), status: EMPTY_STATUS };
	t.same(shutOuts(declared, two, 0), { boosted: BOOSTED });
	const promoted = { ...declared, status: { experiments: {}, services: { employment: { defaultVariant: "v2" } } } };
	t.same(shutOuts(promoted, two, 0), {}, "of who may not use v2 nobody is shut out");
	const gone = { ...declared, status: { experiments: {}, services: { employment: { defaultVariant: "v9" } } } };
	t.same(shutOuts(gone, two, 0), { boosted: BOOSTED }, "a promoted one that is declared no more does not serve");
	const many = Array.from({ length: 7 }, (_, index) => all(["v1"], `p${index}`));
	t.match(shutOuts({ ...declared, resources: set(...many) }, two, 0).boosted, {
		policies: ["p0", "p1", "p2", "p3", "p4"],
		more: 2,
	});
	t.same(shutOuts({ ...declared, resources: resourceSet({}) }, two, 0), {});
	t.same(
		shutOutWarnings(declared, [two], 0).map(({ because }) => because),
		[
			"boosted will not be promoted by itself: by AccessPolicy all-may-v1 requests may use variant v1, the Service's default, that may not use v2; let AccessPolicies say of v2 what they say of v1 (an allow: name both in its variants)",
		],
	);
	t.same(
		shutOutWarnings(declared, [experiment(["boosted"], { goal: null })], 0),
		[],
		"without a goal a person promotes",
	);
});

t.test("while another Experiment of the Service is being promoted, no promotion begins there", async (t) => {
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
		reason:
			"Holding at 100%: every claim of arm boosted is proved, but Experiment other of the same Service is being promoted; it waits for the end of that.",
		summary:
			"boosted would be ready, but another Experiment of the Service (other) is being promoted; it waits for the end of that.",
	});
	const short = experiment(["boosted"], { rollout: { ...ROLLOUT, maxDurationMs: 1_000 } });
	t.match(decide({ ...made, experiment: short }), { action: "hold", rule: "concurrent" }, "the verdict is there");
	const frozen = { ...made, status: { ...made.status, frozenHarms: ["boosted|error-rate|guardrail"] } };
	t.match(decide({ ...frozen, beingPromoted: undefined as never }), { rule: "harm", waitsFor: "person" });
	t.match(decide(frozen), { rule: "concurrent" }, "a person may not promote it now either");
	t.throws(
		() =>
			actByPerson(
				{ experiment: one, status: status(), by: "ada", nowMs: 7, beingPromoted: "other" },
				{ verb: "promote", arm: null },
			),
		{
			code: "failed-precondition",
			message: /^Experiment other of the same Service is being promoted/,
			hint: "wait for its end; weir promote other ends a holdback, weir abort other takes its winner back",
		},
	);
	const decision = { experiment: "main", sequence: 1, atMs: 1, by: "weir", input: made, outcome: held };
	t.equal(recompute({ ...decision, acknowledgedAtMs: null })?.matches, true);
});

t.test("what another Experiment promoted meanwhile is not replaced by Weir: nothing compares the two", async (t) => {
	const replaces = "v3";
	t.match(decide(ready({ replaces })), {
		action: "hold",
		rule: "concurrent",
		waitsFor: "person",
		reason:
			"Holding at 100%: every claim of arm boosted is proved against variant v1, but variant v3 is the Service's default by now, against which nothing is proved (a new Experiment would tell); a person may promote.",
		summary:
			"boosted is better than v1, but v3 is the version for everybody by now, and it is not proved to be better than that. A person may promote it all the same.",
	});
	t.equal(decide(ready({ replaces: "v2" })).action, "promote", "it is the winner's own Variant");
	const late = experiment(["boosted"], { rollout: { ...ROLLOUT, maxDurationMs: 1_000 } });
	t.match(
		decide(ready({ replaces, experiment: late })).summary,
		/^Everybody is back on v3, which says nothing against the new one: the new one was not promoted/,
	);
	const over = status({ ...LAST_STEP, phase: "Paused", hold: "inconclusive" });
	t.match(
		decide(ready({ replaces, status: over })).summary,
		/: its time ended, and its old version is not everybody's any more\.$/,
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
	t.same(otherPromotions(state("v2"), experiment(), heldBack), {}, "it is its own");
	t.equal(promotedBefore(state("v3"), experiment()), "v3");
	const act = { experiment: experiment(), status: status(), by: "ada", nowMs: 7_000, replaces };
	t.match(actByPerson(act, { verb: "promote", arm: null }), {
		action: "promote",
		reason:
			/, though nothing proves boosted better than variant v3, which is the Service's default by now; it takes over/,
	});
});

t.test("where there are too many policies to tell it holds and says so; a person may mean it", async (t) => {
	const many = ["v1", "v2"].flatMap((to) =>
		Array.from({ length: 1_000 }, (_, at) =>
			accessPolicy(`${to}-${at}`, "allow", ["employment"], { principals: ["*"], groups: [`g${at}`], variants: [to] }),
		),
	);
	const state = { resources: set(...many), status: EMPTY_STATUS };
	const found = shutOuts(state, experiment(), 0);
	t.same(found, { boosted: { from: "v1", to: "v2", policies: [], more: 0, tooMany: true } });
	const words =
		"there are too many AccessPolicies to tell whether requests may use variant v1, the Service's default, that may not use v2";
	const cure = "let fewer AccessPolicies tell v1 and v2 apart (one for both: name both in its variants)";
	t.match(decide(ready({ shutOuts: found })), {
		action: "hold",
		waitsFor: "access",
		reason: `Holding at 100%: every claim of arm boosted is proved, but ${words}, and would be refused outside of the Experiment; ${cure} and it goes on by itself; a person may promote it all the same (--shut-out --reason WHY).`,
		summary: `boosted would be ready, but whether callers outside of the Experiment would be refused cannot be told: there are too many AccessPolicies; ${cure}, and it goes on by itself. A person may promote it all the same.`,
	});
	const asked = {
		experiment: experiment(),
		status: status(),
		by: "ada",
		nowMs: 7_000,
		shutOutBy: (arm: string) => found[arm] ?? null,
	};
	t.throws(() => actByPerson(asked, { verb: "promote", arm: null }), {
		message: `${words}: outside of the Experiment they would be refused`,
		hint: `${cure}; or promote it all the same: --shut-out --reason WHY`,
	});
	t.equal(actByPerson(asked, { verb: "promote", arm: null, shutOut: true }).action, "promote");
	t.match(shutOutWarnings(state, [experiment()], 0), [
		{ because: `boosted will not be promoted by itself: ${words}; ${cure}` },
	]);
});

t.test("two Variants are judged once for all Experiments, and no plan for Envoys judges them", async (t) => {
	const declared = set(all(["v1"]));
	const warned = (count: number) => {
		let read = 0;
		// Another one each time: what has been answered of the same rules is known.
		const policy = all(["v1"], `all-of-${count}-may-v1`);
		const counted = {
			...policy,
			get spec() {
				read++;
				return policy.spec;
			},
		};
		const state = { resources: { ...declared, accessPolicies: [counted] }, status: EMPTY_STATUS };
		const told = shutOutWarnings(
			state,
			Array.from({ length: count }, () => experiment()),
			0,
		);
		t.equal(told.length, count);
		return read;
	};
	const once = warned(1);
	t.ok(once > 0);
	t.equal(warned(5), once);
	const plan = compile({ ...declared, experiments: [experiment()] }, EMPTY_STATUS, { collectors: NO_COLLECTORS });
	t.same(
		plan.rules.filter(({ rule }) => rule.endsWith("promotion")),
		[],
	);
});
