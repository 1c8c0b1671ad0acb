/** The calibration's tables in Markdown, and its RESULT line. */
import { upper99, type Verdict, verdictOf } from "./evidence.js";
import type { Tally, Wrong } from "./experiment.js";
import { ALPHA, FIRST_LOOKS, type Scenario } from "./scenarios.js";

export interface Calibrated {
	readonly scenario: Scenario;
	readonly exact: boolean;
	readonly tally: Tally;
}

const share = (count: number, of: number): string => `${((100 * count) / of).toFixed(2)} %`;

/** The worse of the two sides: each is a claim of its own at ALPHA. */
const worst = ({ above, below }: Wrong): number => Math.max(above, below);

export function verdict({ tally }: Calibrated): Verdict {
	const alarms = verdictOf(worst(tally.always), tally.experiments);
	return verdictOf(tally.always.missed, tally.experiments) === "excess" ? "excess" : alarms;
}

export function exactTable(results: readonly Calibrated[]): readonly string[] {
	return [
		"| outcome | method | line | false claims above | below | 99 % upper bound of the worse | coverage at all looks | verdict |",
		"|---|---|---|---|---|---|---|---|",
		...results
			.filter(({ exact }) => exact)
			.map((result) => {
				const { scenario, tally } = result;
				const { above, below, missed } = tally.always;
				const of = tally.experiments;
				return `| ${scenario.name} | ${scenario.method} | ${scenario.line} | ${share(above, of)} | ${share(below, of)} | ${(100 * upper99(worst(tally.always), of)).toFixed(2)} % | ${share(of - missed, of)} | ${verdict(result)} |`;
			}),
	];
}

/** False claims of the worse side by first look, with the tail rule; bold if evidence exceeds the level. */
export function asymptoticTable(results: readonly Calibrated[]): readonly string[] {
	return [
		`| outcome | method | line | ${FIRST_LOOKS.map((units) => `from ${units}`).join(" | ")} | holds from |`,
		`|---|---|---|${FIRST_LOOKS.map(() => "---|").join("")}---|`,
		...results
			.filter(({ exact }) => !exact)
			.map((result) => {
				const { scenario, tally } = result;
				const cells = tally.from.map((wrong) => {
					const text = share(worst(wrong), tally.experiments);
					return verdictOf(worst(wrong), tally.experiments, scenario.alpha) === "excess" ? `**${text}**` : text;
				});
				const from = holdsFrom(result);
				return `| ${scenario.name} | ${scenario.method} | ${scenario.line} | ${cells.join(" | ")} | ${from ?? "nowhere here"} |`;
			}),
	];
}

/** The smallest first look after which neither false claims nor misses exceed the level; null: none. */
export function holdsFrom({ scenario, tally }: Calibrated): number | null {
	const excess = tally.from.map(
		(wrong) =>
			verdictOf(worst(wrong), tally.experiments, scenario.alpha) === "excess" ||
			verdictOf(wrong.missed, tally.experiments, scenario.alpha) === "excess",
	);
	return FIRST_LOOKS[excess.lastIndexOf(true) + 1] ?? null;
}

export function resultLine(results: readonly Calibrated[]): string {
	const exact = results.filter((result) => result.exact);
	const bounds = exact.map(({ tally }) => upper99(worst(tally.always), tally.experiments));
	const coverages = exact.map(({ tally }) => 1 - tally.always.missed / tally.experiments);
	const figure = (value: number): number => Number(value.toFixed(4));
	return `RESULT ${JSON.stringify({
		worstExactFalseAlarmUpper99: figure(Math.max(...bounds)),
		alpha: ALPHA,
		coverageMin: figure(Math.min(...coverages)),
	})}`;
}
