/**
 * Draws outcomes of units. To move the challenger's mean to the line, unbounded values are shifted, and values in [0, 1] are
 * replaced by 1 or 0 with the necessary probability.
 */
import { beta, normal, type Uniform } from "./random.js";
import type { Law, Scenario } from "./scenarios.js";

/** One unit's values, into `out`; `progress` is the share of the experiment that is over. */
export type Draw = (challenger: boolean, progress: number, uniform: Uniform, out: Float64Array) => void;

/** Three waves over the experiment. */
const wave = (drift: number | undefined, progress: number): number =>
	drift === undefined ? 0 : drift * Math.sin(6 * Math.PI * progress);

/** Values in [0,1] of this mean, moved to the challenger's. */
function moved(value: number, mean: number, target: number, uniform: Uniform): number {
	if (target > mean) return uniform() < (target - mean) / (1 - mean) ? 1 : value;
	return target < mean && uniform() < (mean - target) / mean ? 0 : value;
}

/** The baseline's mean, where the line is a share of it. */
export function meanOf(law: Law): number {
	switch (law.of) {
		case "rate":
		case "share":
		case "clustered-ratio":
		case "clustered-ratio-before":
		case "bandit":
			return law.p;
		case "score":
			return ((1 - law.zeros) * law.a) / (law.a + law.b);
		case "rare-denominator":
			return 1 / law.p;
		case "exponential":
			return 1;
		case "lognormal":
			return Math.exp(law.sigma ** 2 / 2);
		case "zero-inflated":
			return (1 - law.zeros) * Math.exp(law.sigma ** 2 / 2);
		case "normal":
		case "student3":
		case "with-covariate":
		case "errors":
		case "ranks":
		case "frozen-quantile":
		case "assignment":
			return 0;
	}
}

export function drawOf({ law, line, method, challenger: challengerLaw }: Scenario): Draw {
	const mean = meanOf(law);
	const relative = method === "bernoulli-ratio" || method === "betting-ratio" || method === "asympcs-lift";
	const shift = relative ? mean * line : line;
	switch (law.of) {
		case "rate":
			return (challenger, progress, uniform, out) => {
				const p = law.p + wave(law.drift, progress) + (challenger ? shift : 0);
				out[0] = uniform() < p ? 1 : 0;
			};
		case "share":
			return (challenger, _progress, uniform, out) => {
				const own = beta(law.p * law.spread, (1 - law.p) * law.spread, uniform);
				const requests = 1 + Math.floor(3 * uniform());
				let failed = 0;
				for (let request = 0; request < requests; request++) failed += uniform() < own ? 1 : 0;
				out[0] = moved(failed / requests, mean, challenger ? mean + shift : mean, uniform);
			};
		case "score":
			return (challenger, _progress, uniform, out) => {
				const value = uniform() < law.zeros ? 0 : beta(law.a, law.b, uniform);
				out[0] = moved(value, mean, challenger ? mean + shift : mean, uniform);
			};
		case "clustered-ratio":
			return (challenger, _progress, uniform, out) => {
				const own = beta(law.p * law.spread, (1 - law.p) * law.spread, uniform);
				// Units with more requests succeed more often, so the naive variance per request is far too small.
				const requests = 1 + Math.floor(-3 * Math.log(uniform()));
				let successes = 0;
				for (let request = 0; request < requests; request++) successes += uniform() < own ? 1 : 0;
				out[0] = successes + (challenger ? shift * requests : 0);
				out[1] = requests;
			};
		case "clustered-ratio-before":
			return (challenger, _progress, uniform, out) => {
				const own = beta(law.p * law.spread, (1 - law.p) * law.spread, uniform);
				for (const at of [0, 2]) {
					const requests = 1 + Math.floor(-3 * Math.log(uniform()));
					let successes = 0;
					for (let request = 0; request < requests; request++) successes += uniform() < own ? 1 : 0;
					out[at] = successes + (challenger && at === 0 ? shift * requests : 0);
					out[at + 1] = requests;
				}
			};
		case "rare-denominator":
			return (_challenger, _progress, uniform, out) => {
				out[0] = 0.5 + uniform();
				out[1] = uniform() < law.p ? 1 : 0;
			};
		case "with-covariate":
			return (challenger, _progress, uniform, out) => {
				const before = -Math.log(uniform());
				const noise = -Math.log(uniform());
				const { correlation } = law;
				out[0] = correlation * before + Math.sqrt(1 - correlation ** 2) * noise + (challenger ? shift : 0);
				out[1] = before;
			};
		default: {
			const value = drawValue(law);
			const other = challengerLaw === undefined ? value : drawValue(challengerLaw);
			const moved = shift + (challengerLaw === undefined ? 0 : mean - meanOf(challengerLaw));
			return (challenger, progress, uniform, out) => {
				out[0] = challenger ? other(progress, uniform) + moved : value(progress, uniform);
			};
		}
	}
}

function drawValue(law: Law): (progress: number, uniform: Uniform) => number {
	switch (law.of) {
		case "normal":
			return (progress, uniform) =>
				(1 + ((law.growth ?? 1) - 1) * progress) * normal(uniform) + wave(law.drift, progress);
		case "exponential":
			return (_progress, uniform) => -Math.log(uniform());
		case "lognormal":
			return (_progress, uniform) => Math.exp(law.sigma * normal(uniform));
		case "zero-inflated":
			return (_progress, uniform) => (uniform() < law.zeros ? 0 : Math.exp(law.sigma * normal(uniform)));
		case "student3":
			return (_progress, uniform) => {
				const chi = normal(uniform) ** 2 + normal(uniform) ** 2 + normal(uniform) ** 2;
				return normal(uniform) / Math.sqrt(chi / 3);
			};
		default:
			throw new Error(`${law.of} has more than a value`);
	}
}
