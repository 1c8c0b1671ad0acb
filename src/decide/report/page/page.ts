/**
 * The report as one page: no script, no network, no web fonts. Its own policy forbids everything but the style that
 * stands in it, so that even markup that came in by a mistake could load and run nothing.
 */

import { utc } from "../format.js";
import { html, Markup } from "../markup.js";
import type { Report } from "../report.js";
import { claimsSection, historySection } from "./claims.js";
import { levelsSection } from "./levels.js";
import { decisionsSection, numbersSection } from "./numbers.js";
import { beliefsSection, effectSection, segmentsSection } from "./parts.js";
import { STYLE } from "./style.js";
import { named } from "./table.js";
import { allocationSection, exposureSection, qualitySection } from "./traffic.js";

const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const CONTENTS = [
	["claims", "Goal and guardrails"],
	["history", "Over time"],
	["levels", "Levels"],
	["allocation", "Traffic"],
	["exposure", "People"],
	["segments", "Segments"],
	["effect", "Novelty"],
	["beliefs", "Chances"],
	["quality", "Data quality"],
	["numbers", "Numbers"],
	["decisions", "Decisions"],
] as const;

/** A whole document, well-formed as XML too. The same report gives the same bytes. */
export function reportPage(report: Report): string {
	const { name, atMs, experiment, answer, evidence } = report;
	const arms = experiment.spec.arms.map(
		(arm, index) => html`${index === 0 ? null : ", "}${named(arm.name)}${arm.baseline ? " (baseline)" : null}`,
	);
	const page = html`<html lang="en" xmlns="http://www.w3.org/1999/xhtml">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="${POLICY}"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="referrer" content="no-referrer"/>
<title>${name}: ${answer.state}</title>
<style>${new Markup(STYLE)}</style>
</head>
<body>
<header>
<p class="soft">Experiment on Service ${named(experiment.spec.service)}, ${utc(atMs)}</p>
<h1>${named(name)}</h1>
<p class="soft">Arms ${arms}</p>
</header>
<main>
<section class="answer" aria-labelledby="answer-h">
<h2 id="answer-h"><span class="chip ${answer.tone}">${SIGN[answer.tone]} ${answer.state}</span></h2>
<p class="lead">${answer.sentence}</p>
${answer.because === "" ? null : html`<p class="because">${answer.because}</p>`}
<dl class="next">
<dt>What happens next</dt><dd>${answer.next}</dd>
${answer.howLong === "" ? null : html`<dt>How long</dt><dd>${answer.howLong}</dd>`}
</dl>
${evidence?.from === "decision" ? html`<p class="note">Current evidence is unavailable: the numbers below are those of decision ${evidence.sequence}.</p>` : null}
</section>
<nav aria-label="Contents"><ul>${CONTENTS.map(([id, word]) => html`<li><a href="#${id}">${word}</a></li>`)}</ul></nav>
${claimsSection(report)}${historySection(report)}${levelsSection(report)}${allocationSection(report)}${exposureSection(report)}${segmentsSection(report)}${effectSection(report)}${beliefsSection(report)}${qualitySection(report)}${numbersSection(report)}${decisionsSection(report)}</main>
<footer><p class="soft">Written by Weir at ${utc(atMs)}. All times are UTC. This page loads nothing and runs nothing.</p></footer>
</body>
</html>
`;
	return `<!DOCTYPE html>\n${page.text}`;
}

const SIGN = { good: "✓", bad: "✕", open: "…" } as const;
