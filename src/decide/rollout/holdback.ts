/**
 * A holdback: the winner's Variant is the Service's default, and for a time a share of the baseline's units keeps the baseline.
 * Proved harm rolls back, or with onHarm: freeze waits for a person, who aborts or promotes again to end the holdback. A harm
 * that a person accepted by promoting a frozen arm is only reported; accepting it over all units covers each segment. Broken
 * data delay the end, because they could hide harm; harm found on them counts, with a warning.
 */
import type { Analysis } from "../../infer/statistics/analyse.js";
import { claimedMetrics } from "../../infer/statistics/claim.js";
import type { DecisionInput, Finding, Outcome } from "./decision.js";
import { type Explanation, outcomeOf } from "./outcome.js";
import { dataWarning, doubts } from "./rules/brokenData.js";
import { harmKey, namesOfHarm } from "./rules/harm.js";
import { duration, harmSentence } from "./sentence.js";
import { people, plain, rolledBack, whereIn, worse } from "./summary.js";
import { completion, judgeHealth, replacedVariant } from "./takeover.js";

/** The next decision of a holdback. @param fromMs its start */
export function decideHoldback(input: DecisionInput, analysis: Analysis, fromMs: number): Outcome {
	const { experiment, status, evidence, nowMs } = input;
	const { arm = "", variant = "" } = status.promotion ?? {};
	const accepted = status.frozenHarms ?? [];
	const isKnown = (finding: Finding): boolean => {
		const { segment: _, ...whole } = finding;
		return accepted.includes(harmKey(finding)) || accepted.includes(harmKey(whole));
	};
	const harms = analysis.findings.filter((finding) => finding.verdict === "harm" && finding.arm === arm);
	const fresh = harms.filter((finding) => !isKnown(finding));
	if (fresh.length > 0) return harmed(input, analysis, fresh, fromMs);
	const left = (experiment.spec.rollout.holdback?.forMs ?? 0) - (nowMs - fromMs);
	const ended = "the holdback has ended";
	const isOpen = doubts(input, analysis).length > 0;
	const known = harms.filter(isKnown);
	if (left <= 0 && !isOpen) {
		const { reason, summary } = judgement(input, analysis, known, "");
		return completion(input, analysis, `${ended}; ${reason}`, summary);
	}
	const { why } = judgeHealth(evidence.health, variant, 1);
	const reason = `Holdback by ${variant}${left > 0 ? ` for ${duration(left)} more` : ", whose time is over"}`;
	const keep = left > 0 ? ` for ${duration(left)} more` : ", though its time is over";
	const summary = `${variant} is the new version; a few people keep the old one${keep}`;
	const explanation: Explanation = {
		get reason() {
			const until = isOpen ? "it does not end until they are whole, unless a person promotes or aborts; " : "";
			return `${reason}: ${judgement(input, analysis, known, " yet").reason}; ${until}${why}.`;
		},
		get summary() {
			const until = isOpen ? " It does not end until that is mended, unless a person ends it." : "";
			return `${summary}: ${judgement(input, analysis, known, " yet").summary}.${until}`;
		},
	};
	if (isOpen) return outcomeOf(input, analysis, ["hold", "data"], explanation, { waitsFor: "data" });
	const rule = known.length > 0 ? "harm" : "takeover";
	return outcomeOf(input, analysis, ["hold", rule], explanation, { waitsFor: "holdback", expectedMs: left });
}

function harmed(input: DecisionInput, analysis: Analysis, harms: readonly Finding[], fromMs: number): Outcome {
	const { experiment, status, nowMs } = input;
	const among = `among units first exposed in its ${duration(nowMs - fromMs)}, `;
	const doubted = dataWarning(input, analysis);
	const reason = `${among}${harms.map(harmSentence).join("; ")}.${doubted.reason}`;
	const summary = (then: string): string =>
		plain(
			harms.map((finding) => worse(finding, input)),
			`${then}, as it does harm to the people who came since it took over${doubted.summary}`,
		);
	if (experiment.spec.rollout.onHarm === "freeze") {
		return outcomeOf(
			input,
			analysis,
			["hold", "harm"],
			{
				reason: `The holdback does not end by itself, a person aborts, or promotes to end it: ${reason}`,
				summary: summary(`a person decides on ${status.promotion?.variant}`),
			},
			{ waitsFor: "person" },
		);
	}
	return outcomeOf(
		input,
		analysis,
		["roll-back", "harm"],
		{
			reason: `Rolled back from the holdback: ${reason}`,
			summary: summary(
				rolledBack([status.promotion?.arm ?? ""], { ...input, replaces: replacedVariant(experiment, status) }),
			),
		},
		{
			status: { ...status, phase: "RolledBack", allocationPpm: 0, hold: null, promotion: null },
			defaultVariant: replacedVariant(experiment, status),
		},
	);
}

/** The winner's claims, judged by the holdback's units. An unknown claim is not absence of harm. */
function judgement(input: DecisionInput, analysis: Analysis, known: readonly Finding[], yet: string): Explanation {
	const { experiment, status } = input;
	const { arm = "" } = status.promotion ?? {};
	const watched = claimedMetrics(experiment);
	const own = analysis.findings.filter((finding) => finding.arm === arm && finding.segment === undefined);
	const blind = own.filter(({ verdict }) => verdict === "unknown");
	const judged = own.filter((finding) => !blind.includes(finding) && !known.includes(finding));
	const nameOf = ({ metric, segment }: Finding): string => `${metric}${segment === undefined ? "" : whereIn(segment)}`;
	const named = (findings: readonly Finding[]): string => unique(findings.map(nameOf));
	const reasons: string[] = [];
	const summaries: string[] = [];
	const other = known.length > 0 ? "other " : "";
	if (known.length > 0) {
		reasons.push(`${known.map(harmSentence).join("; ")}, as was known when it was promoted`);
		summaries.push(`it is still worse by ${named(known)}, as was known when it was promoted`);
	}
	const former = namesOfHarm(status, arm).filter((name) => !known.some((finding) => nameOf(finding) === name));
	const isGone = (name: string): boolean => !watched.some((one) => `${name} `.startsWith(`${one} `));
	const [before, gone] = [former.filter((name) => !isGone(name)), former.filter(isGone)];
	if (before.length > 0) {
		reasons.push(`${before.join(", ")} was proved worse before it was promoted, and is not in the holdback${yet}`);
		summaries.push(`it was worse by ${before.join(", ")} before, which is not proved again${yet}`);
	}
	if (gone.length > 0) {
		const names = gone.join(", ");
		reasons.push(`${names} was proved worse before it was promoted, and nothing is judged by it any more`);
		summaries.push(`it was worse by ${names} before, which is not watched any more`);
	}
	if (judged.length > 0) {
		const units = judged.map(({ metric, challenger, baseline }) => `${metric} ${challenger.n} against ${baseline.n}`);
		reasons.push(`no ${other}harm is proved among units first exposed in it (${unique(units)})`);
		summaries.push(`no ${other}harm has been found${peopleText(judged, blind.length > 0)}`);
	}
	if (blind.length > 0) {
		const all = blind.length === own.length;
		const why = unique(blind.map(({ metric, note }) => `${metric}: ${note}`));
		reasons.push(`nothing could be judged${yet}${all ? "" : ` of ${named(blind)}`} (${why})`);
		summaries.push(`nothing could be judged${yet}${all ? "" : ` of ${named(blind)}`}`);
	}
	if (own.length === 0) {
		reasons.push("no metric is declared to judge by");
		summaries.push("nothing is watched in it");
	}
	const broken = doubts(input, analysis);
	if (broken.length > 0) {
		reasons.push(`the data are broken: ${broken.map(({ reason }) => reason).join("; ")}`);
		summaries.push(`but what is measured cannot be trusted: ${broken.map(({ summary }) => summary).join("; ")}`);
	}
	return { reason: reasons.join("; "), summary: summaries.join("; ") };
}

/** ` by error-rate among 812 people against 41`, or separate counts if they differ. */
function peopleText(judged: readonly Finding[], named: boolean): string {
	const counts = new Set(judged.map(people));
	if (counts.size > 1) return ` (${unique(judged.map((one) => `${one.metric} among ${people(one)}`))})`;
	return `${named ? ` by ${unique(judged.map(({ metric }) => metric))}` : ""} among ${[...counts].join("")}`;
}

const unique = (names: readonly string[]): string => [...new Set(names)].join(", ");
