/**
 * Experiments that do what `weir promote` does from their start: with those that run beside them they bring one arm's
 * Variant, or parameters, to more of a Service's people than keep what they have, before anything is proved. Even arms,
 * two or ten, are none.
 * The steps of one that runs are promotionEased.ts's; its weights change no more (resources/change.ts). Pure.
 */
import { experimentTable, freshStatus } from "../assignment/table.js";
import { PPM } from "../limits.js";
import { parametersText } from "../resources/change.js";
import { type Arm, type Experiment, qualifiedName } from "../resources/resource.js";
import type { State } from "../rollout/ports.js";
import { percent } from "../rollout/sentence.js";
import { requirement } from "./approval.js";
import { running } from "./crossCheck.js";
import { has, heldGates } from "./gatesWeakened.js";
import type { PromotedByHand } from "./promotedByHand.js";
import { serviceOf } from "./resourceSet.js";

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
		const variant = status.services[name]?.defaultVariant ?? service.spec.defaultVariant;
		const ofIt = (one: Experiment): boolean => serviceOf(one) === name;
		const fresh = started.filter((one) => ofIt(one) && one.spec.arms.some((arm) => !isAsItIs(arm, variant)));
		if (fresh.length === 0) return [];
		const old = resources.experiments.filter(ofIt);
		const all = [...fresh, ...old.filter((one) => live.has(qualifiedName(one.metadata)))];
		const gates = old.flatMap(held).filter(({ at }) => at !== "after-rollback");
		const isAsked = (one: Experiment): boolean => gates.some((gate) => gate.at === "before-step" && has(one, gate));
		const isWatched = requirement(resources.approvalPolicies, "promote", [namespace]).needs > 0;
		const whole = isWatched ? majority(all, lastStep, variant) : null;
		const unasked =
			gates.length > 0 ? majority(all, (one) => (isAsked(one) ? firstStep(one) : lastStep(one)), variant) : null;
		const effect = ({ gets, ppm, keptPpm }: Majority): string =>
			`gives up to ${percent(ppm)} of the people of Service ${name} ${gets}; ${percent(keptPpm)} stay with Variant ${variant}`;
		return [
			...(whole === null ? [] : [{ namespace, effect: effect(whole), passesGates: false }]),
			...(unasked === null
				? []
				: [{ namespace, effect: `${effect(unasked)}, before a gate is asked`, passesGates: true }]),
		];
	});
}

const HALF = PPM / 2;

/** Arms of even weights differ by points, and by so little no more people are brought anywhere. */
const EVEN_PPM = PPM / 1_000;

const firstStep = ({ spec }: Experiment): number => spec.rollout.stepsPpm[0] ?? 0;
const lastStep = ({ spec }: Experiment): number => spec.rollout.stepsPpm.at(-1) ?? 0;

/** Whether people who get the arm have what they had without the Experiment. */
const isAsItIs = ({ variant, parameters }: Pick<Arm, "variant" | "parameters">, defaultVariant: string): boolean =>
	variant === defaultVariant && Object.keys(parameters).length === 0;

/** What most people get by a Service's Experiments, and how many stay as they are or are compared with. */
interface Majority {
	readonly gets: string;
	readonly ppm: number;
	readonly keptPpm: number;
}

/**
 * null where nothing takes over: no Variant, and no parameters, that come to more than half of the people, or to more than
 * stay with the default Variant.
 * @param experiments of one Service; they share nobody
 */
function majority(
	experiments: readonly Experiment[],
	upTo: (one: Experiment) => number,
	defaultVariant: string,
): Majority | null {
	const given = new Map<string, { gets: string; ppm: number }>();
	let keptPpm = PPM;
	for (const experiment of experiments) {
		const { slotLoPpm, slotHiPpm } = experiment.spec.layer;
		for (const arm of experimentTable(experiment, null, freshStatus(experiment, upTo(experiment)))?.arms ?? []) {
			if (isAsItIs(arm, defaultVariant)) continue;
			const ppm = (arm.livePoints * (slotHiPpm - slotLoPpm)) / PPM;
			const parameters = parametersText(arm.parameters);
			const gets = `Variant ${arm.variant}${parameters === "{}" ? "" : `, with the parameters of arm ${arm.name}`}`;
			const key = `${arm.variant} ${parameters}`;
			const before = given.get(key);
			given.set(key, { gets: before?.gets ?? gets, ppm: ppm + (before?.ppm ?? 0) });
			if (!(arm.baseline && arm.variant === defaultVariant)) keptPpm -= ppm;
		}
	}
	const [most] = [...given.values()].sort((a, b) => b.ppm - a.ppm);
	return most !== undefined && most.ppm > Math.min(HALF, keptPpm) + EVEN_PPM ? { ...most, keptPpm } : null;
}
