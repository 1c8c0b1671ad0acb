/** An Experiment that moves most people by its start alone is a promotion's: its right, its approvals, and the gates' override. */
import t from "tap";
import { experiment, file, METRIC, outcome, SERVICE } from "./employment.js";
import { operatorScene, TWO } from "./operatorScene.js";

const now = { dryRun: false };
const STEPS = "steps: [2%, 10%, 50%, 100%]";
const GATES =
	', gates: [{at: before-step, url: "https://ci.example/step"}, {at: before-promotion, url: "https://ci.example/end"}]}';

/** Without a goal, by which it would be promoted by itself (promotionDeclared.test.ts). @param weight of the challenger, against 1 */
const trial = (name: string, weight: number, steps: string, slot = "[0%, 100%]"): string =>
	experiment(name, slot)
		.replace("variant: v2, weight: 1", `variant: v2, weight: ${weight}`)
		.replace(/ {2}goal: .*\n/, "")
		.replace(STEPS, `steps: ${steps}`)
		.replace("minUnits: 500", "minUnits: 1");
const gated = (...trialOf: Parameters<typeof trial>): string =>
	trial(...trialOf).replace("alpha: 0.05}", `alpha: 0.05${GATES}`);

const scene = (t: Parameters<typeof operatorScene>[0], ...documents: readonly string[]) =>
	operatorScene(
		t,
		{ ada: "apply, abort", gina: "apply, promote, abort", carol: "approve", root: "admin" },
		...[METRIC, ...documents],
	);
const denied = (verb: string, share: string, more = "") => ({
	code: "permission-denied",
	message: new RegExp(
		`${verb} in namespace default, which it takes where a declaration moves up to ${share} of the people of Service employment away from Variant v1 as it is${more}$`,
	),
});

t.test("where a policy covers promotions it takes that right, and waits", async (t) => {
	const { owner, ada, gina, carol, store } = await scene(t);
	const sneaky = file(trial("sneaky", 100_000, "[100%]"));
	t.match(await ada.apply(sneaky, { dryRun: true }), { outcome: "applied" }, "where none does, nobody has to be asked");
	await owner.apply(file(TWO), now);
	await t.rejects(ada.apply(sneaky, now), denied("promote", "99\\.9991%"));
	await t.rejects(ada.apply(sneaky, { dryRun: true }), denied("promote", "99\\.9991%"));
	await t.rejects(
		ada.apply(file(trial("ladder", 2, "[1%, 50%, 80%]")), now),
		denied("promote", "53\\.3333%"),
		"by its steps",
	);
	const asked = await gina.apply(sneaky, now);
	t.match(asked, {
		outcome: "pending",
		request: {
			needs: 1,
			effects: [
				"created Experiment sneaky",
				"moves up to 99.9991% of the people of Service employment away from Variant v1 as it is",
			],
		},
	});
	t.equal(store.current.resources.experiments.length, 0);
	if (asked.outcome === "pending") t.match(await carol.approve(asked.request.id), { state: "done" });
	t.match(store.current.status.experiments, { sneaky: { phase: "Running", allocationPpm: 1_000_000 } });
});

t.test("an ordinary one waits for nobody, and none becomes more by apply alone", async (t) => {
	const { owner, ada } = await scene(t, TWO);
	t.match(await ada.apply(file(trial("even", 1, "[2%, 100%]")), now), { outcome: "applied" }, "a half is not more");
	t.match(await ada.apply(file(trial("even", 9, "[2%, 100%]")), now), {
		outcome: "refused",
		problems: [{ message: /weights would change/ }],
	});
	await owner.act("even", "abort");
	t.match(await ada.apply(file(trial("few", 99, "[2%, 50%]", "[0%, 40%]")), now), { outcome: "applied" });
	await t.rejects(
		ada.apply(file(trial("few", 99, "[2%, 100%]", "[0%, 40%]")), now),
		/makes a promotion .* easier: steps/,
	);
	t.match(await ada.apply(file(trial("more", 1, "[50%]", "[40%, 90%]")), now), { outcome: "applied" });
	const rest = file(trial("rest", 100_000, "[100%]", "[90%, 100%]"));
	t.match(await ada.apply(rest, { dryRun: true }), { outcome: "applied" }, "about 20 + 12.5 + 10 of 100");
	const all = [trial("rest", 100_000, "[100%]", "[90%, 95%]"), trial("last", 100_000, "[100%]", "[95%, 100%]")];
	t.match(await ada.apply(file(all.join("---\n")), now), { outcome: "applied" });
	await owner.act("few", "abort");
	await t.rejects(
		ada.apply(file(trial("again", 99, "[80%]", "[0%, 40%]")), now),
		denied("promote", "54\\.1799%"),
		"with those that run",
	);
});

t.test("people are moved away from the live default Variant, a promoted one too", async (t) => {
	const { owner, ada, store } = await scene(t, trial("first", 1, "[100%]"));
	const promotion = { arm: "boosted", variant: "v2", stepIndex: 0, takeoverPpm: 1_000_000 };
	const { status, revision } = store.current;
	const first = status.experiments.first;
	if (first === undefined) throw new Error("no first");
	await store.decide({
		experiment: "first",
		expectedRevision: revision,
		...{ by: "weir", atMs: Date.now(), input: null },
		outcome: outcome({ ...first, phase: "Promoted", promotion }, { defaultVariant: "v2" }),
	});
	await owner.apply(file(TWO), now);
	const back = trial("back", 1, "[100%]").replace("v1, weight: 1", "v1, weight: 9");
	await t.rejects(ada.apply(file(back), now), {
		message: /moves up to 90% of the people .* away from Variant v2 as it is$/,
	});
});

t.test("nor by several at once, or by one after another", async (t) => {
	const { ada } = await scene(t, TWO);
	const [low, high] = [trial("low", 100_000, "[100%]", "[0%, 50%]"), trial("high", 100_000, "[100%]", "[50%, 100%]")];
	await t.rejects(ada.apply(file(`${low}---\n${high}`), now), denied("promote", "99\\.9991%"));
	t.match(await ada.apply(file(low), now), { outcome: "applied" });
	await t.rejects(ada.apply(file(high), now), denied("promote", "99\\.9991%"));
});

t.test("past gates it takes what an override takes, for none is asked before a first step", async (t) => {
	const { owner, gina, root, store } = await scene(t, gated("first", 9, "[1%, 100%]"));
	t.match(await gina.apply(file(gated("beside", 1, "[1%]", "[0%, 100%]")), { dryRun: true }), { outcome: "refused" });
	await gina.act("first", "abort");
	const next = file(gated("next", 9, "[100%]"));
	const past = denied("admin", "90%", " before a gate is asked");
	await t.rejects(gina.apply(next, now), past);
	await t.rejects(gina.apply(next, { dryRun: true }), past);
	t.match(await gina.apply(file(gated("asked", 9, "[1%, 100%]")), now), { outcome: "applied" }, "its later steps ask");
	await gina.act("asked", "abort");
	t.match(await root.apply(next, now), { outcome: "applied" }, "an admin may");
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		objects: ["created Experiment next", /^moves up to 90% of .* before a gate is asked$/],
	});
	await owner.act("next", "abort");
	t.match(
		await gina.apply(file(gated("even", 1, "[100%]")), now),
		{ outcome: "applied" },
		"even arms are no promotion",
	);
});

t.test("gates before-promotion alone are asked of no step, so that all steps count", async (t) => {
	const late = (...of: Parameters<typeof trial>): string => gated(...of).replace(/\{at: before-step.*?\}, /, "");
	const { gina } = await scene(t, late("first", 1, "[1%, 100%]"));
	await gina.act("first", "abort");
	await t.rejects(
		gina.apply(file(late("next", 9, "[1%, 100%]")), now),
		denied("admin", "90%", " before a gate is asked"),
	);
	t.match(await gina.apply(file(late("next", 9, "[1%, 50%]")), now), { outcome: "applied" });
});

t.test("many even arms are no even test: they may all be one server", async (t) => {
	const { owner, ada } = await scene(t, TWO);
	const v2 = "    - {name: v2, endpoints: [{address: 127.0.0.1, port: 9002}]}\n";
	t.match(await owner.apply(file(SERVICE.replace(v2, v2 + v2.replace("v2", "v3").replace("9002", "9003"))), now), {
		outcome: "applied",
	});
	const three = (last: string): string =>
		trial("three", 1, `[2%, ${last}]`).replace("  rollout:", "    - {name: other, variant: v3, weight: 1}\n  rollout:");
	await t.rejects(ada.apply(file(three("100%")), now), denied("promote", "66\\.6667%"));
	const half = await ada.apply(file(three("75%")), now);
	t.match(half, { outcome: "applied" }, JSON.stringify(half));
});

t.test("parameters take people from what they have, as other Variants do, those of the baseline too", async (t) => {
	const { ada } = await scene(t, TWO);
	const arms = (control: string, boosted: string, last = "100%"): string =>
		trial("told", 1, `[2%, ${last}]`)
			.replace("weight: 1, baseline: true", `weight: 1, baseline: true${control}`)
			.replace("variant: v2, weight: 1", `variant: v1, ${boosted}`);
	const hot = 'parameters: {temp: "1"}';
	const cold = ', parameters: {temp: "0"}';
	await t.rejects(ada.apply(file(arms("", `weight: 100000, ${hot}`)), now), denied("promote", "99\\.9991%"));
	await t.rejects(ada.apply(file(arms(cold, `weight: 1, ${hot}`)), now), denied("promote", "100%"));
	t.match(await ada.apply(file(arms("", `weight: 1, ${hot}`)), { dryRun: true }), { outcome: "applied" });
	t.match(await ada.apply(file(arms(cold, `weight: 1, ${hot}`, "50%")), now), { outcome: "applied" });
});

t.test("nor by two applies: an edit of steps counts as a start with them does", async (t) => {
	const late = (...of: Parameters<typeof trial>): string => gated(...of).replace(/\{at: before-step.*?\}, /, "");
	const { gina, root, store } = await scene(t, late("first", 9, "[1%, 100%]"));
	await gina.act("first", "abort");
	t.match(await gina.apply(file(late("next", 9, "[1%, 50%]")), now), { outcome: "applied" });
	const all = file(late("next", 9, "[1%, 50%, 100%]"));
	const past = denied("admin", "90%", " before a gate is asked");
	await t.rejects(gina.apply(all, now), past);
	await t.rejects(gina.apply(all, { dryRun: true }), past);
	t.match(await gina.apply(file(late("next", 9, "[1%, 50%, 55%]")), now), { outcome: "applied" }, "49.5 of 100");
	t.match(await root.apply(all, now), { outcome: "applied" }, "an admin may");
	t.match(store.audit.page(0, 1_000).records.at(-1), {
		objects: [
			"configured Experiment next: spec.rollout.steps",
			/^moves up to 90% of .* before a gate is asked$/,
			"makes a promotion by Experiment next easier: steps",
		],
	});
	t.match(
		await gina.apply(file(late("next", 9, "[1%, 20%, 50%, 100%]")), now),
		{ outcome: "applied" },
		"no more than it was",
	);
});

t.test(
	"what a gate before-step is asked for is asked of an edit too: what is live already is all that is not",
	async (t) => {
		const { owner, gina, store } = await scene(t, gated("first", 9, "[1%, 50%]"));
		t.match(await gina.apply(file(gated("first", 9, "[1%, 50%, 100%]")), now), { outcome: "applied" });
		t.match(
			await gina.apply(file(gated("first", 9, "[100%]")), now),
			{ outcome: "applied" },
			"after 1 % it asks for 100",
		);
		t.match(store.current.status.experiments, { first: { stepIndex: -1, allocationPpm: 10_000 } });
		await owner.act("first", "abort");
		await owner.apply(file(TWO), now);
		t.match(await gina.apply(file(gated("next", 9, "[1%, 50%]")), now), { outcome: "applied" }, "45 of 100");
		const asked = await gina.apply(file(gated("next", 9, "[1%, 50%, 100%]")), now);
		t.match(asked, {
			outcome: "pending",
			request: {
				effects: [
					"configured Experiment next: spec.rollout.steps",
					"moves up to 90% of the people of Service employment away from Variant v1 as it is",
					"makes a promotion by Experiment next easier: steps",
				],
			},
		});
	},
);
