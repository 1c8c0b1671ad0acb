/** Goal and guardrails: each as a forest plot, with the history of its interval. */
import type { Finding } from "../../../infer/statistics/finding.js";
import { percent } from "../../rollout/sentence.js";
import { slowLimit, slowRequests } from "../../rollout/slowRequests.js";
import { heldBackOf } from "../../rollout/status.js";
import { bare, claimName, level, plain, type Scale, scaleOf, size, utc } from "../format.js";
import type { ClaimHistory } from "../history.js";
import { html, type Markup } from "../markup.js";
import type { Report } from "../report.js";
import { boundsPicture } from "./boundsChart.js";
import { people } from "./chart.js";
import { axisOf, intervalPicture, intervalText } from "./interval.js";
import { looksTable } from "./looks.js";
import { named, section } from "./table.js";

export function claimsSection(report: Report): Markup {
	const { claims, experiment, status } = report;
	if (claims.length === 0)
		return section(
			"claims",
			"Goal and guardrails",
			html`<p class="wide">There is no goal, no guardrail or no evidence yet.</p>`,
		);
	const arms = experiment.spec.arms.filter(({ name }) => claims.some(({ arm }) => arm === name));
	const closed = (name: string): string => (status.closedArms.includes(name) ? " (closed: no new exposures)" : "");
	return section(
		"claims",
		"Goal and guardrails",
		html`<p class="soft wide">Improvement of each challenger over the baseline. Right of the thin line is better, for every direction of a metric (for a latency quantile, see its note).
The dashed line is the target of the goal or the margin of the guardrail. Disc: proved. Diamond: harm. Ring: undecided. All intervals are valid at every look.</p>
${arms.map(
	({ name }) => html`${arms.length > 1 ? html`<h3>${named(name)}${closed(name)}</h3>` : null}
<ul class="claims">
${[...claims]
	.filter(({ arm }) => arm === name)
	.sort((a, b) => Number(b.role === "goal") - Number(a.role === "goal"))
	.map((finding) => row(report, finding))}</ul>`,
)}${noGoal(report)}${looksTable(report)}${banditNote(report)}${takeoverNote(report)}`,
	);
}

function noGoal({ experiment }: Report): Markup | null {
	if (experiment.spec.goal !== null) return null;
	return html`<p class="note">No goal is declared: the rollout tests for harm, and an operator promotes.</p>`;
}

/** Note on the units behind the numbers above, where shares have followed outcomes. */
function banditNote({ experiment, status }: Report): Markup | null {
	const { bandit } = experiment.spec.rollout;
	if (bandit === null || status.shares === undefined) return null;
	return html`<p class="note">The bandit has changed shares since ${utc(status.shares.firstMovedAtMs)}. Units that came later count only in the first ${percent(bandit.floorPpm)} of each arm’s live points, which the outcomes do not change.
The others are not tested: an arm that grew at a better time of day, or got returning people, would look better for that reason alone.</p>`;
}

/** Which units count after a promotion: a holdback is another test. */
function takeoverNote({ status }: Report): Markup | null {
	const heldBack = heldBackOf(status);
	if (heldBack !== null)
		return html`<p class="note">Since ${utc(heldBack.fromMs)} ${percent(heldBack.sharePpm)} of the old version’s people are held back. All numbers here are of people first seen after that,
and only the winner is tested. Earlier people came in another ratio, so both periods together would compare one season with another.</p>`;
	if (status.takeover === undefined) return null;
	return html`<p class="note">The winner began to take over at ${utc(status.takeover.fromMs)}. Units that came later do not count, and neither do units whose window had not ended then.</p>`;
}

const CHIP = {
	pass: ["good", "✓ proved"],
	harm: ["bad", "✕ harm"],
	open: ["open", "… open"],
	unknown: ["open", "? unknown"],
} as const;

function row({ metrics }: Report, finding: Finding): Markup {
	const metric = metrics[finding.metric];
	const scale = scaleOf(metric, finding.relative);
	const [className, word] = CHIP[finding.verdict];
	const { baseline, challenger, note } = finding;
	const interval =
		finding.verdict === "unknown"
			? note
			: `${finding.slow === undefined ? `${intervalText(finding, scale)}. ${level(metric, challenger.mean)} against ${level(metric, baseline.mean)} of the baseline` : `${slowRequests(finding, "the baseline’s")}, a difference of ${intervalText(finding, scale)}`}; ${people(challenger.n)} people against ${people(baseline.n)}.${note === "" ? "" : ` It is ${note}.`}`;
	const name = claimName(finding, metric);
	return html`<li>
<div><b>${named(name)}</b> <span class="soft">${finding.role}, ${asked(finding, scale)}</span><br/><span class="soft">${interval}</span></div>
${intervalPicture(finding, axisOf([finding]), scale, true, `${name} of ${finding.arm}: improvement ${intervalText(finding, scale)}; ${asked(finding, scale)}; ${word.slice(2)}`)}
<span class="chip ${className}">${word}</span>${slowNote(finding)}
</li>
`;
}

/** What the axis of a quantile's picture is, which is not that of the others. */
function slowNote({ slow, role }: Finding): Markup | null {
	if (slow === undefined) return null;
	const equal = role === "goal" ? "left" : "right";
	return html`<p class="soft">The chart shows the share of requests above ${plain(slow.baselineMs, 4)} ms in the baseline minus the share above ${slowLimit(slow, role)} in the challenger, each averaged over people.
${slow.effect.value === 0 ? null : `A version as fast as the baseline lies ${equal} of the thin line. `}${role === "goal" ? null : "An interval left of the thin line proves that the margin is exceeded; one right of the dashed line proves that it is kept."}</p>`;
}

/** What the claim's line is. */
export function asked({ role, line, slow }: Pick<Finding, "role" | "line" | "slow">, scale: Scale): string {
	if (slow !== undefined && role === "guardrail") return `within its margin, ${bare(scale, line)} more tolerated`;
	// Each arm of a quantile has its own threshold, and the margin lies between them.
	if (role === "guardrail" && line === 0) return "no more than the baseline, each arm by its own threshold";
	if (role === "guardrail") return `at most ${bare(scale, line)} worse`;
	return line === 0 ? "better at all" : `more than ${size(scale, line)}`;
}

export function historySection(report: Report): Markup {
	const drawn = report.history.filter(({ points }) => points.length > 1);
	const heading = "Confidence sequences over time";
	if (drawn.length === 0)
		return section("history", heading, html`<p class="wide">A chart over time needs at least two looks.</p>`);
	const several = new Set(drawn.map(({ arm }) => arm)).size > 1;
	const ordered = [...drawn].sort((a, b) => Number(b.role === "goal") - Number(a.role === "goal"));
	return section(
		"history",
		heading,
		html`<p class="soft wide">The band contains the true improvement at all times simultaneously, so you can look at any time. It narrows as more people are measured.
Above the thin line is better, except for a latency quantile (see its note above). The dashed line is the target of the goal or the margin of the guardrail.</p>
<div class="grid">
${ordered.map((one, index) => figure(report, one, index, several))}</div>`,
	);
}

function figure({ claims, metrics }: Report, history: ClaimHistory, index: number, several: boolean): Markup | null {
	const finding = claims.find(
		({ arm, metric, role }) => arm === history.arm && metric === history.metric && role === history.role,
	);
	if (finding === undefined) return null;
	const metric = metrics[finding.metric];
	const scale = scaleOf(metric, finding.relative);
	const name = `${claimName(finding, metric)}${several ? ` of ${finding.arm}` : ""}`;
	const { picture, cut } = boundsPicture(`h${index}`, history.points, { line: finding.line, scale, name }, "band");
	const from = history.from === "periods" ? "by first exposure" : "at each decision";
	const { together } = history;
	const summary = together.contradicted
		? "The looks have no improvement in common: it has moved, so go by the last look."
		: `All looks together: between ${size(scale, together.lower)} and ${size(scale, together.upper)}.`;
	return html`<figure><figcaption><b>${named(name)}</b>, ${unitOf(scale)}${plain(history.points.length)} looks, ${from}${cut ? "; wider at first than is drawn" : ""}. ${summary}</figcaption>
${picture}</figure>
`;
}

export function unitOf(scale: Scale): string {
	if (scale === "points") return "percentage points, ";
	if (scale === "percent") return "% of the baseline, ";
	return scale === "ms" ? "ms, " : "";
}
