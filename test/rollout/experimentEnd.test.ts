/** Which decision ended an Experiment, and how. */
import t from "tap";
import type { Decision } from "../../src/rollout/decision.js";
import { endIn } from "../../src/rollout/experimentEnd.js";
import type { ExperimentStatus, Phase } from "../../src/rollout/status.js";
import { outcome } from "../state/employment.js";
import { status } from "./example.js";

const PROMOTION: ExperimentStatus["promotion"] = {
	arm: "boosted",
	variant: "v2",
	stepIndex: 1,
	takeoverPpm: 1_000_000,
};

/** Decisions that led to these phases, the oldest first. */
function decided(...phases: readonly Phase[]): readonly Decision[] {
	return phases
		.map((phase, index): Decision => {
			const after = status({ phase, promotion: phase.startsWith("Promot") ? PROMOTION : null });
			return {
				...{ experiment: "e", sequence: index + 1, atMs: 100 * (index + 1), by: "ada", input: null },
				outcome: outcome(after),
				acknowledgedAtMs: null,
			};
		})
		.toReversed();
}

t.test("every way to end, and what is decided after it", (t) => {
	const cases: readonly (readonly [readonly Phase[], ReturnType<typeof endIn>])[] = [
		[["Running", "Aborted"], { reason: "aborted", atMs: 200, decision: 2, variant: null }],
		[["Running", "Paused", "RolledBack"], { reason: "rolled-back", atMs: 300, decision: 3, variant: null }],
		[["Running", "Promoting", "Promoted"], { reason: "promoted", atMs: 300, decision: 3, variant: "v2" }],
		// Declared anew, or deleted, after its end.
		[["Running", "Aborted", "Aborted"], { reason: "aborted", atMs: 200, decision: 2, variant: null }],
		[["Running", "RolledBack", "RolledBack"], { reason: "rolled-back", atMs: 200, decision: 2, variant: null }],
		// A promotion that is undone.
		[["Running", "Promoted", "Aborted"], { reason: "promoted", atMs: 200, decision: 2, variant: "v2" }],
		[["Running"], null],
		[["Running", "Promoting"], null],
		[["Aborted"], { reason: "aborted", atMs: 100, decision: 1, variant: null }],
		[[], null],
	];
	for (const [phases, expected] of cases) t.same(endIn(decided(...phases)), expected, phases.join(", ") || "none");
	t.end();
});

t.test("of a long life no more is read than is needed", (t) => {
	let read = 0;
	function* counted(): Iterable<Decision> {
		for (const one of decided(...Array<Phase>(50).fill("Running"), "Aborted", "Aborted")) {
			read++;
			yield one;
		}
	}
	t.match(endIn(counted()), { reason: "aborted", decision: 51 });
	t.equal(read, 3);
	t.end();
});
