/** Bandits simulated to their end with returning units; fixed seeds, so a failure is a change and not chance. */
import t from "tap";
import { live, type World } from "./simulateBandit.js";

const EQUAL: World = {
	challengers: ["boosted"],
	metric: "accuracy",
	algorithm: "thompson",
	// Both arms share one level, which jumps: pooling over shares that follow outcomes would see an effect.
	chance: (_, time) => (Math.floor(time * 6) % 2 === 0 ? 0.3 : 0.7),
	looks: 60,
	visitsPerLook: 120,
	people: 6_000,
	improveBy: 0,
};

t.test("equal arms whose level jumps are promoted or rolled back for harm in at most alpha of runs", async (t) => {
	const runs = 60;
	let promoted = 0;
	let harmed = 0;
	let moves = 0;
	let stopped = 0;
	for (let seed = 0; seed < runs; seed++) {
		const { outcomes, changed } = live(500 + seed, EQUAL);
		if (outcomes.some(({ rule }) => rule === "promote")) promoted++;
		if (outcomes.some(({ rule }) => rule === "harm")) harmed++;
		if (outcomes.some(({ rule }) => rule === "srm")) stopped++;
		moves += outcomes.filter(({ rule }) => rule === "bandit").length;
		if (changed > 0) t.fail(`seed ${seed}: ${changed} changed arm`);
	}
	t.comment(`${runs} runs: ${promoted} promoted, ${harmed} harmed, ${stopped} stopped, ${moves} moves`);
	t.ok(moves > 2 * runs, "the shares do move");
	// More than 8 of 60 runs at alpha 0.05 have a chance of 1 %.
	t.ok(promoted <= 8 && harmed <= 8 && stopped === 0);
});

const THREE: World = {
	...EQUAL,
	challengers: ["boosted", "deep"],
	algorithm: "top-two",
	chance: (arm) => ({ control: 0.5, boosted: 0.55, deep: 0.42 })[arm] ?? 0,
	visitsPerLook: 200,
	people: 12_000,
	improveBy: 0.2,
};

for (const [what, world] of [
	["more is better", THREE],
	[
		"less is better",
		{ ...THREE, metric: "error-rate", chance: (arm) => ({ control: 0.3, boosted: 0.25, deep: 0.36 })[arm] ?? 0 },
	],
] as const satisfies readonly (readonly [string, World])[]) {
	t.test(`a worse arm loses its traffic, and no unit changes its arm: ${what}`, async (t) => {
		for (let seed = 0; seed < 4; seed++) {
			const { outcomes, status, late, changed } = live(900 + seed, world);
			t.equal(changed, 0);
			t.notOk(outcomes.some(({ rule }) => rule === "srm"));
			const deep = status.closedArms.includes("deep") ? 0 : (status.shares?.ppm.deep ?? 1e6);
			t.ok(deep < 350_000, `share of the worst arm ${deep}`);
			t.equal(status.shares?.ppm.boosted, 1_000_000, "the best arm is wholly live");
			t.ok((late.deep ?? 0) < 0.5 * (late.boosted ?? 0), JSON.stringify(late));
		}
	});
}
