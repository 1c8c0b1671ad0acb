/**
 * Conflicts with promotions of other Experiments of the same Service: only one promotion at a time, and the winner must have
 * been compared with the current default Variant. Pure.
 */

import { findQualified, grouping, serviceOf } from "../../declare/resources/lookup.js";
import { memoize } from "../../declare/resources/memoize.js";
import { type Experiment, qualifiedName } from "../../declare/resources/resource.js";
import { baselineVariant } from "../../infer/statistics/question.js";
import type { DecisionInput } from "./decision.js";
import type { State } from "./ports.js";
import { type ExperimentStatus, isPromoting, liveDefault, type Status } from "./status.js";

type Known = Pick<State, "resources" | "status">;

/** The results of the next two functions, for decide(). Empty in a holdback: the Experiment's own winner is the default. */
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
 * Qualified name of another Experiment of the Service that is being promoted; null = none. Its takeover or holdback sets the
 * default Variant at its end, so with two at once the default would be undefined.
 */
export function beingPromoted({ resources, status }: Known, experiment: Experiment): string | null {
	const own = qualifiedName(experiment.metadata);
	const promoting = promotingIn(status.experiments)(resources.experiments).get(serviceOf(experiment)) ?? [];
	return promoting.map(({ metadata }) => qualifiedName(metadata)).find((name) => name !== own) ?? null;
}

/** Experiments that are being promoted, by Service. */
const promotingIn = memoize((statuses: Status["experiments"]) =>
	grouping<Experiment>((one) => (isPromoting(statuses[qualifiedName(one.metadata)]) ? [serviceOf(one)] : [])),
);

/** The Service's default Variant, if it is no longer the baseline's; null = it still is. */
export function promotedBefore({ resources, status }: Known, experiment: Experiment): string | null {
	const service = findQualified(resources.services, serviceOf(experiment));
	if (service === undefined) return null;
	const live = liveDefault(service, status);
	return live === baselineVariant(experiment) ? null : live;
}

/**
 * The Variant that an arm would replace without a comparison: the current default, if it is not the baseline; null = none.
 * @param replaces promotedBefore()
 */
export function uncompared({ spec }: Experiment, arm: string, replaces: string | null | undefined): string | null {
	const variant = spec.arms.find(({ name }) => name === arm)?.variant;
	return replaces === variant ? null : (replaces ?? null);
}

/** A warning for the person who promotes such an arm, without the full stop; null = none. */
export function uncomparedText(...of: Parameters<typeof uncompared>): string | null {
	const replaces = uncompared(...of);
	return replaces && `nothing proves ${of[1]} better than variant ${replaces}, which is the Service's default by now`;
}
