/** What promotions of other Experiments of a Service mean for one of them: one at a time, and none of what was not compared. Pure. */

import { findQualified, grouping, serviceOf } from "../../declare/resources/lookup.js";
import { memoize } from "../../declare/resources/memoize.js";
import { type Experiment, qualifiedName } from "../../declare/resources/resource.js";
import { baselineVariant } from "../../infer/statistics/question.js";
import type { DecisionInput } from "./decision.js";
import type { State } from "./ports.js";
import { type ExperimentStatus, isPromoting, liveDefault, type Status } from "./status.js";

type Known = Pick<State, "resources" | "status">;

/** Of both functions below, what decide() is to know. In a holdback the Experiment's own winner is the default already. */
export function otherPromotions(
	state: Known,
	experiment: Experiment,
	{ promotion }: Pick<ExperimentStatus, "promotion">,
): Pick<DecisionInput, "beingPromoted" | "replaces"> {
	if (promotion?.heldBackFromMs !== undefined) return {};
	const [other, promoted] = [beingPromoted(state, experiment), promotedBefore(state, experiment)];
	return {
		...(other === null ? {} : { beingPromoted: other }),
		...(promoted === null ? {} : { replaces: promoted }),
	};
}

/**
 * Another Experiment of the Service that is being promoted, by qualified name; null = none. Its takeover ends with a default
 * Variant, and so does its holdback, in which harm is still looked for: which of two winners would be the default in the end
 * nobody has decided, nor whom it would shut out that the other lets in.
 */
export function beingPromoted({ resources, status }: Known, experiment: Experiment): string | null {
	const own = qualifiedName(experiment.metadata);
	const promoting = promotingIn(status.experiments)(resources.experiments).get(serviceOf(experiment)) ?? [];
	return promoting.map(({ metadata }) => qualifiedName(metadata)).find((name) => name !== own) ?? null;
}

/** Those that are being promoted, by Service: worked out once for all that is asked of one state. */
const promotingIn = memoize((statuses: Status["experiments"]) =>
	grouping<Experiment>((one) => (isPromoting(statuses[qualifiedName(one.metadata)]) ? [serviceOf(one)] : [])),
);

/** The Service's default Variant where it is not the baseline's any more: promoted since, or taken back; null = it is. */
export function promotedBefore({ resources, status }: Known, experiment: Experiment): string | null {
	const service = findQualified(resources.services, serviceOf(experiment));
	if (service === undefined) return null;
	const live = liveDefault(service, status);
	return live === baselineVariant(experiment) ? null : live;
}

/**
 * The Variant that an arm would replace and was not proved better than; null = none. To be better than the former
 * default Variant is not to be better than the one of now.
 * @param replaces promotedBefore()
 */
export function uncompared({ spec }: Experiment, arm: string, replaces: string | null | undefined): string | null {
	const variant = spec.arms.find(({ name }) => name === arm)?.variant;
	return replaces === variant ? null : (replaces ?? null);
}

/** For who promotes such an arm, without the full stop; null: there is nothing to say. */
export function uncomparedText(...of: Parameters<typeof uncompared>): string | null {
	const replaces = uncompared(...of);
	return replaces && `nothing proves ${of[1]} better than variant ${replaces}, which is the Service's default by now`;
}
