/** Shares of slow requests: text, prior and odds. */
import { type BetaPrior, PRIOR_RARE, PRIOR_RATE } from "./sequential/bernoulliMixture.js";

/**
 * `on average 0.56% of a person's requests`: each person counts equally, whatever the number of requests.
 * @param share as text
 */
export const ofRequests = (share: string): string => `on average ${share} of a person's requests`;

/** From this quantile on, slow requests are rare. */
const RARE_QUANTILE = 0.9;

/** The prior for shares of slow requests. */
export function slowPrior(quantile: number): BetaPrior {
	return quantile < RARE_QUANTILE ? PRIOR_RATE : PRIOR_RARE;
}

/** The share whose odds are `factor` times those of 1 − q. */
export function slowShareAt(quantile: number, factor: number): number {
	const odds = (factor * (1 - quantile)) / quantile;
	return odds / (1 + odds);
}
