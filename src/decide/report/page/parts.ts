/** Parts of the people: by segment, by time of their first exposure, and the arms' chances as Bayesians see them. */

import type { EffectByPeriod } from "../effectByPeriod.js";
import { bare, claimName, plain, type Scale, scaleOf, size, utc } from "../format.js";
import { html, type Markup } from "../markup.js";
import type { Report } from "../report.js";
import type { SegmentReport, SegmentValue } from "../segments.js";
import { boundsPicture } from "./boundsChart.js";
import { people } from "./chart.js";
import { asked, unitOf } from "./claims.js";
import { axisOf, axisPicture, intervalPicture, intervalText } from "./interval.js";
import { named, section, table } from "./table.js";

export function segmentsSection(report: Report): Markup {
	const { experiment, segments } = report;
	const heading = "Segments";
	if (experiment.spec.segments.length === 0)
		return section("segments", heading, html`<p class="wide">No segments are declared.</p>`);
	const names = experiment.spec.segments.map(({ name }) => name).join(", ");
	if (segments.length === 0)
		return section("segments", heading, html`<p class="wide">The declared segments ${names} have no units yet.</p>`);
	const goals = segments.filter(({ role }) => role === "goal");
	const others = segments.filter(({ role }) => role !== "goal");
	return section(
		"segments",
		heading,
		html`<p class="soft wide">Segments are tested for harm only, each with its own part of alpha. With several segments, one of them can look
better than the others by chance.</p>
${goals.map((one) => segmentTable(report, one))}
${
	others.length === 0
		? null
		: html`<details><summary>Guardrails by segment (${others.length} ${others.length === 1 ? "table" : "tables"})</summary>
${others.map((one) => segmentTable(report, one))}</details>`
}`,
	);
}

function segmentTable({ metrics }: Report, segment: SegmentReport): Markup {
	const { values, line, relative, arm, role } = segment;
	const metric = metrics[segment.metric];
	const scale = scaleOf(metric, relative);
	const verdictOf = ({ harm, lower }: SegmentValue) => (harm ? "harm" : lower === null ? "unknown" : "open");
	const drawn = values.map((value) => ({ ...value, line, verdict: verdictOf(value) }) as const);
	const domain = axisOf(drawn);
	const rows = drawn.map((value) => [
		value.value === null ? html`<i>all rarer values</i>` : named(value.value),
		people(value.units),
		intervalPicture(value, domain, scale, false, `improvement ${intervalText(value, scale)}`),
		value.note === "" ? intervalText(value, scale) : value.note,
		value.harm ? html`<span class="chip bad">✕ harm</span>` : "no harm proved",
	]);
	const caption = `${claimName(segment, metric)} of ${arm} by ${segment.segment}: ${role}, ${asked(segment, scale)}`;
	const axis = ["", "", axisPicture(domain, scale), unitOf(scale).replace(", ", ""), ""];
	return html`${table(caption, SEGMENT_COLUMNS, [...rows, axis])}${stratifiedText(segment, scale)}`;
}

/** A second estimate, and what it is worth. */
function stratifiedText({ stratified, segment }: SegmentReport, scale: Scale): Markup | null {
	if (stratified === null) return null;
	const { improvement, standardError, crude } = stratified;
	const text = (one: typeof crude): string =>
		`${size(scale, one.improvement)}, standard error ${bare(scale, one.standardError)}`;
	return html`<p class="soft wide">Adjusted to equal shares of every ${named(segment)} in both arms: ${text({ improvement, standardError })}; unadjusted: ${text(crude)}. For information only: the claim above decides.</p>`;
}

const SEGMENT_COLUMNS = [
	{ head: "Value", className: "name" },
	{ head: "People", className: "n" },
	{ head: "Improvement", className: "pic" },
	{ head: "In numbers" },
	{ head: "" },
] as const;

export function effectSection(report: Report): Markup {
	const { effects, experiment } = report;
	const heading = "Effect over time";
	if (experiment.spec.goal === null)
		return section("effect", heading, html`<p class="wide">No goal is declared, so there is no effect to show.</p>`);
	const enough = effects.filter(({ periods }) => periods.length > 1);
	if (enough.length === 0)
		return section(
			"effect",
			heading,
			html`<p class="wide">A novelty effect can be assessed when two periods have enough people.</p>`,
		);
	const several = effects.length > 1;
	return section(
		"effect",
		heading,
		html`<p class="soft wide">Improvement of the goal for the people first seen in each period. A novelty effect gets smaller over time.
Unlike above, each bar is valid on its own, not all together.</p>
<div class="grid">${enough.map((one, index) => effectFigure(report, one, index, several))}</div>`,
	);
}

function effectFigure({ metrics }: Report, effect: EffectByPeriod, index: number, several: boolean): Markup {
	const { periods, line, relative, halves, arm } = effect;
	const scale = scaleOf(metrics[effect.metric], relative);
	const name = `${claimName({ ...effect, role: "goal" }, metrics[effect.metric])}${several ? ` of ${arm}` : ""}`;
	const points = periods.map(({ fromMs, toMs, improvement, lower, upper }) => ({
		...{ atMs: (fromMs + toMs) / 2, improvement, lower, upper },
	}));
	const { picture } = boundsPicture(`e${index}`, points, { line, scale, name }, "bars");
	return html`<figure><figcaption><b>${named(name)}</b>, ${unitOf(scale)}${plain(periods.length)} periods. ${trend(halves, scale)}</figcaption>
${picture}</figure>
`;
}

function trend(halves: EffectByPeriod["halves"], scale: ReturnType<typeof scaleOf>): string {
	if (halves === null) return "Too few people to compare the first half with the second.";
	const { early, late, lateFromMs } = halves;
	const both = `first half ${size(scale, early.improvement)}, from ${utc(lateFromMs)} on ${size(scale, late.improvement)}`;
	if (halves.trend === "fades") return `It fades: ${both}. Promotion waits for a person.`;
	if (halves.trend === "weaker") return `It is weaker with those who came later: ${both}.`;
	return `No fading is seen: ${both}.`;
}

export function beliefsSection({ beliefs, experiment, metrics }: Report): Markup {
	const heading = "Chance to win and expected loss";
	const never = html`<p class="note"><b>For information only.</b> These Bayesian numbers are not valid at every look, and the rollout does not use them. Priors are flat; the sceptical prior expects a loss of the target’s size as often as a gain.</p>`;
	if (beliefs === null) {
		const why =
			experiment.spec.goal === null
				? "No goal is declared, so there is nothing to win."
				: "The arms’ data do not allow it yet: every arm needs at least two people with a value, and values that differ.";
		return section("beliefs", heading, html`${never}<p class="wide">${why}</p>`);
	}
	const scale = scaleOf(metrics[beliefs.metric], false);
	const rows = beliefs.arms.map(({ arm, baseline, chanceToWin, expectedLoss, againstBaseline }) => [
		html`${named(arm)}${baseline ? html` <span class="soft">baseline</span>` : null}`,
		chance(chanceToWin),
		againstBaseline === null ? "–" : chance(againstBaseline.flat),
		againstBaseline === null || againstBaseline.sceptic === null ? "–" : chance(againstBaseline.sceptic),
		size(scale, expectedLoss, 2).replace("+", ""),
	]);
	return section("beliefs", heading, html`${never}${table(`By ${beliefs.metric}`, BELIEF_COLUMNS, rows)}`);
}

/** Never 0 % or 100 %: rounding must not make certainty. */
function chance(value: number): string {
	if (value < 1e-4) return "below 0.01 %";
	if (value > 1 - 1e-4) return "above 99.99 %";
	return `${plain(value * 100, value > 0.99 ? 4 : 3)} %`;
}

const BELIEF_COLUMNS = [
	{ head: "Arm", className: "name" },
	{ head: "Chance to be the best", className: "n" },
	{ head: "to beat the baseline", className: "n" },
	{ head: "for a sceptic", className: "n" },
	{ head: "Loss on average, if it is chosen", className: "n" },
] as const;
