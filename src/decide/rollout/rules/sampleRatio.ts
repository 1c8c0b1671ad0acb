/** Sample ratio p below SRM_ALPHA: pause until a person resumes; then it is counted anew. */
import { exposureCounts } from "../../../infer/statistics/sequential/srm.js";
import { outcomeOf, type RuleFunction } from "../outcome.js";
import { number } from "../sentence.js";
import { plain } from "../summary.js";

/** Below this p the sample ratio counts as broken: the usual level in the field, and false alarms are rare. */
export const SRM_ALPHA = 0.001;

export const sampleRatioRule: RuleFunction = (input, analysis) => {
	const { status, evidence } = input;
	if (status.acceptedExposures === "pending") {
		const accepted = exposureCounts(evidence.exposures);
		return outcomeOf(
			input,
			analysis,
			["resume", "srm"],
			{
				reason: `The sample ratio is counted anew from here: a person resumed after the alarm (until now p ${number(analysis.srm?.p ?? 1)}).`,
				summary: "How people are split between the versions is counted anew from here, as a person resumed.",
			},
			{ status: { ...status, acceptedExposures: accepted } },
		);
	}
	if (analysis.srm === null || !(analysis.srm.p < SRM_ALPHA) || status.phase === "Paused") return null;
	const last = evidence.exposures.at(-1);
	const counts = input.experiment.spec.arms
		.flatMap(({ name }) => (last?.counts[name] === undefined ? [] : [`${name} ${last.counts[name]}`]))
		.join(", ");
	const { p, units } = analysis.srm;
	return outcomeOf(
		input,
		analysis,
		["pause", "srm"],
		{
			reason: `Paused: sample ratio mismatch, p ${p.toExponential(2)} over ${units} exposed units (latest plan: ${counts}); no ramp or promotion until a person resumes.`,
			summary: plain("people are not split between the versions as they should be", "paused until a person decides"),
		},
		{ status: { ...status, phase: "Paused", hold: "srm" } },
	);
};
