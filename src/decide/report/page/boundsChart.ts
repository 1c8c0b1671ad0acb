/**
 * An interval against time: as a band where it is one claim at many looks, as bars where each period stands for itself.
 * Bounds many times wider than the narrowest would press the rest flat: they run out of the picture, and the caption reports it.
 */
import { area, line as lineOf } from "d3-shape";
import { type Scale, size, utc } from "../format.js";
import { type Content, html, type Markup } from "../markup.js";
import { type Linear, line, path, picture, px, rows, sizeTick, timeScale, times, valueScale } from "./chart.js";
import { mark } from "./interval.js";

export interface BoundsPoint {
	readonly atMs: number;
	readonly improvement: number | null;
	readonly lower: number;
	readonly upper: number;
}

export interface BoundsPicture {
	readonly picture: Markup;
	/** Some bounds lie outside. */
	readonly cut: boolean;
}

const [WIDTH, HEIGHT] = [340, 190];
const [LEFT, RIGHT, TOP, BOTTOM] = [48, WIDTH - 10, 10, HEIGHT - 24];

/** Bounds wider than so many times the narrowest do not set the axis. */
const WIDER_MAX = 6;

/** @param id unique in the page @param points at least two, oldest first */
export function boundsPicture(
	id: string,
	points: readonly BoundsPoint[],
	claim: { readonly line: number; readonly scale: Scale; readonly name: string },
	form: "band" | "bars",
): BoundsPicture {
	const { scale } = claim;
	const narrowest = Math.min(...points.map(({ lower, upper }) => upper - lower));
	const setting = points.filter(({ lower, upper }) => upper - lower <= WIDER_MAX * narrowest);
	const levels = setting.flatMap(({ lower, upper, improvement }) => [lower, upper, improvement ?? lower]);
	const y = valueScale([0, claim.line, ...levels], BOTTOM, TOP);
	const [low = 0, high = 0] = y.domain();
	const x = timeScale(points[0]?.atMs ?? 0, points.at(-1)?.atMs ?? 0, LEFT + 4, RIGHT - 4);
	const content: Content = [
		html`<clipPath id="${id}"><rect x="${LEFT}" y="${TOP - 4}" width="${RIGHT - LEFT}" height="${BOTTOM - TOP + 8}"/></clipPath>`,
		rows(y, RIGHT, LEFT, (value) => sizeTick(scale, value)),
		line("zero", LEFT, y(0), RIGHT, y(0)),
		html`<g clip-path="url(#${id})">${form === "band" ? band(points, x, y) : bars(points, x, y)}</g>`,
		line("asked", LEFT, y(claim.line), RIGHT, y(claim.line)),
		times(x, HEIGHT - 6),
	];
	return {
		picture: picture({ width: WIDTH, height: HEIGHT }, wordsOf(points, claim.name, scale, form), content),
		cut: points.some(({ lower, upper }) => lower < low || upper > high),
	};
}

function band(points: readonly BoundsPoint[], x: Linear, y: Linear): Content {
	const at = (point: BoundsPoint): number => px(x(point.atMs));
	const of = (value: number): number => px(drawn(y, value));
	const estimated = points.filter(({ improvement }) => improvement !== null);
	const last = estimated.at(-1);
	return [
		path(
			"band",
			area<BoundsPoint>(
				at,
				(point) => of(point.lower),
				(point) => of(point.upper),
			)([...points]),
		),
		path("bound", lineOf<BoundsPoint>(at, (point) => of(point.lower))([...points])),
		path("bound", lineOf<BoundsPoint>(at, (point) => of(point.upper))([...points])),
		path("estimate", lineOf<BoundsPoint>(at, (point) => of(point.improvement ?? 0))(estimated)),
		last === undefined
			? null
			: html`<circle cx="${at(last)}" cy="${of(last.improvement ?? 0)}" r="3.5" fill="var(--mark)"/>`,
	];
}

/** Far out of the picture where there is no bound. */
function drawn(y: Linear, value: number): number {
	return y(Math.min(1e9, Math.max(-1e9, value)));
}

function bars(points: readonly BoundsPoint[], x: Linear, y: Linear): Content {
	return points.map(({ atMs, improvement, lower, upper }) => [
		line("bar hollow", x(atMs), drawn(y, lower), x(atMs), drawn(y, upper)),
		improvement === null ? null : mark("hollow", x(atMs), y(improvement)),
	]);
}

function wordsOf(points: readonly BoundsPoint[], name: string, scale: Scale, form: "band" | "bars"): string {
	const [first, last] = [points[0], points.at(-1)];
	if (first === undefined || last === undefined) return name;
	const one = ({ improvement, lower, upper, atMs }: BoundsPoint): string =>
		`${improvement === null ? "" : `${size(scale, improvement)}, `}between ${size(scale, lower)} and ${size(scale, upper)} at ${utc(atMs)}`;
	const what = form === "band" ? "improvement over time" : "improvement by period";
	return `${name}, ${what}, ${points.length} looks: at first ${one(first)}; at last ${one(last)}`;
}
