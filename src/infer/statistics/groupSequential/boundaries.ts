/**
 * Group-sequential boundaries: a critical value for each look, with a total error of alpha. The times need not be planned, but
 * must not depend on the effect.
 *
 * Information is a share of the planned one (units, or 1/variance of the estimate). Deviations from the plan:
 *
 * - More than planned (over-run): the rest of alpha is spent at the first look at or beyond 1, with the correlation of
 *   the true information. Later looks decide nothing. (spotify-confidence
 *   continues along alpha·t^ρ and spends more than alpha.)
 * - Less than planned (under-run): the last look spends the rest, if it is declared as last for a reason other than
 *   the effect.
 * - Not more than before (units removed, a variance estimated anew): the look decides and spends nothing, and
 *   has no influence on later looks. (spotify-confidence throws.)
 */
import { normalIsf, normalSf } from "../distributions/normal.js";
import { rootOf } from "../distributions/root.js";
import type { NoEstimate } from "../estimators/estimate.js";
import { AT_START, massAbove, massBelow, REACH, type Surviving, survive } from "./recursion.js";
import { type Spending, spentBy } from "./spending.js";

export interface GroupDesign {
	/** Level of the whole test, both sides together. */
	readonly alpha: number;
	/** 1: only above counts. 2: above and below, symmetric. */
	readonly sides: 1 | 2;
	readonly spending: Spending;
}

export interface GroupLook {
	readonly information: number;
	/** Error spent up to and with this look. */
	readonly spent: number;
	/** The look rejects if z ≥ this (two-sided: |z| ≥ this). null = it decides nothing, see note. */
	readonly z: number | null;
	/** The p-value of this look alone that reaches the boundary. */
	readonly nominalP: number | null;
	/** Why it decides nothing, or empty. */
	readonly note: string;
}

/** Looks of one experiment: daily ones for half a year. */
export const GROUP_LOOKS_MAX = 200;

/**
 * Below this there is nothing to spend: the boundary would lie beyond eight standard deviations. Kept for later looks.
 */
const SPEND_MIN = 1e-16;

/** Relative growth of information below this counts as none. */
const GROWTH_MIN = 1e-5;

/** Precision of boundaries. */
const Z_TOLERANCE = 1e-11;

/**
 * The boundaries at looks with this information. `last`: the final look is the last one whatever its information, and
 * spends what is left. Looks once given stay as they were when later ones are added.
 */
export function groupBoundaries(
	design: GroupDesign,
	information: readonly number[],
	last = false,
): readonly GroupLook[] | NoEstimate {
	const problem = problemOf(design, information);
	if (problem !== "") return { reason: problem };
	const steps = stepsOf(information);
	const looks: GroupLook[] = [];
	let state = AT_START;
	let spent = 0;
	for (const [k, t] of information.entries()) {
		const step = steps[k];
		if (step === undefined || step === null) {
			looks.push({ ...IDLE, information: t, spent, note: "no more information than at an earlier look" });
			continue;
		}
		const side = design.alpha / design.sides;
		const allowed = last && step.isLast ? design.alpha : design.sides * spentBy(design.spending, side, t);
		const budget = (allowed - spent) / design.sides;
		if (budget > SPEND_MIN) {
			const z = boundaryAt(state, t, budget);
			spent = allowed;
			looks.push({ information: t, spent, z, nominalP: design.sides * normalSf(z), note: "" });
		} else {
			const note = spent < design.alpha ? "there is next to nothing to spend yet" : "all of alpha is spent";
			looks.push({ ...IDLE, information: t, spent, note });
		}
		state = survive(state, t, goOn(t, looks[k]?.z ?? null, design.sides), 0, step.toNext);
	}
	return looks;
}

/** A look that decides nothing. */
const IDLE = { z: null, nominalP: null } as const;

/** Scores with which a look goes on. */
function goOn(t: number, z: number | null, sides: 1 | 2): { readonly lower: number; readonly upper: number } {
	const upper = z === null ? Number.POSITIVE_INFINITY : z * Math.sqrt(t);
	return { lower: sides === 2 ? 0 - upper : Number.NEGATIVE_INFINITY, upper };
}

/** The z at which a look crosses upwards with probability `budget`. */
function boundaryAt(before: Surviving, t: number, budget: number): number {
	if (before === AT_START) return normalIsf(budget);
	const root = Math.sqrt(t);
	const distance = (z: number): number => Math.log(massAbove(before, t, z * root, 0)) - Math.log(budget);
	return rootOf(distance, 0 - REACH, REACH, Z_TOLERANCE);
}

/**
 * For each look: the information until the next one with more, and whether it is the last; null = it has no more than the one
 * before.
 */
function stepsOf(information: readonly number[]): ({ readonly toNext: number; readonly isLast: boolean } | null)[] {
	let most = 0;
	const growing = information.filter((t) => {
		const grows = t > most * (1 + GROWTH_MIN);
		if (grows) most = t;
		return grows;
	});
	let index = 0;
	return information.map((t) => {
		if (t !== growing[index]) return null;
		index += 1;
		const next = growing[index];
		return { toNext: next === undefined ? t : next - t, isLast: next === undefined };
	});
}

/** Probability to cross at each look, up and down, if the true effect gives z a mean of drift·√information. */
export interface Crossing {
	readonly above: number;
	readonly below: number;
}

/**
 * Crossing probabilities of looks with these boundaries; their sum is the power, and alpha at drift 0. `drift` is the
 * mean of z at information 1: effect ÷ standard error with the planned number of units.
 */
export function crossingProbabilities(
	looks: readonly Pick<GroupLook, "information" | "z">[],
	sides: 1 | 2,
	drift: number,
): readonly Crossing[] | NoEstimate {
	const times = looks.map(({ information }) => information);
	const problem = problemOfTimes(times) || (Number.isFinite(drift) ? "" : `the drift is ${drift}`);
	if (problem !== "") return { reason: problem };
	const steps = stepsOf(times);
	let state = AT_START;
	return looks.map(({ information: t, z }, k) => {
		const step = steps[k];
		if (step === undefined || step === null) return { above: 0, below: 0 };
		const region = goOn(t, z, sides);
		const crossing = {
			above: z === null ? 0 : massAbove(state, t, region.upper, drift),
			below: z === null || sides === 1 ? 0 : massBelow(state, t, region.lower, drift),
		};
		state = survive(state, t, region, drift, step.toNext);
		return crossing;
	});
}

/** Sum of crossing probabilities in either direction. */
export function crossingProbability(
	looks: readonly Pick<GroupLook, "information" | "z">[],
	sides: 1 | 2,
	drift: number,
): number {
	const crossings = crossingProbabilities(looks, sides, drift);
	return "reason" in crossings ? Number.NaN : crossings.reduce((sum, { above, below }) => sum + above + below, 0);
}

function problemOf({ alpha, sides, spending }: GroupDesign, information: readonly number[]): string {
	if (!(alpha > 0 && alpha < 1)) return `alpha is ${alpha}, not between 0 and 1`;
	if (sides !== 1 && sides !== 2) return `a test has one side or two, not ${sides}`;
	if (spending.kind === "power" && !(spending.exponent > 0 && spending.exponent < Number.POSITIVE_INFINITY))
		return `the exponent of the spending function is ${spending.exponent}, not above 0`;
	return problemOfTimes(information);
}

function problemOfTimes(information: readonly number[]): string {
	if (information.length === 0) return "there are no looks";
	if (information.length > GROUP_LOOKS_MAX) return `there are more than ${GROUP_LOOKS_MAX} looks`;
	const bad = information.find((t) => !(t > 0 && t < Number.POSITIVE_INFINITY));
	return bad === undefined ? "" : `the information of a look is ${bad}, not above 0`;
}
