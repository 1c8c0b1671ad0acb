/**
 * One interval as a row of a forest plot: no change as a thin line, the line that counts dashed, the estimate as a mark
 * whose shape shows the verdict (disc: proved; diamond: harm; ring: open).
 */
import { scaleLinear } from "d3-scale";
import { endsOf } from "../../../infer/statistics/finding.js";
import { type Scale, size } from "../format.js";
import { type Content, html, type Markup } from "../markup.js";
import { domainOf, type Linear, label, line, picture, px, sizeTick } from "./chart.js";

export interface IntervalRow {
	readonly improvement: number | null;
	readonly lower: number | null;
	readonly upper: number | null;
	readonly line: number;
	readonly verdict: "pass" | "harm" | "open" | "unknown";
}

const WIDTH = 320;
const LEFT = 12;
const RIGHT = WIDTH - 12;

/** An axis that holds all of these rows. */
export function axisOf(intervals: readonly IntervalRow[]): readonly [number, number] {
	return domainOf(
		intervals.flatMap(({ improvement, lower, upper, line }) =>
			[0, line, improvement, lower, upper].filter((value) => value !== null),
		),
	);
}

/** @param withAxis with ticks under it; in a table of rows they stand under the last one alone */
export function intervalPicture(
	row: IntervalRow,
	domain: readonly [number, number],
	scale: Scale,
	withAxis: boolean,
	label: string,
): Markup {
	const x = scaleLinear([...domain], [LEFT, RIGHT]);
	const [top, bottom] = [4, 32];
	const content: Content = [
		line("zero", x(0), top, x(0), bottom),
		line("asked", x(row.line), top, x(row.line), bottom),
		interval(row, x, (top + bottom) / 2),
		withAxis ? axis(x, bottom, scale) : null,
	];
	return picture({ width: WIDTH, height: withAxis ? 50 : 36 }, label, content);
}

/** The axis alone, under the rows of a table. */
export function axisPicture(domain: readonly [number, number], scale: Scale): Markup {
	const x = scaleLinear([...domain], [LEFT, RIGHT]);
	return html`<svg viewBox="0 0 ${WIDTH} 20" aria-hidden="true" xmlns="http://www.w3.org/2000/svg">${axis(x, 2, scale)}</svg>`;
}

function axis(x: Linear, y: number, scale: Scale): Content {
	return [
		line("axis", LEFT, y, RIGHT, y),
		x
			.ticks(4)
			.map((value) => [
				line("axis", x(value), y, x(value), y + 4),
				label(sizeTick(scale, value), x(value), y + 15, "middle"),
			]),
	];
}

function interval({ improvement, verdict, ...bounds }: IntervalRow, x: Linear, y: number): Content {
	const ends = endsOf(bounds);
	if (ends === null) return label("not known", (LEFT + RIGHT) / 2, y + 4, "middle");
	const { lower, upper } = ends;
	const className = verdict === "pass" ? "pass" : verdict === "harm" ? "harm" : "hollow";
	const [low, high] = [x(Math.max(lower, x.domain()[0] ?? lower)), x(Math.min(upper, x.domain()[1] ?? upper))];
	return [
		line(`bar ${className}`, low, y, high, y),
		end(lower, low, y, className, -1),
		end(upper, high, y, className, 1),
		improvement === null ? null : mark(className, x(improvement), y),
	];
}

/** A cap, or an arrow where there is no bound. */
function end(bound: number, x: number, y: number, className: string, way: 1 | -1): Content {
	if (Number.isFinite(bound)) return line(`bar ${className}`, x, y - 5, x, y + 5);
	return html`<path class="bar ${className}" d="M${px(x)},${y} l${-6 * way},-5 v10 z"/>`;
}

export function mark(className: string, x: number, y: number): Markup {
	if (className === "harm") return html`<path class="dot harm" d="M${px(x)},${px(y - 6)} l6,6 -6,6 -6,-6 z"/>`;
	return html`<circle class="dot ${className}" cx="${px(x)}" cy="${px(y)}" r="${className === "pass" ? 5 : 4.5}"/>`;
}

/** `+1.2 pp, between +0.3 pp and +2.1 pp`. */
export function intervalText({ improvement, ...bounds }: IntervalRow, scale: Scale): string {
	const ends = endsOf(bounds);
	if (ends === null) return "not known";
	const between = `between ${size(scale, ends.lower)} and ${size(scale, ends.upper)}`;
	return improvement === null ? between : `${size(scale, improvement)}, ${between}`;
}
