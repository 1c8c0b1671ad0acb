/** The sequential p-value of the sample ratio against time, by powers of ten. */
import { scaleLinear } from "d3-scale";
import { line as lineOf } from "d3-shape";
import { pValue, utc } from "../format.js";
import { type Content, html, type Markup } from "../markup.js";
import type { SampleRatioReport } from "../sampleRatio.js";
import { label, line, path, picture, px, timeScale, times } from "./chart.js";

const [WIDTH, HEIGHT] = [340, 170];
const [LEFT, RIGHT, TOP, BOTTOM] = [52, WIDTH - 10, 10, HEIGHT - 24];

/** p below it is drawn at it: it alarmed long before. */
const EXPONENT_MIN = -6;

const POWERS: Readonly<Record<number, string>> = { 0: "1", [-2]: "10⁻²", [-4]: "10⁻⁴", [-6]: "10⁻⁶" };

/** @param history at least two */
export function sampleRatioPicture({ history, alpha }: SampleRatioReport): Markup {
	const exponent = (p: number): number => Math.max(EXPONENT_MIN, Math.min(0, Math.log10(p)));
	const y = scaleLinear([EXPONENT_MIN, 0], [BOTTOM, TOP]);
	const x = timeScale(history[0]?.atMs ?? 0, history.at(-1)?.atMs ?? 0, LEFT + 4, RIGHT - 4);
	const points = history.map(({ atMs, p }): [number, number] => [px(x(atMs)), px(y(exponent(p)))]);
	const last = points.at(-1);
	const content: Content = [
		Object.keys(POWERS)
			.map(Number)
			.map((power) => [
				line("axis", LEFT, y(power), RIGHT, y(power)),
				label(POWERS[power] ?? "", LEFT - 6, y(power) + 3.5, "end"),
			]),
		line("asked", LEFT, y(Math.log10(alpha)), RIGHT, y(Math.log10(alpha))),
		path("estimate", lineOf()(points)),
		last === undefined ? null : html`<circle cx="${last[0]}" cy="${last[1]}" r="3.5" fill="var(--mark)"/>`,
		times(x, HEIGHT - 6),
	];
	const now = history.at(-1);
	const least = Math.min(...history.map(({ p }) => p));
	const text = `p of the sample ratio over time, ${history.length} looks: ${pValue(now?.p ?? 1)} at ${utc(now?.atMs ?? 0)}, never below ${pValue(least)}; the alarm is at ${alpha}`;
	return picture({ width: WIDTH, height: HEIGHT }, text, content);
}
