/** Each arm by itself, as a table. */
import { claimName, level, plain } from "../format.js";
import type { LevelReport } from "../levels.js";
import { LEVEL_ALPHA } from "../levels.js";
import { html, type Markup } from "../markup.js";
import type { Report } from "../report.js";
import { people } from "./chart.js";
import { named, section, table } from "./table.js";

export function levelsSection({ levels, metrics }: Report): Markup {
	const heading = "Levels of the arms";
	if (levels.length === 0) return section("levels", heading, html`<p class="wide">Nothing has been measured yet.</p>`);
	const rows = levels.map((one) => {
		const metric = metrics[one.metric];
		const { lower, upper } = one;
		const between = lower === null || upper === null ? one.note : `${level(metric, lower)} to ${level(metric, upper)}`;
		return [
			named(claimName(one, metric)),
			html`${named(one.arm)}${one.baseline ? html` <span class="soft">baseline</span>` : null}`,
			people(one.units),
			one.level === null ? "–" : level(metric, one.level),
			html`${between}${quantileWords(one)}`,
		];
	});
	return section(
		"levels",
		heading,
		html`<p class="soft wide">Each arm on its own; decisions use the comparison above. Each interval is a ${plain(100 - 100 * LEVEL_ALPHA)}\u00A0% interval, valid at every look:
exact for shares, approximate for means until there are enough people.</p>
${table("Levels by metric and arm", COLUMNS, rows)}`,
	);
}

/** Text about a request of a person drawn at random. */
function quantileWords({ quantile }: LevelReport): string | null {
	if (quantile === null) return null;
	const { q, thresholdMs, side } = quantile;
	const name = `p${plain(q * 100, 5)}`;
	const at = `${plain(thresholdMs, 4)}\u00A0ms`;
	if (side === null) return `; ${name} is not yet known to lie below or above ${at}`;
	return `; ${name} is proved to be at ${side === "below" ? "most" : "least"} ${at}`;
}

const COLUMNS = [
	{ head: "Metric", className: "name" },
	{ head: "Arm", className: "name" },
	{ head: "People", className: "n" },
	{ head: "Level", className: "n" },
	{ head: "Between" },
] as const;
