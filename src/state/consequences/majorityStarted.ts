/**
 * Experiments that do what `weir promote` does from their start, or by steps that are edited to go further: with those that run
 * beside them they take from more than half of a Service's people what they have, its default Variant as it is, before anything
 * is proved. Two even arms, a half, are none. Where people are taken is not asked: Variants and parameters are named as one
 * likes, and two may be the same. Whatever else an edit of steps does is promotionEased.ts's; weights of one that runs change no
 * more (resources/change.ts). Pure.
 */

import { experimentTable, freshStatus } from "../../assignment/table.js";
import type { ArmTable } from "../../compiler/plan.js";
import { PPM } from "../../limits.js";
import { experimentsOf, grouping, serviceOf } from "../../resources/lookup.js";
import { type Experiment, qualifiedName, type Resource } from "../../resources/resource.js";
import type { State } from "../../rollout/ports.js";
import { percent } from "../../rollout/sentence.js";
import { isExposing, liveDefault } from "../../rollout/status.js";
import { running } from "../acts/crossCheck.js";
import { promotionsWait } from "../approvals/approval.js";
import { heldGates, isAsked, keyOf, keysOf } from "./gatesWeakened.js";
import type { PromotedByHand } from "./promotedByHand.js";

/**
 * A promotion where an ApprovalPolicy covers promotions: counted to the last step, for Weir takes the steps by itself. Past
 * the gates where the Service has any: counted as far as none is asked, which is to the first step where a gate before-step
 * is carried on, for that step begins with the declaration; of one that runs to no more than is live, for an edit shows
 * nobody more by itself.
 * @param changed before null = created, after null = deleted
 */
export function majoritiesStarted(
	{ resources, status }: Pick<State, "resources" | "status">,
	changed: readonly { readonly before: Resource | null; readonly after: Resource | null }[],
): readonly PromotedByHand[] {
	const live = running(status);
	const held = heldGates({ resources, status });
	const wishes = changed.flatMap(({ before, after }): readonly Wish[] => {
		if (after?.kind !== "Experiment" || (before !== null && before.kind !== "Experiment")) return [];
		const stands = status.experiments[qualifiedName(after.metadata)];
		return before === null || (stands !== undefined && isExposing(stands.phase)) ? [{ before, after }] : [];
	});
	const byService = wishesByService(wishes);
	return resources.services.flatMap((service): PromotedByHand[] => {
		const { namespace } = service.metadata;
		const name = qualifiedName(service.metadata);
		const ofIt = byService.get(name) ?? [];
		const variant = liveDefault(service, status);
		// By the arms of now, for others are refused.
		const isMore = (upTo: (one: Experiment) => number): boolean =>
			ofIt.some(
				({ before, after }) =>
					moved(after, upTo(after), variant) > (before === null ? 0 : moved(after, upTo(before), variant)),
			);
		if (!isMore(lastStep)) return [];
		const old = experimentsOf(resources.experiments, service);
		const edited = new Map(ofIt.map(({ before, after }) => [before, after]));
		const all = [
			...ofIt.flatMap(({ before, after }) => (before === null ? [after] : [])),
			...old.filter((one) => live.has(qualifiedName(one.metadata))).map((one) => edited.get(one) ?? one),
		];
		const people = (upTo: (one: Experiment) => number): number =>
			all.reduce((sum, one) => sum + moved(one, upTo(one), variant), 0) / PPM;
		const gates = old.flatMap(held).filter(isAsked);
		// Once for all, which may be thousands with sixteen gates each.
		const beforeSteps = new Set(gates.filter(({ at }) => at === "before-step").map(keyOf));
		const asksOnTheWay = (one: Experiment): boolean => [...keysOf(one)].some((key) => beforeSteps.has(key));
		const unaskedStep = (one: Experiment): number => {
			const own = qualifiedName(one.metadata);
			const livePpm = live.has(own) ? (status.experiments[own]?.allocationPpm ?? PPM) : PPM;
			return asksOnTheWay(one) ? Math.min(firstStep(one), livePpm) : lastStep(one);
		};
		const [most, unasked] = [people(lastStep), people(unaskedStep)];
		const isWatched = promotionsWait(resources.approvalPolicies, namespace);
		const effect = (ppm: number): string =>
			`moves up to ${percent(ppm)} of the people of Service ${name} away from Variant ${variant} as it is`;
		return [
			...(isWatched && most > HALF ? [{ namespace, effect: effect(most), passesGates: false }] : []),
			...(gates.length > 0 && unasked > HALF && isMore(unaskedStep)
				? [{ namespace, effect: `${effect(unasked)} before a gate is asked`, passesGates: true }]
				: []),
		];
	});
}

/** An Experiment that is not there yet (before null), or that exposes people and is declared otherwise. */
interface Wish {
	readonly before: Experiment | null;
	readonly after: Experiment;
}

const wishesByService = grouping<Wish>(({ after }) => [serviceOf(after)]);

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
