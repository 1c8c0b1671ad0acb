/** A pause holds; a person decides. */
import type { Rule } from "../decision.js";
import { outcomeOf, type RuleFunction } from "../outcome.js";
import { percent } from "../sentence.js";
import type { ExperimentStatus } from "../status.js";

type Hold = NonNullable<ExperimentStatus["hold"]>;

const WHY: Readonly<Record<Hold, { readonly rule: Rule; readonly by: string; readonly plain: string }>> = {
	srm: { rule: "srm", by: "a sample ratio mismatch", plain: "people were not split as they should be" },
	inconclusive: { rule: "max-duration", by: "an inconclusive end", plain: "its time ended without a clear result" },
	harm: { rule: "harm", by: "proved harm", plain: "it was proved to do harm" },
	person: { rule: "person", by: "a person", plain: "a person paused it" },
};

export const paused: RuleFunction = (input, analysis) => {
	const { status } = input;
	if (status.phase !== "Paused") return null;
	const { rule, by, plain } = WHY[status.hold ?? "person"];
	const isSurpassed = status.hold === "inconclusive" && input.replaces !== undefined;
	const may =
		input.beingPromoted === undefined
			? "resume, promote or abort"
			: `resume or abort, and promote when Experiment ${input.beingPromoted} has ended`;
	const at = percent(status.allocationPpm);
	return outcomeOf(
		input,
		analysis,
		["hold", rule],
		{
			reason: `Paused at ${at} by ${by}; harm is still watched, a person may ${may}.`,
			summary: `Waiting for a person at ${at}: ${isSurpassed ? "its time ended, and its old version is no longer the default" : plain}.`,
		},
		{ waitsFor: "person" },
	);
};
