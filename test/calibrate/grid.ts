/**
 * Calibrated verdicts about a quantile by thresholds that are frozen from a new sample in each experiment. Times are
 * 1 ÷ (1 − u), so a share of 1 ÷ x lies above x. The challenger is exactly at the tolerance of a pass, or at the line of harm.
 */
import {
	CENTRE,
	type GridSample,
	gridQuantiles,
	quantileBeyond,
	quantileInside,
} from "../../src/infer/statistics/quantileGrid.js";
import { logEvidence } from "../../src/infer/statistics/sequential/bernoulliMixture.js";
import { slowPrior } from "../../src/infer/statistics/slowShare.js";
import type { Claims } from "./methods.js";
import type { Uniform } from "./random.js";
import { ALPHA, type Law } from "./scenarios.js";

const EQUAL = { challenger: 1, baseline: 1 };
/** The tolerance of a pass as a share of 1 − q (claim.ts). */
const TOLERATED = 0.25;
/** Parts of the sample; the median of their quantiles is used (events/evidence/baselineQuantile.ts). */
const STRETCHES = 5;

type Frozen = Extract<Law, { readonly of: "frozen-quantile" }>;

const time = (uniform: Uniform): number => 1 / uniform();

/** The looks of one experiment with its own thresholds. */
export function frozenQuantile(law: Frozen, looks: number): (look: number, units: number, uniform: Uniform) => Claims {
	const { q, from, shape, load } = law;
	const slow = 1 - q;
	const question = { quantile: q, tolerance: TOLERATED * slow, shares: EQUAL };
	/** A time of a challenger with `times` · (1 − q) above the quantile. */
	const ofChallenger = (times: number, uniform: Uniform): number =>
		shape === "stretched" ? times * time(uniform) : uniform() < times * slow ? Number.MAX_VALUE : 0;
	let arms: { readonly baseline: Above; readonly passing: Above; readonly harmful: Above } | null = null;
	return (look, count, uniform) => {
		if (arms === null) {
			const grid = frozenFrom(from, q, uniform);
			arms = { baseline: new Above(grid), passing: new Above(grid), harmful: new Above(grid) };
		}
		const { baseline, passing, harmful } = arms;
		const now = load ** Math.sin((6 * Math.PI * look) / looks);
		for (let unit = 0; unit < count; unit++) {
			if (uniform() < 0.5) baseline.add(now * time(uniform));
			else {
				passing.add(now * ofChallenger(1 + TOLERATED, uniform));
				harmful.add(now * ofChallenger(1, uniform));
			}
		}
		const [c, t, h] = [baseline.sample(), passing.sample(), harmful.sample()];
		const share = (side: "above" | "below", challenger: GridSample, offset: number): number =>
			logEvidence(side, centre(challenger), centre(c), { slope: 1, offset }, slowPrior(q), EQUAL);
		const [below, above] = [share("below", t, question.tolerance), share("above", h, 0)];
		const passed = (alpha: number): boolean => below >= -Math.log(alpha) && quantileInside(question, t, c, alpha);
		const convicted = (alpha: number): boolean => above >= -Math.log(alpha) && quantileBeyond(question, h, c, alpha);
		return { above: convicted(ALPHA), below: passed(ALPHA), missed: convicted(ALPHA / 2) || passed(ALPHA / 2) };
	};
}

const centre = ({ n, slow }: GridSample) => ({ n, sum: n * (slow[CENTRE] ?? 0) });

function frozenFrom(size: number, q: number, uniform: Uniform): readonly number[] {
	const stretches = Array.from({ length: STRETCHES }, () =>
		Float64Array.from({ length: size / STRETCHES }, () => time(uniform)).sort(),
	);
	const at = (sorted: Float64Array, level: number): number => sorted[Math.floor(level * sorted.length)] ?? Number.NaN;
	return gridQuantiles(q).map((level) => {
		const each = stretches.map((sorted) => at(sorted, level)).sort((a, b) => a - b);
		return each[Math.floor(STRETCHES / 2)] ?? Number.NaN;
	});
}

/** Counts of values above each threshold. */
class Above {
	n = 0;
	readonly #counts: number[];

	constructor(private readonly thresholds: readonly number[]) {
		this.#counts = thresholds.map(() => 0);
	}

	add(value: number): void {
		this.n++;
		for (let index = 0; index < this.thresholds.length && value > (this.thresholds[index] ?? Number.NaN); index++)
			this.#counts[index] = (this.#counts[index] ?? 0) + 1;
	}

	sample(): GridSample {
		return { n: this.n, slow: this.#counts.map((count) => (this.n === 0 ? 0 : count / this.n)) };
	}
}
