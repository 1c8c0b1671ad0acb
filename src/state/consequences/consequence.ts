/** What a declaration does that its documents do not say, and what it takes to do it. Pure. */
import type { Experiment, Resource } from "../../resources/resource.js";
import type { State } from "../../rollout/ports.js";
import type { Need } from "../rights/permissions.js";
import { gatesWeakened } from "./gatesWeakened.js";
import { hostsTaken } from "./hostsTaken.js";
import { localGates } from "./localGates.js";
import { majoritiesStarted } from "./majorityStarted.js";
import { promotionsIn } from "./promotedByHand.js";
import { promotionsDeclared } from "./promotionDeclared.js";
import { promotionsEased } from "./promotionEased.js";
import { wideHosts } from "./wideHosts.js";

type Verb = "admin" | "promote" | "abort";

export interface Consequence {
	readonly namespace: string;
	/** As others are told of it: `takes gate … from Experiment …`. */
	readonly effect: string;
	/** All of them are taken there, and it waits where `promote` or `abort` do. */
	readonly verbs: readonly Verb[];
	/** As a Need has it. */
	readonly cure?: string;
	/** Keys of what it rests on: declared otherwise, it is not what was approved. */
	readonly judgedBy?: readonly string[];
}

interface Change {
	readonly before: Resource;
	readonly after: Resource | null;
}

/** @param given all that is declared */
export function consequences(
	known: Pick<State, "resources" | "status">,
	given: readonly Resource[],
	changed: readonly Change[],
	created: readonly Resource[],
): readonly Consequence[] {
	const moves = [...changed, ...created.map((after) => ({ before: null, after }))];
	const started = created.filter((one): one is Experiment => one.kind === "Experiment");
	const majorities = majoritiesStarted(known, moves);
	const promotions = [
		...promotionsIn(known, moves),
		...promotionsDeclared(known.resources, given, started),
		...majorities.filter(({ passesGates }) => !passesGates),
	];
	return [
		// As an override of the gates takes.
		...majorities.filter(({ passesGates }) => passesGates).map(taking("admin")),
		...gatesWeakened(known, changed, started).map(taking("admin")),
		...promotions.map((one) => (one.passesGates ? taking("admin", "promote") : taking("promote"))(one)),
		...promotionsEased(known, changed),
		...[...hostsTaken(known.resources, moves), ...localGates(moves), ...wideHosts(moves)].map(taking("admin")),
	];
}

const taking =
	(...verbs: readonly Verb[]) =>
	<One extends Omit<Consequence, "verbs">>(one: One): One & Pick<Consequence, "verbs"> => ({ ...one, verbs });

/** Those that take the verb, as what it takes. */
export const needsBeside = (beside: readonly Consequence[], verb: Verb): readonly Need[] =>
	beside.flatMap(({ namespace, verbs, effect, cure }) =>
		verbs.includes(verb) ? [{ verb, namespace, because: effect, ...(cure === undefined ? {} : { cure }) }] : [],
	);
