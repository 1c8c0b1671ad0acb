/** Formats numbers and findings in a decision's reason. The same input gives the same bytes on every machine (no locale). */
import type { Finding } from "./decision.js";
import { slowComparison, slowRequests } from "./slowRequests.js";
import { type ExperimentStatus, liveSharePpm } from "./status.js";

/** ppm as a percentage with at most four decimals: 20000 → `2%`. */
export function percent(ppm: number): string {
	return `${Number((ppm / 10_000).toFixed(4))}%`;
}

/** Four significant digits. */
export function number(value: number): string {
	return String(Number(value.toPrecision(4)));
}

/** `12 s`, `3.5 min`, `2 h`, `4.1 d`. */
export function duration(ms: number): string {
	if (ms < 120_000) return `${Number((ms / 1_000).toFixed(1))} s`;
	if (ms < 7_200_000) return `${Number((ms / 60_000).toFixed(1))} min`;
	if (ms < 172_800_000) return `${Number((ms / 3_600_000).toFixed(1))} h`;
	return `${Number((ms / 86_400_000).toFixed(1))} d`;
}

/** `live of each arm's allocation: control 100%, boosted 37.5%, deep closed`, empty before a bandit's first move. */
export function sharesSentence(status: Pick<ExperimentStatus, "shares" | "closedArms">): string {
	const each = Object.keys(status.shares?.ppm ?? {}).map((arm) =>
		status.closedArms.includes(arm) ? `${arm} closed` : `${arm} ${percent(liveSharePpm(arm, status))}`,
	);
	return each.length === 0 ? "" : `live of each arm's allocation: ${each.join(", ")}`;
}

/** `accuracy of arm boosted is worse than 0 (improvement -0.05, at most -0.021 at all looks; 812 units against 790)`. */
export function harmSentence(finding: Finding): string {
	// The margin of a quantile is in the challengers' threshold, so its line is 0.
	const margin = finding.line === 0 ? "its margin" : `its margin ${number(finding.line)}`;
	const against = finding.role === "goal" ? "no change" : margin;
	const { segment } = finding;
	const where = segment === undefined ? "" : ` in ${segment.name} ${segment.value ?? "(all rarer values)"}`;
	if (finding.slow !== undefined)
		return (
			`${finding.metric} of arm ${finding.arm}${where} is proved ${finding.role === "goal" ? "worse than no change" : "beyond its margin"}: ` +
			`${slowRequests(finding, "the baseline's")}; improvement ${bound(finding.improvement)}, at most ${bound(finding.upper)} at all looks, ` +
			`harm is below 0 (${finding.challenger.n} units against ${finding.baseline.n}, alpha ${number(finding.harmAlpha ?? finding.alpha)})`
		);
	return (
		`${finding.metric} of arm ${finding.arm}${where} is proved worse than ${against}: ` +
		`improvement ${bound(finding.improvement)}, at most ${bound(finding.upper)} at all looks ` +
		`(${finding.challenger.n} units against ${finding.baseline.n}, alpha ${number(finding.harmAlpha ?? finding.alpha)})`
	);
}

/** `accuracy at least 0.03 against the line 0.005`; after a planned look also with its z and boundary. */
export function passSentence(finding: Finding): string {
	const { look } = finding;
	if (look !== undefined)
		return `${finding.metric} at least ${bound(look.lower)} against the line ${number(finding.line)} at planned look ${look.number} (z ${bound(look.z)} reached the boundary ${number(look.boundary)} at ${look.units} units)`;
	if (finding.slow !== undefined)
		return `${finding.metric} ${finding.role === "goal" ? "better" : "within its margin"} (${slowRequests(finding, "the baseline's")}; improvement at least ${bound(finding.lower)} against the line ${number(finding.line)})`;
	return `${finding.metric} at least ${bound(finding.lower)} against the line ${number(finding.line)}`;
}

/** What an unproved finding still needs. */
export function lackSentence(finding: Finding): string {
	if (finding.verdict === "unknown") return `${finding.metric} of arm ${finding.arm} is unknown: ${finding.note}`;
	const { look } = finding;
	if (look !== undefined)
		return `${finding.metric} of arm ${finding.arm} was not proved by planned look ${look.number} (z ${bound(look.z)}, the boundary was ${number(look.boundary)})`;
	if (finding.note !== "") return `${finding.metric} of arm ${finding.arm} is ${finding.note}`;
	if (finding.slow !== undefined)
		return `${finding.metric} of arm ${finding.arm} by ${slowComparison(finding)} is at least ${bound(finding.lower)}, needs above ${number(finding.line)}`;
	// The baseline has almost no events.
	const least = finding.lower === null ? "has no lower bound yet" : `is at least ${number(finding.lower)}`;
	return `${finding.metric} of arm ${finding.arm} ${least}, needs above ${number(finding.line)}`;
}

function bound(value: number | null): string {
	return value === null ? "unknown" : number(value);
}
