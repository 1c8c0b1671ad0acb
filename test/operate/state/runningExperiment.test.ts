/** A change of anything that a running Experiment depends on needs `promote`, and waits where promotions wait. */
import t from "tap";
import { experiment, file, METRIC, SERVICE } from "../employment.js";
import { operatorScene, TWO } from "../operatorScene.js";

const now = { dryRun: false };
const try_ = { dryRun: true };
const edited = (steps: string, more = ""): string =>
	experiment("boosted").replace("[2%, 10%, 50%, 100%]", `[${steps}]`).replace("alpha: 0.05", `alpha: 0.05${more}`);
/** Each changes what people get, or what the Experiment is judged by. */
const CHANGES = {
	"its spec": edited("2%, 10%, 50%, 100%", ", maxDuration: 1d"),
	"its steps": edited("2%, 100%"),
	"its Service's default Variant": SERVICE.replace("defaultVariant: v1", "defaultVariant: v2"),
	"a Metric that judges it": METRIC.replace("{type", '{senders: ["spiffe://weir.test/sender"], type'),
};

const scene = (t: Parameters<typeof operatorScene>[0]) =>
	operatorScene(
		t,
		{ ada: "apply", bob: "apply, promote", carol: "approve" },
		METRIC,
		METRIC.replace("accuracy", "other"),
		experiment("boosted"),
	);

t.test("a change of a running Experiment is refused with apply alone, and immediate with promote", async (t) => {
	const { ada, bob } = await scene(t);
	for (const [what, text] of Object.entries(CHANGES)) {
		await t.rejects(
			ada.apply(file(text), try_),
			{
				code: "permission-denied",
				message: /ada needs the verb promote in namespace default to change .* of Experiment boosted, which is running/,
			},
			what,
		);
		// The checks want the baseline on the default Variant, so that this one change needs more than a right.
		const outcome = what.includes("default Variant") ? "refused" : "applied";
		t.match(await bob.apply(file(text), try_), { outcome }, what);
	}
	const unrelated = [
		`# a comment\n${experiment("boosted")}`,
		SERVICE.replace("9001", "9009"),
		METRIC.replace("accuracy", "other").replace("1s", "2s"),
	];
	for (const text of unrelated) t.match(await ada.apply(file(text), try_), { outcome: "applied" }, text);
});

t.test("a change of a running Experiment waits if promotions wait, and reports why", async (t) => {
	const { bob, carol, owner, store } = await scene(t);
	await owner.apply(file(TWO), now);
	for (const what of ["its steps", "a Metric that judges it"] as const)
		t.match(await bob.apply(file(CHANGES[what]), try_), { approvals: 1 }, what);
	const asked = await bob.apply(file(CHANGES["its spec"]), now);
	t.match(asked, {
		outcome: "pending",
		request: {
			needsIn: { default: 1 },
			effects: [
				"configured Experiment boosted: spec.rollout.maxDuration",
				"needs promote to change the spec of Experiment boosted, which is running",
			],
		},
	});
	if (asked.outcome !== "pending") return;
	t.match(await carol.approve(asked.request.id), { state: "done" });
	t.equal(store.current.resources.experiments[0]?.spec.rollout.maxDurationMs, 86_400_000);
});

t.test("a smaller allocation needs no approval, nor do changes that no running Experiment uses", async (t) => {
	const { ada, bob, owner, store } = await scene(t);
	await owner.apply(file(TWO), now);
	const live = store.current.status.experiments.boosted;
	t.equal(live?.allocationPpm, 20_000);
	t.match(await ada.apply(file(edited("1%")), try_), { outcome: "applied", approvals: 0 });
	await t.rejects(ada.apply(file(edited("1%, 3%")), try_), { code: "permission-denied" }, "it would go further again");
	await t.rejects(ada.apply(file(edited("1%", ", maxDuration: 1d")), try_), { code: "permission-denied" });
	t.match(await bob.act("boosted", "pause"), { outcome: "done" });
	await t.rejects(ada.apply(file(CHANGES["its steps"]), try_), { code: "permission-denied" }, "a paused one runs on");
	await owner.act("boosted", "abort");
	const moved = file(CHANGES["its Service's default Variant"]);
	t.match(await ada.apply(moved, now), { outcome: "applied" }, "once it is over");
});
