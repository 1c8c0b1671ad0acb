/**
 * What of the state a decision was made from. Where someone changed something else meanwhile, what was decided holds for the
 * new state as it did for the former one.
 */
import { canonicalJson } from "../../declare/resources/canonicalJson.js";
import { qualifiedName } from "../../declare/resources/resource.js";
import { evidenceQuery, metricsOf } from "./evidenceQuery.js";
import { otherPromotions } from "./otherPromotion.js";
import type { State } from "./ports.js";

/**
 * The same text for two states: every decision that moves nobody on is the same by both. Of one that does, whom it would shut
 * out and what its Service's Envoys hear is asked besides.
 * @param experiment its qualified name
 * @param atMs of the decision
 */
export function decidedFrom(state: State, experiment: string, atMs: number): string | null {
	const { resources } = state;
	const own = resources.experiments.find(({ metadata }) => qualifiedName(metadata) === experiment);
	const status = state.status.experiments[experiment];
	if (own === undefined) return null;
	if (status === undefined) return canonicalJson([own]);
	const asked = evidenceQuery(resources, own, status, atMs);
	return canonicalJson([own, status, metricsOf(resources, own), asked, otherPromotions(state, own, status)]);
}
