/**
 * What all pictures share: the frame, ticks and the text alternative. Coordinates are rounded to tenths, so that the
 * same input gives the same bytes without useless digits.
 */
import { type ScaleLinear, scaleLinear } from "d3-scale";
import { factor, plain, type Scale, shortTime, signed } from "../format.js";
import { type Content, html, type Markup, NOTHING } from "../markup.js";

export type Linear = ScaleLinear<number, number>;

/** A picture with its text alternative. */
export function picture(
	size: { readonly width: number; readonly height: number; readonly className?: string },
	label: string,
	content: Content,
): Markup {
	const { width, height, className = "" } = size;
	return html`<svg class="${className}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}" xmlns="http://www.w3.org/2000/svg">${content}</svg>`;
}

/** Tenths of a pixel. */
export function px(value: number): number {
	const tenths = Math.round(value * 10) / 10;
	return tenths === 0 ? 0 : tenths;
}

export function line(className: string, x1: number, y1: number, x2: number, y2: number): Markup {
	return html`<line class="${className}" x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}"/>`;
}

export function label(text: string, x: number, y: number, anchor: "start" | "middle" | "end" = "start"): Markup {
	return html`<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}">${text}</text>`;
}

/** A path of d3-shape; nothing where there are no points. */
export function path(className: string, d: string | null): Markup {
	return d === null || d === "" ? NOTHING : html`<path class="${className}" d="${d}"/>`;
}

/** From the least to the greatest of the finite ones, with a little air; never empty. */
export function domainOf(values: readonly number[]): readonly [number, number] {
	const finite = values.filter(Number.isFinite);
	const [low, high] = finite.length === 0 ? [0, 0] : [Math.min(...finite), Math.max(...finite)];
	const air = high > low ? (high - low) * 0.06 : Math.abs(high) * 0.1 || 1e-3;
	return [low - air, high + air];
}

/** The label of a tick of an effect's axis, with the unit at the first alone. */
export function sizeTick(scale: Scale, value: number): string {
	return signed(Number((value * factor(scale)).toPrecision(6)), 6);
}

/** Horizontal rules with their values at the left. */
export function rows(y: Linear, right: number, left: number, write: (value: number) => string, about = 4): Content {
	return y
		.ticks(about)
		.map((value) => [
			line("axis", left, y(value), right, y(value)),
			label(write(value), left - 6, y(value) + 3.5, "end"),
		]);
}

/** Times under a picture: the first, the last and, where there is room, one between. */
export function times(x: Linear, y: number): Content {
	const [from = 0, to = 0] = x.domain();
	const [left = 0, right = 0] = x.range();
	const between = right - left > 400 ? [1 / 3, 2 / 3] : [1 / 2];
	const write = (ms: number): string => shortTime(ms, to - from);
	return [
		label(write(from), left, y),
		between.map((share) => label(write(from + share * (to - from)), left + share * (right - left), y, "middle")),
		label(write(to), right, y, "end"),
	];
}

/** Linear, and never of no length. */
export function timeScale(fromMs: number, toMs: number, left: number, right: number): Linear {
	return scaleLinear([fromMs, toMs > fromMs ? toMs : fromMs + 1], [left, right]);
}

export function valueScale(values: readonly number[], bottom: number, top: number): Linear {
	return scaleLinear([...domainOf(values)], [bottom, top]);
}

/** `12,000`, or `12 k` where room is short. */
export function people(count: number): string {
	return plain(count, 15);
}
