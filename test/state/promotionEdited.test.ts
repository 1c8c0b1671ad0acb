/** Edits of a running Experiment, or of its Service, that move people otherwise than was declared: steps, bandit, what harm waits for. */
import t from "tap";
import type { Experiment } from "../../src/resources/resource.js";
import { initialStatus } from "../../src/rollout/status.js";
import { promotionsEased } from "../../src/state/consequences/promotionEased.js";
import { resourceSet } from "../fixtures/resources.js";
import { eased, metrics, parsed, text } from "./edits.js";
import { experiment as document, file, METRIC, outcome, SERVICE } from "./employment.js";
import { mutualApi, operator } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";
import { TWO } from "./operatorScene.js";

const now = { dryRun: false };

t.test(
	"a takeover goes through all steps anew, so that none that is past may go, nor a holdback reach down to one",
	async (t) => {
		t.equal(eased(text(), text("steps: [10%, 50%]"), 100_000), "steps", "by which it would begin with 10 %");
		t.equal(eased(text(), text("steps: [50%]"), 500_000), "steps");
		t.equal(eased(text(), text("steps: [1%, 2%, 10%, 50%]"), 500_000), "", "it goes through one more");
		t.equal(
			eased(text(), text("steps: [0.5%, 1%, 1.5%, 2%]"), 20_000),
			"steps",
			"as many, after which it would go from 2 % to all",
		);
		const all = text("steps: [2%, 50%, 100%]");
		t.equal(eased(all, text("steps: [50%]"), 20_000, "Promoting"), "", "the next one stays, and all at the end");
		t.equal(eased(all, text("steps: [2%, 60%]"), 20_000, "Promoting"), "steps", "it would go from 2 % to 60");
		t.equal(eased(all, text("steps: [2%, 30%, 50%, 60%, 100%]"), 20_000, "Promoting"), "");
		// By which the default Variant is switched at once.
		const held = (share: string) => text(`steps: [2%, 50%, 60%], holdback: {share: ${share}, for: 1h}`);
		for (const [share, takeoverPpm, told] of [
			["39%", 20_000, ""],
			["40%", 20_000, "holdback"],
			["40%", 600_000, ""],
			["50%", 20_000, "holdback"],
		] as const) {
			t.equal(eased(held("5%"), held(share), takeoverPpm, "Promoting"), told, `${share} after ${takeoverPpm} ppm`);
		}
		t.equal(eased(held("5%"), held("40%")), "holdback", "one that is to come");
		t.equal(eased(held("45%"), text("steps: [2%, 50%], holdback: {share: 45%, for: 1h}")), "steps", "the ramp's last");
		t.equal(
			eased(held("45%"), text("steps: [2%, 50%], holdback: {share: 45%, for: 1h}"), 20_000, "Promoting"),
			"",
			"a step in what is held back",
		);
	},
);

t.test("an edit of steps that lowers what is live takes what an abort takes, under a pause too", async (t) => {
	const out = (to: string, from = "2%") => `takes people out of Experiment trial: steps, from ${from} to ${to}`;
	for (const phase of ["Running", "Paused"] as const) {
		t.equal(eased(text(), text("steps: [2%, 10%]"), 500_000, phase), `steps; ${out("10%", "50%")}`);
		t.equal(eased(text(), text("steps: [0.0002%]"), 500_000, phase), `steps; ${out("0.0002%", "50%")}`);
		t.equal(
			eased(text("steps: [10%, 50%]"), text("steps: [1%, 10%, 50%]"), 20_000, phase),
			out("1%"),
			"it is at no step",
		);
		t.equal(eased(text(), text("steps: [2%, 20%, 50%]"), 20_000, phase), "steps");
	}
	t.equal(eased(text(), text("steps: [10%]"), 500_000, "Promoting"), "", "a takeover goes back by none");

	const { owner, as, store } = await mutualApi(t);
	const verbs = {
		ada: "apply",
		pam: "apply, promote",
		bob: "apply, abort",
		al: "apply, promote, abort",
		carol: "approve",
	};
	const people = Object.entries(verbs).map(([name, verbs]) => binding(name, verbs, [name], "[default]"));
	const trial = (steps: string) => document("boosted").replace("steps: [2%, 10%, 50%, 100%]", `steps: [${steps}]`);
	await owner.apply(
		file([SERVICE, METRIC, trial("100%"), TWO.replace("[promote]", "[abort]"), ...people].join("---\n")),
		now,
	);
	const [ada, pam, bob, al, carol] = await Promise.all(Object.keys(verbs).map((name) => as(name)));
	if (!ada || !pam || !bob || !al || !carol) throw new Error("nobody");
	const nobody = file(trial("0.0002%"));
	const lacks = (verb: string, what: string) => ({
		code: "permission-denied",
		message: new RegExp(`${verb} in namespace default, which it takes where a declaration ${what} Experiment boosted`),
	});
	await t.rejects(ada.apply(nobody, now), lacks("promote", "makes a promotion by"));
	await t.rejects(bob.apply(nobody, now), lacks("promote", "makes a promotion by"));
	await t.rejects(pam.apply(nobody, now), lacks("abort", "takes people out of"));
	const asked = await al.apply(nobody, now);
	t.match(asked, { outcome: "pending", request: { needs: 1, needsIn: { default: 1 } } });
	t.match(store.current.status.experiments, { boosted: { allocationPpm: 1_000_000 } });
	if (asked.outcome === "pending") t.match(await carol.approve(asked.request.id), { state: "done" });
	t.match(store.current.status.experiments, { boosted: { allocationPpm: 2 } });
});

t.test("who approves that people are taken out approves how many: once more are in it, it is asked anew", async (t) => {
	const { owner, as, store } = await mutualApi(t);
	const people = [
		binding("al", "apply, promote, abort", ["al"], "[default]"),
		binding("carol", "approve", ["carol"], "[default]"),
	];
	const trial = (steps: string) => document("boosted").replace("steps: [2%, 10%, 50%, 100%]", `steps: [${steps}]`);
	const policy = TWO.replace("[promote]", "[promote, abort]");
	await owner.apply(file([SERVICE, METRIC, trial("10%, 100%"), policy, ...people].join("---\n")), now);
	const [al, carol] = [await as("al"), await as("carol")];
	const asked = await al.apply(file(trial("2%, 5%")), now);
	if (asked.outcome !== "pending") throw new Error(asked.outcome);
	t.match(asked.request.effects.at(-1), /takes people out of Experiment boosted: steps, from 10% to 5%$/);
	const { boosted } = store.current.status.experiments;
	if (boosted === undefined) throw new Error("no status");
	await store.decide({
		...{ experiment: "boosted", expectedRevision: store.current.revision, by: "weir", atMs: 1, input: null },
		outcome: outcome({ ...boosted, allocationPpm: 1_000_000, stepIndex: 1 }),
	});
	await t.rejects(carol.approve(asked.request.id), { code: "conflict", message: /it would do something else now/ });
	t.match(store.current.status.experiments, { boosted: { allocationPpm: 1_000_000 } });
});

t.test(
	"a longer timeout of its Service lets harm be seen later, by errors and latency, which wait for it",
	async (t) => {
		const { owner, as, store } = await mutualApi(t);
		const people = [
			binding("ada", "apply", ["ada"], "[default]"),
			binding("gina", "apply, promote", ["gina"], "[default]"),
			binding("carol", "approve", ["carol"], "[default]"),
		];
		const timeout = (said: string) => file(SERVICE.replace("protocol: http1", `protocol: http1\n  timeout: ${said}`));
		const errors = METRIC.replace("accuracy", "errors").replace(
			"source: outcome, direction: up",
			"source: errors, direction: down",
		);
		const guarded = document("boosted", "[0%, 40%]", "  guardrails: [{metric: errors, margin: {absolute: 0.5pp}}]\n");
		const outcomes = document("clicks", "[50%, 100%]").replace("variant: v2", "variant: v1");
		await owner.apply(timeout("30s"), now);
		await owner.apply(file([METRIC, errors, outcomes, ...people].join("---\n")), now);
		const [ada, gina, carol] = [await as("ada"), await as("gina"), await as("carol")];
		t.match(await ada.apply(timeout("40s"), now), { outcome: "applied" }, "by outcomes alone it is judged as soon");
		await owner.apply(file([guarded, TWO].join("---\n")), now);
		const later = "lets Experiment boosted see harm later: timeout of Service employment from";
		const denied = (fromTo: string) => ({
			code: "permission-denied",
			message: `no RoleBinding lets ${operator("ada")} promote in namespace default, which it takes where a declaration ${later} ${fromTo}`,
		});
		await t.rejects(ada.apply(timeout("366d"), now), denied("40 s to 366 d"));
		await t.rejects(ada.apply(timeout("366d"), { dryRun: true }), denied("40 s to 366 d"));
		await t.rejects(ada.apply(timeout("41s"), now), denied("40 s to 41 s"));
		for (const back of [timeout("1ms"), timeout("2s"), timeout("40s"), timeout("2s"), file(SERVICE), timeout("6s")])
			t.match(await ada.apply(back, now), { outcome: "applied" }, "sooner, and back to what it had");
		t.match(store.current.status.experiments.boosted, { longestTimeoutMs: 40_000 });
		const longest = ", the longest since it began being 40 s";
		await t.rejects(ada.apply(timeout("41s"), now), denied(`6 s to 41 s${longest}`));
		t.match(await ada.apply(timeout("2s"), now), { outcome: "applied" });
		const short = guarded.replaceAll("boosted", "short").replace("[0%, 40%]", "[40%, 50%]");
		t.match(await owner.apply(file(short.replace(/ {2}goal: .*\n/, "")), now), { outcome: "applied" });
		await t.rejects(
			ada.apply(file(SERVICE), now),
			{ code: "permission-denied", message: /Experiment short see harm later: .* from 2 s to none \(counts as 5 s\)$/ },
			"one that began since had none so long",
		);
		await owner.act("short", "abort");
		const asked = await gina.apply(timeout("366d"), now);
		t.match(asked, {
			outcome: "pending",
			request: {
				effects: ["configured Service employment: spec.timeout", `${later} 2 s to 366 d${longest}`],
			},
		});
		if (asked.outcome === "pending") t.match(await carol.approve(asked.request.id), { state: "done" });
		t.match(store.current.resources.services, [{ spec: { timeoutMs: 366 * 86_400_000 } }]);
		t.match(await ada.apply(timeout("30s"), now), { outcome: "applied" });
		await owner.act("boosted", "abort");
		t.match(await ada.apply(timeout("366d"), now), { outcome: "applied" }, "nobody waits for it any more");
	},
);

t.test("what stops an incident waits for no other right, whom it takes out of an Experiment too", async (t) => {
	const { owner, as } = await mutualApi(t);
	const policy = (name: string, spec: string): string =>
		`apiVersion: weir.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: ${name}}\nspec: {services: [employment], principals: ["*"], ${spec}}\n`;
	const people = [binding("ada", "apply", ["ada"], "[default]"), binding("carol", "approve", ["carol"], "[default]")];
	await owner.apply(file([SERVICE, METRIC, document("boosted"), ...people].join("---\n")), now);
	await owner.apply(file(TWO.replace("[promote]", "[promote, abort]")), now);
	const ada = await as("ada");
	await t.rejects(ada.act("boosted", "abort"), { code: "permission-denied" });
	const closed = SERVICE.replace("  access: open\n", "");
	for (const [what, text] of Object.entries({
		"a denial": [closed, policy("all", "action: allow"), policy("not", "action: deny, variants: [v2]")].join("---\n"),
		"an allow of the default Variant alone": [closed, policy("old", "variants: [v1]")].join("---\n"),
		callout: `${SERVICE}  callout: {timeout: 1ms, onFailure: default-variant}\n`,
		circuitBreaker: `${SERVICE}  circuitBreaker: {maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: 1}\n`,
	}))
		t.match(await ada.apply(file(text), { dryRun: true }), { outcome: "applied", approvals: 0 }, what);
});

t.test("how a bandit moves shares is changed as what moves people is", async (t) => {
	const by = (algorithm: string, every: string) => `bandit: {algorithm: ${algorithm}, floor: 10%, every: ${every}}`;
	const shares = (algorithm: string, every: string): Experiment => {
		const one = parsed(text().replace("alpha: 0.05", `alpha: 0.05, ${by("thompson", every)}`));
		const { bandit } = one.spec.rollout;
		if (bandit === null) throw new Error("no bandit");
		const rollout = { ...one.spec.rollout, bandit: { ...bandit, algorithm: algorithm as typeof bandit.algorithm } };
		return { ...one, spec: { ...one.spec, rollout } };
	};
	const told = (after: Experiment) =>
		promotionsEased(
			{
				resources: resourceSet({ metrics }),
				status: { experiments: { trial: initialStatus([500_000], 0) }, services: {} },
			},
			[{ before: shares("thompson", "10m"), after }],
		);
	const namespace = "default";
	const effect = "moves shares between arms of Experiment trial otherwise: bandit";
	t.same(told(shares("thompson", "1m")), [{ namespace, effect: `${effect}.every`, verbs: ["promote"] }]);
	t.match(
		told(shares("thompson", "20m")),
		[{ effect: `${effect}.every` }],
		"who has the worse arm keeps it for longer",
	);
	t.match(told(shares("top-two", "10m")), [{ effect: `${effect}.algorithm` }]);
	t.match(told(shares("top-two", "1m")), [{ effect: `${effect}.algorithm, bandit.every` }]);
	t.same(told(shares("thompson", "10m")), []);
});
