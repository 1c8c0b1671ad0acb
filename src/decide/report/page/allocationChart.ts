/** The share in the experiment against time, and the winner's takeover; decisions as numbered marks above it. */
import { scaleLinear } from "d3-scale";
import { curveStepAfter, line as lineOf } from "d3-shape";
import { percent } from "../../rollout/sentence.js";
import { utc } from "../format.js";
import { type Content, html, type Markup } from "../markup.js";
import type { DecisionReport } from "../report.js";
import type { AllocationStep } from "../timeline.js";
import { type Linear, line, path, picture, px, rows, timeScale, times } from "./chart.js";

const HEIGHT = 220;
const [LEFT, TOP, BOTTOM] = [44, 40, HEIGHT - 24];
const BADGE = 9;

/** Two versions, for wide and narrow windows: the text keeps its size. */
export function allocationPictures(
	steps: readonly AllocationStep[],
	decisions: readonly DecisionReport[],
	atMs: number,
): Markup {
	const draw = (width: number, className: string) => drawn(steps, decisions, atMs, width, className);
	return html`${draw(1008, "wide")}${draw(340, "narrow")}`;
}

function drawn(
	steps: readonly AllocationStep[],
	decisions: readonly DecisionReport[],
	atMs: number,
	width: number,
	className: string,
): Markup {
	const right = width - 12;
	const ended = steps.at(-1)?.phase === "RolledBack" || steps.at(-1)?.phase === "Aborted";
	const [fromMs, lastMs] = [steps[0]?.atMs ?? atMs, steps.at(-1)?.atMs ?? atMs];
	// Long after its end the picture of an experiment is still that of its life.
	const toMs = ended || steps.at(-1)?.phase === "Promoted" ? Math.min(atMs, lastMs + (lastMs - fromMs) / 10) : atMs;
	const x = timeScale(fromMs, toMs, LEFT, right);
	const y = scaleLinear([0, 1_000_000], [BOTTOM, TOP]);
	const points = (of: (step: Shares) => number): [number, number][] => [
		...steps.map((step): [number, number] => [px(x(step.atMs)), px(y(of(step)))]),
		[px(x(toMs)), px(y(of(steps.at(-1) ?? NO_STEP)))],
	];
	const takenOver = steps.some(({ takeoverPpm }) => takeoverPpm > 0);
	const stepped = lineOf().curve(curveStepAfter);
	const content: Content = [
		rows(y, right, LEFT, percent),
		marks(decisions, x),
		path("estimate", stepped(points(({ allocationPpm }) => allocationPpm))),
		takenOver ? path("takeover", stepped(points(({ takeoverPpm }) => takeoverPpm))) : null,
		times(x, HEIGHT - 6),
	];
	return picture({ width, height: HEIGHT, className }, wordsOf(steps), content);
}

type Shares = Pick<AllocationStep, "allocationPpm" | "takeoverPpm">;

const NO_STEP: Shares = { allocationPpm: 0, takeoverPpm: 0 };

/** Where two marks would cover each other the later is left out; the list of decisions has them all. */
function marks(decisions: readonly DecisionReport[], x: Linear): Content {
	let free = Number.NEGATIVE_INFINITY;
	const [from = 0, to = 0] = x.domain();
	return decisions.map(({ sequence, action, atMs }) => {
		const at = x(atMs);
		if (action === "hold" || atMs < from || atMs > to || at < free) return null;
		free = at + 2 * BADGE + 2;
		const kind = GOOD.has(action) ? "pass" : BAD.has(action) ? "harm" : "";
		const middle = 14;
		const shape =
			kind === "harm"
				? html`<path class="badge harm" d="M${px(at)},${middle - 12} l12,12 -12,12 -12,-12 z"/>`
				: html`<circle class="badge ${kind}" cx="${px(at)}" cy="${middle}" r="${BADGE}"/>`;
		return [
			line("tick", at, middle + BADGE, at, BOTTOM),
			shape,
			html`<text class="num" x="${px(at)}" y="${middle + 3.5}">${sequence}</text>`,
		];
	});
}

const GOOD: ReadonlySet<string> = new Set(["promote", "complete", "advance-takeover"]);
const BAD: ReadonlySet<string> = new Set(["roll-back", "close-arm", "pause", "abort"]);

function wordsOf(steps: readonly AllocationStep[]): string {
	const parts = steps.map(({ atMs, allocationPpm, takeoverPpm, phase }) => {
		const winner = takeoverPpm > 0 ? `, the winner has ${percent(takeoverPpm)}` : "";
		return `${utc(atMs)} ${phase} at ${percent(allocationPpm)}${winner}`;
	});
	return `Share in the experiment over time: ${parts.join("; ")}`;
}
