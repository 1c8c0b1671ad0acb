/**
 * Experiments that do what `weir promote` does from their start: with those that run beside them they take from more than half
 * of a Service's people what they have, its default Variant as it is, before anything is proved. Two even arms, a half, are
 * none. Where people are taken is not asked: Variants and parameters are named as one likes, and two may be the same.
 * The steps of one that runs are promotionEased.ts's; its weights change no more (resources/change.ts). Pure.
 */

import { experimentTable, freshStatus } from "../assignment/table.js";
import type { ArmTable } from "../compiler/plan.js";
import { PPM } from "../limits.js";
import { serviceOf } from "../resources/lookup.js";
import { type Experiment, qualifiedName } from "../resources/resource.js";
import type { State } from "../rollout/ports.js";
import { percent } from "../rollout/sentence.js";
import { liveDefault } from "../rollout/status.js";
import { promotionsWait } from "./approval.js";
import { running } from "./crossCheck.js";
import { has, heldGates, isAsked } from "./gatesWeakened.js";
import type { PromotedByHand } from "./promotedByHand.js";

/**
 * A promotion where an ApprovalPolicy covers promotions: counted to the last step, for Weir takes the steps by itself. Past
 * the gates where the Service has any: counted as far as none is asked, which is to the first step where a gate before-step
 * is carried on, for that step begins with the declaration.
 * @param started Experiments that were not there before
 */
export function majoritiesStarted(
	{ resources, status }: Pick<State, "resources" | "status">,
	started: readonly Experiment[],
): readonly PromotedByHand[] {
	const live = running(status);
	const held = heldGates({ resources, status });
	return resources.services.flatMap((service): PromotedByHand[] => {
		const { namespace } = service.metadata;
		const name = qualifiedName(service.metadata);
		const variant = liveDefault(service, status);
		const ofIt = (one: Experiment): boolean => serviceOf(one) === name;
		const fresh = started.filter((one) => ofIt(one) && moved(one, lastStep(one), variant) > 0);
		if (fresh.length === 0) return [];
		const old = resources.experiments.filter(ofIt);
		const all = [...fresh, ...old.filter((one) => live.has(qualifiedName(one.metadata)))];
		const people = (upTo: (one: Experiment) => number): number =>
			all.reduce((sum, one) => sum + moved(one, upTo(one), variant), 0) / PPM;
		const gates = old.flatMap(held).filter(isAsked);
		const asksOnTheWay = (one: Experiment): boolean =>
			gates.some((gate) => gate.at === "before-step" && has(one, gate));
		const most = people(lastStep);
		const unasked = people((one) => (asksOnTheWay(one) ? firstStep(one) : lastStep(one)));
		const isWatched = promotionsWait(resources.approvalPolicies, namespace);
		const effect = (ppm: number): string =>
			`moves up to ${percent(ppm)} of the people of Service ${name} away from Variant ${variant} as it is`;
		return [
			...(isWatched && most > HALF ? [{ namespace, effect: effect(most), passesGates: false }] : []),
			...(gates.length > 0 && unasked > HALF
				? [{ namespace, effect: `${effect(unasked)} before a gate is asked`, passesGates: true }]
				: []),
		];
	});
}

const HALF = PPM / 2;

const firstStep = ({ spec }: Experiment): number => spec.rollout.stepsPpm[0] ?? 0;
const lastStep = ({ spec }: Experiment): number => spec.rollout.stepsPpm.at(-1) ?? 0;

/** Who has another Variant, or parameters, by it, at that allocation, in millionths of ppm. Experiments of one Service share nobody. */
function moved(experiment: Experiment, allocationPpm: number, variant: string): number {
	const { slotLoPpm, slotHiPpm } = experiment.spec.layer;
	const arms = experimentTable(experiment, null, freshStatus(experiment, allocationPpm))?.arms ?? [];
	const isAsItIs = (arm: ArmTable): boolean => arm.variant === variant && Object.keys(arm.parameters).length === 0;
	const points = arms.reduce((sum, arm) => sum + (isAsItIs(arm) ? 0 : arm.livePoints), 0);
	return points * (slotHiPpm - slotLoPpm);
}
