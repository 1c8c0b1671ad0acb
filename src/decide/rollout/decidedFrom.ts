/** The part of the state that a decision depends on. If only other parts have changed, the decision is still valid. */
import { canonicalJson } from "../../declare/resources/canonicalJson.js";
import { qualifiedName } from "../../declare/resources/resource.js";
import { evidenceQuery, metricsOf } from "./evidenceQuery.js";
import { otherPromotions } from "./otherPromotion.js";
import type { State } from "./ports.js";

/**
 * If the text is the same for two states, so is every decision that does not move the rollout on. One that does also depends
 * on access losses and closed Services, which are not in the text.
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
