/** Experiments run until they prove their claim, to see when they do: units in both arms together, rising. */
import type { SequentialClaim } from "../../../src/analysis/planning/sequential.js";
import { contrastInterval } from "../../../src/analysis/sequential/asympCs.js";
import { logEvidence } from "../../../src/analysis/sequential/bernoulliMixture.js";
import { random } from "../random.js";

/** Units between looks, as a share of those already there. */
const LOOK = 0.04;

export function unitsUntilProof(claim: SequentialClaim, effect: number, runs: number, most: number): readonly number[] {
	const { method, direction, relative, baselineMean, line, alpha, shares } = claim;
	const sign = direction === "up" ? 1 : -1;
	const scale = relative ? baselineMean : 1;
	const means = { t: baselineMean + sign * effect * scale, c: baselineMean };
	const contrast = relative ? { slope: 1 + sign * line, offset: 0 } : { slope: 1, offset: sign * line };
	const chance = shares.challenger / (shares.challenger + shares.baseline);
	const found: number[] = [];
	for (let run = 0; run < runs; run++) {
		const next = random(40_000 + run);
		const arms = { t: { n: 0, sum: 0, squares: 0 }, c: { n: 0, sum: 0, squares: 0 } };
		let look = 20;
		let proof = most;
		for (let n = 1; n <= most; n++) {
			const arm = next() < chance ? "t" : "c";
			// Exponential values where the mean is positive: skewed, and their variance is what the claim says.
			const value =
				method.test === "asympcs"
					? means[arm] + Math.sqrt(method.variance) * (-Math.log(1 - next()) - 1)
					: next() < means[arm]
						? 1
						: 0;
			const own = arms[arm];
			own.n += 1;
			own.sum += value;
			own.squares += value * value;
			if (n < look) continue;
			look = Math.ceil(n * (1 + LOOK));
			const proved =
				method.test === "asympcs"
					? proves(arms, contrast, sign, alpha)
					: logEvidence(sign === 1 ? "above" : "below", arms.t, arms.c, contrast, method.prior, shares) >=
						-Math.log(alpha);
			if (!proved) continue;
			proof = n;
			break;
		}
		found.push(proof);
	}
	return found.sort((x, y) => x - y);
}

interface Sums {
	readonly n: number;
	readonly sum: number;
	readonly squares: number;
}

function proves(
	{ t, c }: { readonly t: Sums; readonly c: Sums },
	{ slope, offset }: { readonly slope: number; readonly offset: number },
	sign: 1 | -1,
	alpha: number,
): boolean {
	if (Math.min(t.n, c.n) < 500) return false;
	const moments = ({ n, sum, squares }: Sums) => ({ n, mean: sum / n, m2: squares - (sum * sum) / n });
	const { lower, upper } = contrastInterval(moments(t), moments(c), slope, alpha);
	return sign === 1 ? lower > offset : upper < offset;
}
