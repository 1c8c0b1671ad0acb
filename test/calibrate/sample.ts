/** The data of an arm so far: running moments of one or two values per unit, as in the store. */

import type { MetricEvidence } from "../../src/infer/statistics/evidence.js";
import { type CoMoments, noCoMoments } from "../../src/infer/statistics/statistics/coMoments.js";
import { BETS, BETS_NAME, type LogCapital } from "../../src/infer/statistics/statistics/logCapital.js";
import type { Moments } from "../../src/infer/statistics/statistics/moments.js";
import { addRow } from "../infer/statistics/formulas.js";

export class ArmSample {
	n = 0;
	#mean0 = 0;
	#mean1 = 0;
	#m00 = 0;
	#m10 = 0;
	#m11 = 0;
	#wide: CoMoments | null;
	readonly #lo = [Infinity, Infinity, Infinity, Infinity];
	readonly #hi = [-Infinity, -Infinity, -Infinity, -Infinity];
	readonly #up = new Float64Array(BETS.length);
	readonly #down = new Float64Array(BETS.length);

	/**
	 * @param betting whether logCapital() will be asked for: 34 logarithms a value
	 * @param wide whether a unit has four values
	 */
	constructor(
		private readonly betting = false,
		wide = false,
	) {
		this.#wide = wide ? noCoMoments(4) : null;
	}

	add(first: number, second: number, third = 0, fourth = 0): void {
		this.n++;
		if (this.#wide !== null) this.#wide = addRow(this.#wide, [first, second, third, fourth]);
		this.#see(0, first);
		this.#see(1, second);
		this.#see(2, third);
		this.#see(3, fourth);
		const d0 = first - this.#mean0;
		const d1 = second - this.#mean1;
		this.#mean0 += d0 / this.n;
		this.#mean1 += d1 / this.n;
		this.#m00 += d0 * (first - this.#mean0);
		this.#m10 += d1 * (first - this.#mean0);
		this.#m11 += d1 * (second - this.#mean1);
		if (!this.betting) return;
		for (let index = 0; index < BETS.length; index++) {
			const bet = BETS[index] ?? 0;
			this.#up[index] = (this.#up[index] ?? 0) + Math.log1p(bet * first);
			this.#down[index] = (this.#down[index] ?? 0) + Math.log1p(bet * (1 - first));
		}
	}

	#see(i: number, value: number): void {
		if (value < (this.#lo[i] ?? 0)) this.#lo[i] = value;
		if (value > (this.#hi[i] ?? 0)) this.#hi[i] = value;
	}

	/** The arm's evidence as the store returns it. */
	evidence(): MetricEvidence {
		const co = this.coMoments();
		return {
			...this.moments(),
			co,
			extremes: co.means.map((_, i) => ({ lo: this.#lo[i] ?? 0, hi: this.#hi[i] ?? 0 })),
		};
	}

	moments(): Moments {
		return { n: this.n, mean: this.#mean0, m2: this.#m00 };
	}

	logCapital(): LogCapital {
		return { bets: BETS_NAME, n: this.n, up: [...this.#up], down: [...this.#down] };
	}

	coMoments(): CoMoments {
		return this.#wide ?? { n: this.n, means: [this.#mean0, this.#mean1], m2: [this.#m00, this.#m10, this.#m11] };
	}
}
