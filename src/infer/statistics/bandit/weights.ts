/**
 * Converts probabilities to be best into shares of the exposures, without random draws.
 *
 * - Thompson: an arm's share is its chance to be best. Least regret during the run, slow to separate the two best.
 * - Top-two: Russo's TTTS with β = ½ (arXiv 1602.08448), whose procedure is: draw a leader by the chance
 *   to be best; with probability β expose it, else draw again until another arm comes and expose that one. In closed form
 *
 *     ψ_i = β α_i + (1 − β) Σ_{j≠i} α_j · α_i / (1 − α_j)
 *
 *   with α the chances to be best. GrowthBook exposes ½ P(best) + ½ P(second best) instead, which is the same for two
 *   arms and weaker from three on: once the runner-up is known, P(second best) goes to it alone, and a third arm that
 *   is less well measured, and so more likely to be the best after all, is no longer looked at. Russo's rule looks at
 *   arms by their chance to overtake the leader, for which he proves the best exponent up to a factor of 2 at β = ½.
 *
 * Where no other arm has a chance left, α_i/(1 − α_j) is 0/0; the chance to be second best decides there, with a
 * weight of TIE_BREAK, so that the shares are continuous.
 */
import type { Bandit } from "../../../declare/resources/resource.js";
import type { Ranking } from "../bayes/ranking.js";

/** β of top-two: half of the exposures to the leader. The rate is at most a factor 2 from that of the best β. */
const LEADER_SHARE = 0.5;

/** Far below any chance that matters, far above the error of the quadrature. */
const TIE_BREAK = 1e-9;

/** Shares of the exposures by arm; they sum to 1. */
export function banditWeights(algorithm: Bandit["algorithm"], { best, second }: Ranking): readonly number[] {
	if (algorithm === "thompson" || best.length < 2) return best;
	const chance = best.map((value, arm) => value + TIE_BREAK * (second[arm] ?? 0));
	const total = chance.reduce((sum, value) => sum + value, 0);
	// Σ of the others, added up: total − chance would lose its digits for a leader near 1.
	const others = chance.map((_, arm) => chance.reduce((sum, value, other) => (other === arm ? sum : sum + value), 0));
	return chance.map((value, arm) => {
		const asChallenger = chance.reduce(
			(sum, leader, other) => (other === arm ? sum : sum + (leader / total) * (value / (others[other] ?? 1))),
			0,
		);
		return (LEADER_SHARE * value) / total + (1 - LEADER_SHARE) * asChallenger;
	});
}
