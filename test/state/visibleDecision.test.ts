/** Decisions of an earlier Weir, which looked for interactions with Experiments of other namespaces, as readers see them. */
import t from "tap";
import type { InteractionEvidence } from "../../src/analysis/evidence.js";
import { decide } from "../../src/rollout/decide.js";
import type { Decision, DecisionInput } from "../../src/rollout/decision.js";
import { recomputedWords } from "../../src/rollout/recompute.js";
import { visibleDecision } from "../../src/state/api/visibleDecision.js";
import * as example from "../rollout/example.js";
import { ALL, file, outcome } from "./employment.js";
import { mutualApi } from "./mutualApi.js";
import { binding } from "./operatorBinding.js";

const NAMED =
	"arm boosted interacts with experiment hr/layoffs: accuracy at least 1 with its arm notice, at most 0 with plain";

t.test("what they tell of another namespace is told to who may read that", async (t) => {
	const { owner, as, store } = await mutualApi(t);
	const readers = [binding("rita", "read", ["rita"], "[default]"), binding("hana", "read", ["hana"], "[default, hr]")];
	await owner.apply(file([ALL, ...readers].join("---\n")), {
		dryRun: false,
	});
	const status = store.current.status.experiments.boosted;
	if (status === undefined) throw new Error("no status");
	const other = (name: string, arm: string) => ({
		experiment: name,
		cells: [{ arm: "control", otherArm: arm, units: 77_777, metrics: {} }],
	});
	const input = {
		experiment: store.current.resources.experiments[0],
		metrics: {},
		status,
		evidence: { interactions: [other("hr/layoffs", "notice"), other("own", "control")] },
	} as unknown as DecisionInput;
	const decide = (more: Partial<Parameters<typeof outcome>[1]>, moved: number) =>
		store.decide({
			experiment: "boosted",
			expectedRevision: store.current.revision,
			...{ by: "weir", atMs: 1, input },
			outcome: outcome({ ...status, allocationPpm: moved }, more),
		});
	await decide({ action: "promote", rule: "promote", reason: "Promoted arm boosted" }, 30_000);
	const held = { action: "hold", rule: "interaction", waitsFor: "person" } as const;
	await decide(
		{ ...held, reason: `Holding: ${NAMED}`, summary: `helps differently with notice of experiment hr/layoffs` },
		40_000,
	);
	const told = async (name: string) => {
		const client = await as(name);
		const { decisions } = await client.decisions("boosted", 0);
		const { experiments } = await client.status();
		const [moves, last] = [
			await client.moves("boosted", 9),
			experiments.find((one) => one.experiment === "boosted")?.last,
		];
		return { decisions, last, moves, all: JSON.stringify([decisions, last, moves]) };
	};
	const hanas = await told("hana");
	t.match(hanas.last, { reason: `Holding: ${NAMED}` });
	t.match(hanas.decisions[1]?.input?.evidence.interactions, [{ experiment: "hr/layoffs" }, { experiment: "own" }]);
	t.match(hanas.moves, [{ sequence: 3, outcome: { reason: `Holding: ${NAMED}` } }, { sequence: 2 }]);
	const ritas = await told("rita");
	for (const secret of ["hr/", "layoffs", "notice"]) t.notOk(ritas.all.includes(secret), secret);
	t.match(ritas.last, { action: "hold", rule: "interaction", reason: "It names an Experiment of another namespace." });
	t.match(ritas.decisions[1], { outcome: { reason: "Promoted arm boosted" } });
	for (const { input, outcome } of ritas.decisions.slice(1)) t.equal(input, null, outcome.action);
});

t.test("a sound one is not said to differ to who may not see all that it was made from", (t) => {
	const good = { control: { n: 6_000, accuracy: 0.78 }, boosted: { n: 6_000, accuracy: 0.83 } };
	const made = (interactions: readonly InteractionEvidence[]): Decision => {
		const asked = example.input({
			status: example.status(example.LAST_STEP),
			evidence: example.evidence(good, { interactions }),
		});
		const from = { experiment: "models", sequence: 1, by: "weir", atMs: 1, acknowledgedAtMs: null };
		return { ...from, input: asked, outcome: decide(asked) };
	};
	const turned = example.crossing({
		old: { control: [3_000, 0.78], boosted: [3_000, 0.9] },
		new: { control: [3_000, 0.78], boosted: [3_000, 0.76] },
	});
	const own = { ...turned, experiment: "banner" };
	const mayRead = (namespace: string) => namespace === "default";
	const told = (decision: Decision) => recomputedWords(visibleDecision(decision, mayRead));
	const mixed = made([own, { ...turned, experiment: "hr/layoffs" }]);
	t.match(mixed.outcome, { rule: "interaction", reason: /experiment banner/ }, "held for one's own");
	t.match(recomputedWords(mixed), { holds: true });
	t.match(told(mixed), { holds: false, words: /^NOT RECOMPUTED: .* not all of it is yours to read/ });
	t.equal(visibleDecision(mixed, mayRead).outcome, mixed.outcome, "and what it concluded is told");
	t.match(told(made([own])), { holds: true, words: /every byte matches/ });
	t.end();
});
