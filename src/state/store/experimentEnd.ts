/** How an Experiment ended, and what its people get, for ingest, whose decision log tells of it. */
import { serviceOf } from "../../resources/lookup.js";
import { qualifiedName } from "../../resources/resource.js";
import { type ExperimentEnd, endIn } from "../../rollout/experimentEnd.js";
import type { State } from "../../rollout/ports.js";
import { liveDefault } from "../../rollout/status.js";
import type { DecisionLog } from "./decisionLog.js";

/**
 * @param name qualified
 * @param service where the asker saw its requests: one that was deleted since names none
 * @returns null = it has not ended, or nothing was ever decided of it. But for a promotion its Variant is the Service's default of
 *   now: what that was at the end is not kept
 */
export function experimentEnd(
	{ resources, status }: Pick<State, "resources" | "status">,
	log: DecisionLog,
	name: string,
	service: string | null,
): ExperimentEnd | null {
	const declared = resources.experiments.find(({ metadata }) => qualifiedName(metadata) === name);
	const end = endIn(log.newestFirst(name));
	if (end === null) return null;
	const served = declared === undefined ? service : serviceOf(declared);
	const found = resources.services.find(({ metadata }) => qualifiedName(metadata) === served);
	return { ...end, service: served, variant: end.variant ?? (found === undefined ? null : liveDefault(found, status)) };
}
