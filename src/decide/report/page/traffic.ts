/** Who was exposed to what and when: allocation, exposures, sample ratio, and traffic that did not become evidence. */

import { RATIO_MAX } from "../../../infer/statistics/sequential/bernoulliBounds.js";
import { percent } from "../../rollout/sentence.js";
import { heldBackOf } from "../../rollout/status.js";
import { plain, pValue, utc } from "../format.js";
import type { HealthReport } from "../health.js";
import { html, type Markup } from "../markup.js";
import type { Quality } from "../quality.js";
import type { Report } from "../report.js";
import { allocationPictures } from "./allocationChart.js";
import { people } from "./chart.js";
import { sampleRatioPicture } from "./sampleRatioChart.js";
import { named, section, table } from "./table.js";

export function allocationSection({ allocation, decisions, atMs, status, experiment }: Report): Markup {
	const heading = "Traffic and decisions over time";
	if (allocation.length === 0)
		return section(
			"allocation",
			heading,
			html`<p class="wide">There is no decision yet, so the allocation has not changed.</p>`,
		);
	const takeover = allocation.some(({ takeoverPpm }) => takeoverPpm > 0);
	const steps = experiment.spec.rollout.stepsPpm.map(percent).join(", ");
	return section(
		"allocation",
		heading,
		html`<figure><figcaption>Solid: share of the experiment’s slot that is in one of its arms, now ${percent(allocation.at(-1)?.allocationPpm ?? 0)} (declared steps ${steps}).
${takeover ? html`Dashed: what the winner has taken over of the rest, ${percent(status.promotion?.takeoverPpm ?? 0)}. ` : null}Numbers are <a href="#decisions">decisions</a>; a diamond took traffic away or paused.</figcaption>
${allocationPictures(allocation, decisions, atMs)}</figure>`,
	);
}

export function exposureSection({ evidence, experiment, sampleRatio }: Report): Markup {
	const heading = "People and sample ratio";
	if (evidence === null || sampleRatio === null)
		return section("exposure", heading, html`<p class="wide">No unit has been counted yet.</p>`);
	const { test, classic, alpha, arms, history, restarted } = sampleRatio;
	const columns = [
		{ head: "Arm", className: "name" },
		{ head: "Variant", className: "name" },
		{ head: "Exposed", className: "n" },
		{ head: "Measured", className: "n" },
		{ head: "Counted for the ratio", className: "n" },
		{ head: "Expected", className: "n" },
		{ head: "Difference", className: "n" },
	] as const;
	const rows = experiment.spec.arms.map(({ name, variant, baseline }) => {
		const own = evidence.evidence.arms.find(({ arm }) => arm === name);
		const ratio = arms.find(({ arm }) => arm === name);
		const [units, expected] = [ratio?.units ?? 0, ratio?.expected ?? 0];
		return [
			html`${named(name)}${baseline ? html` <span class="soft">baseline</span>` : null}`,
			named(variant),
			people(own?.exposedUnits ?? 0),
			people(own?.maturedUnits ?? 0),
			people(units),
			people(Math.round(expected)),
			expected > 0 ? `${plain((units / expected - 1) * 100, 2)} %` : "–",
		];
	});
	const verdict =
		test === null
			? "The sample ratio cannot be tested yet: it needs two live arms with people."
			: test.p < alpha
				? `People do not come to the arms in the promised ratio (p ${pValue(test.p)}, alarm below ${alpha}): something loses or favours one arm, and no effect can be trusted.`
				: `People come to the arms in the promised ratio (p ${pValue(test.p)}, alarm below ${alpha}; valid at every look).`;
	const bad = test !== null && test.p < alpha;
	const once =
		classic === null
			? null
			: html`<p class="soft wide">Pearson’s chi-square test, valid for a single look: p ${pValue(classic.pValue)} (${plain(classic.statistic)} with ${classic.degreesOfFreedom} ${classic.degreesOfFreedom === 1 ? "degree" : "degrees"} of freedom).</p>`;
	return section(
		"exposure",
		heading,
		html`<p class="${bad ? "note bad" : "wide"}">${verdict}${restarted ? " People from before a person’s resume are left out of the ratio." : null}</p>
${table("People by arm", columns, rows)}${once}
${
	history.length < 2
		? html`<p class="soft">A chart over time needs at least two looks.</p>`
		: html`<div class="grid"><figure><figcaption><b>p of the sample ratio</b>, ${plain(history.length)} looks, one at each decision; dashed: alarm</figcaption>
${sampleRatioPicture(sampleRatio)}</figure></div>`
}`,
	);
}

export function qualitySection({ quality, evidence, health, status }: Report): Markup {
	const heading = "Data quality";
	if (quality === null || evidence === null)
		return section("quality", heading, html`<p class="wide">There is no evidence yet.</p>`);
	const from =
		evidence.from === "store"
			? `Evidence as of ${utc(evidence.evidence.asOfMs)}.`
			: `Fresh evidence could not be had; these are the numbers that decision ${evidence.sequence} was made on, as of ${utc(evidence.evidence.asOfMs)}.`;
	const trouble =
		quality.troubles.length === 0
			? html`<p class="wide">No problem was found: the rollout uses these data. ${from}</p>`
			: html`<div class="note bad"><b>The rollout does not use these data.</b>${quality.troubles.map((one) => html`<p>${one}.</p>`)}</div><p class="wide">${from}</p>`;
	return section(
		"quality",
		heading,
		html`${trouble}${table("What did not become evidence", COUNTED, counted(quality, isStopped(status)))}${healthTable(health)}`,
	);
}

/** Empty without requests. */
function healthTable(health: readonly HealthReport[]): Markup | null {
	if (health.length === 0) return null;
	const rows = health.map(({ variant, requests, failures, againstBaseline: ratio }) => [
		named(variant),
		people(requests),
		people(failures),
		ratio === null
			? "–"
			: ratio.upper >= RATIO_MAX
				? `at least ${plain(ratio.lower, 2)} times`
				: `${plain(ratio.lower, 2)} to ${plain(ratio.upper, 2)} times`,
	]);
	return html`${table("Requests of the last minute at most", HEALTH, rows)}
<p class="soft wide">The last column is a 95\u00A0% interval for independent failures; one outage affects many requests at once. Decisions on failures count people, not requests.</p>`;
}

const HEALTH = [
	{ head: "Variant", className: "name" },
	{ head: "Requests", className: "n" },
	{ head: "Failed", className: "n" },
	{ head: "Rate of failures, against the baseline’s" },
] as const;

const COUNTED = [{ head: "What" }, { head: "Count", className: "n" }, { head: "What is done with it" }] as const;

/** Whether what was still open when a takeover began is left out. */
const isStopped = (status: Report["status"]): boolean => status.takeover !== undefined && heldBackOf(status) === null;

function counted(quality: Quality, stopped: boolean) {
	const { droppedEntries, conflictingUnits, forcedUnits, waitingUnits, missing, newestOutcomeMs } = quality;
	return [
		["Access-log entries lost", people(droppedEntries), "gone; above 1 % of the people nothing is promoted"],
		["People seen in two arms", people(conflictingUnits), "left out; above 1 % nothing is promoted"],
		["People whose arm was forced", people(forcedUnits), "left out; above 5 % nothing is promoted"],
		[
			"People whose window is still open",
			people(waitingUnits),
			stopped ? "left out: a takeover began before it closed" : "count when it has closed",
		],
		...missing.map(({ metric, arm, units, of }) => [
			html`No outcome of ${named(metric)} in ${named(arm)}`,
			people(units),
			`left out of ${people(of)}${of > 0 ? ` (${plain((units / of) * 100, 2)} %)` : ""}; unequal shares stop promotion`,
		]),
		...Object.entries(newestOutcomeMs).map(([metric, ms]) => [html`Newest outcome of ${named(metric)}`, "", utc(ms)]),
	];
}
