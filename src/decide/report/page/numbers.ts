/** Every number that the tests used, unrounded, and every decision with its reason. */
import type { MetricEvidence } from "../../../infer/statistics/evidence.js";
import { exact, utc } from "../format.js";
import { html, type Markup } from "../markup.js";
import type { DecisionReport, Report } from "../report.js";
import { named, section, table } from "./table.js";

export function numbersSection({ evidence, claims, segmentHarms, name }: Report): Markup {
	const heading = "The numbers, to compute again";
	if (evidence === null) return section("numbers", heading, html`<p class="wide">There is no evidence yet.</p>`);
	const moments = evidence.evidence.arms.flatMap(({ arm, metrics }) =>
		Object.entries(metrics).map(([metric, own]) => [
			html`${named(metric)} in ${named(arm)}`,
			exact(own.n),
			exact(own.mean),
			exact(own.m2),
			together(own),
		]),
	);
	const findings = [...claims, ...segmentHarms].map((finding) => [
		html`${named(finding.metric)} of ${named(finding.arm)}${finding.segment === undefined ? null : html` where ${named(finding.segment.name)} is ${finding.segment.value === null ? "rarer" : named(finding.segment.value)}`}`,
		`${finding.role}, ${finding.verdict}`,
		finding.method,
		finding.relative === true ? "share of the baseline" : "difference",
		exact(finding.improvement),
		exact(finding.lower),
		exact(finding.upper),
		exact(finding.standardError),
		exact(finding.line),
		exact(finding.alpha),
		exact(finding.harmAlpha ?? finding.alpha),
		exact(finding.logE),
		finding.note,
	]);
	return section(
		"numbers",
		heading,
		html`<p class="soft wide">Not rounded. One value per person; m2 is the sum of squared deviations from the mean. Positive improvements are better.
The lower bound is valid at alpha, the upper bound at harm alpha, at all looks. <code>weir report ${name} --json</code> prints all of this page’s numbers,
<code>weir decisions ${name} --recompute</code> recomputes every decision.</p>
<details><summary>What was measured (${moments.length})</summary>${moments.length === 0 ? html`<p>Nothing yet.</p>` : table("Moments by metric and arm", MOMENTS, moments)}</details>
<details><summary>What was concluded (${findings.length})</summary>${findings.length === 0 ? html`<p>Nothing yet.</p>` : table("Findings", FINDINGS, findings)}</details>`,
	);
}

function together({ co }: MetricEvidence): string {
	return co === undefined ? "–" : `means ${co.means.join(" ")}; m2 ${co.m2.join(" ")}`;
}

const number = (head: string) => ({ head, className: "n" }) as const;
const MOMENTS = [
	{ head: "Metric", className: "name" },
	number("n"),
	number("mean"),
	number("m2"),
	{ head: "with denominator, covariate" },
] as const;
const FINDINGS = [
	{ head: "Claim", className: "name" },
	{ head: "Verdict" },
	{ head: "Method" },
	{ head: "Scale" },
	...["improvement", "lower", "upper", "standard error", "line", "alpha", "harm alpha", "ln e"].map(number),
	{ head: "Note" },
] as const;

export function decisionsSection({ decisions, name }: Report): Markup {
	const heading = "All decisions";
	if (decisions.length === 0) return section("decisions", heading, html`<p class="wide">There is no decision yet.</p>`);
	return section(
		"decisions",
		heading,
		html`<p class="soft wide">Newest first. Each decision uses only stored numbers; <code>weir decisions ${name}</code> prints the exact sentences.</p>
<ol class="log" reversed="reversed">
${[...decisions].reverse().map(entry)}</ol>`,
	);
}

function entry({ sequence, atMs, by, action, rule, summary, reason }: DecisionReport): Markup {
	const who = by === "weir" ? `by rule ${rule}` : html`by ${named(by)}`;
	return html`<li value="${sequence}"><b>${sequence}</b><span>${action}<br/><span class="soft"><time datetime="${isoTime(atMs)}">${utc(atMs)}</time><br/>${who}</span></span><span>${summary ?? reason}</span></li>
`;
}

function isoTime(ms: number): string {
	return utc(ms).replace(" UTC", "Z").replace(" ", "T");
}
