/**
 * `weir pause | resume | promote | abort`: commands of a person, allowed at any time. Pure; the caller stores the outcome as
 * that person's decision.
 */

import type { Experiment } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import type { Outcome } from "./decision.js";
import { uncomparedText } from "./otherPromotion.js";
import { openChallengers } from "./outcome.js";
import { namesOfHarm } from "./rules/harm.js";
import { percent } from "./sentence.js";
import { type ExperimentStatus, isExposing } from "./status.js";
import { completedStatus, replacedVariant, startTakeover } from "./takeover.js";

export type PersonCommand =
	| { readonly verb: "pause" }
	| { readonly verb: "resume" }
	/** arm: null = the only open challenger. shutOut: promote even if callers lose access. */
	| { readonly verb: "promote"; readonly arm: string | null; readonly shutOut?: boolean }
	| { readonly verb: "abort" };

export interface PersonInput {
	readonly experiment: Experiment;
	readonly status: ExperimentStatus;
	/** The person, for the reason. */
	readonly by: string;
	readonly nowMs: number;
	/** By challenger, why its promotion would deny callers of the default Variant; absent = no loss of access. */
	readonly accessLosses?: Readonly<Record<string, string>>;
	/** Another Experiment of the Service that is being promoted; absent = none. */
	readonly beingPromoted?: string;
	/** The Service's default Variant if it is no longer the baseline's; absent = it still is. */
	readonly replaces?: string;
}

/** @throws WeirError `failed-precondition`; `not-found` for an undeclared arm */
export function commandOutcome(input: PersonInput, command: PersonCommand): Outcome {
	switch (command.verb) {
		case "pause":
			return pause(input);
		case "resume":
			return resume(input);
		case "promote":
			return promote(input, command);
		case "abort":
			return abort(input);
	}
}

function outcome(
	action: Outcome["action"],
	reason: string,
	status: ExperimentStatus,
	defaultVariant: string | null = null,
): Outcome {
	const texts = { reason, summary: reason };
	return { action, rule: "person", ...texts, findings: [], srmP: null, status, defaultVariant, expectedMs: null };
}

function pause({ status, by }: PersonInput): Outcome {
	if (status.phase !== "Running")
		throw new WeirError(
			"failed-precondition",
			`only a Running experiment can be paused, this one is ${status.phase}`,
			status.phase === "Promoting" ? "use abort to go back to the default variant, or promote to end a holdback" : "",
		);
	return outcome("pause", `Paused at ${percent(status.allocationPpm)} by ${by}.`, {
		...status,
		phase: "Paused",
		hold: "person",
	});
}

function resume({ status, by, nowMs }: PersonInput): Outcome {
	if (status.phase !== "Paused")
		throw new WeirError("failed-precondition", `only a Paused experiment can be resumed, this one is ${status.phase}`);
	const after: ExperimentStatus = {
		...status,
		phase: "Running",
		hold: null,
		// Exposures before the alarm stay suspect; the test starts again with the next evidence.
		...(status.hold === "srm" ? { acceptedExposures: "pending" as const } : {}),
		// Otherwise maxDuration would end it again at once.
		...(status.hold === "inconclusive" ? { durationFromMs: nowMs } : {}),
	};
	const why = status.hold === "srm" ? ", accepting the sample ratio so far" : "";
	return outcome("resume", `Resumed at ${percent(status.allocationPpm)} by ${by}${why}.`, after);
}

function promote(input: PersonInput, command: Extract<PersonCommand, { verb: "promote" }>): Outcome {
	const { experiment, status, by, nowMs } = input;
	const { arm: named, shutOut: isMeant = false } = command;
	if (status.phase === "Promoting" && status.promotion?.heldBackFromMs !== undefined) return endHoldback(input, named);
	if (!isExposing(status.phase))
		throw new WeirError(
			"failed-precondition",
			`only a Running or Paused experiment can be promoted, this one is ${status.phase}`,
		);
	const { beingPromoted: other } = input;
	if (other !== undefined)
		throw new WeirError(
			"failed-precondition",
			`Experiment ${other} of the same Service is being promoted, and it is undecided which winner would be the default Variant`,
			`wait for its end; weir promote ${other} ends a holdback, weir abort ${other} takes its winner back`,
		);
	const open = openChallengers({ experiment, status });
	const declared = experiment.spec.arms.find((arm) => arm.name === named);
	if (named !== null && declared === undefined)
		throw new WeirError("not-found", `there is no arm ${named}`, `open challengers: ${open.join(", ") || "none"}`);
	if (declared?.baseline)
		throw new WeirError("failed-precondition", `arm ${declared.name} is the baseline`, "use abort to keep the default");
	if (declared !== undefined && !open.includes(declared.name))
		throw new WeirError("failed-precondition", `arm ${declared.name} was closed after proven harm`);
	const [only, another] = open;
	const arm = declared?.name ?? (another === undefined ? only : undefined);
	if (arm === undefined)
		throw new WeirError("failed-precondition", `${open.length} challengers are open`, `name one of ${open.join(", ")}`);
	const winner = experiment.spec.arms.find(({ name }) => name === arm);
	if (winner !== undefined && Object.keys(winner.parameters).length > 0)
		throw new WeirError(
			"failed-precondition",
			`arm ${arm} has parameters, and a promotion would take its Variant without them`,
			"give the parameters to the Variant itself, then promote that",
		);
	const harms = namesOfHarm(status, arm);
	if (harms.length > 0 && named === null)
		throw new WeirError(
			"failed-precondition",
			`arm ${arm} is proved worse by ${harms.join(", ")}, and was frozen for it`,
			`name it to promote it all the same: --arm ${arm}`,
		);
	const loss = input.accessLosses?.[arm];
	if (loss !== undefined && !isMeant)
		throw new WeirError(
			"failed-precondition",
			loss,
			"change the policy, or promote all the same: --shut-out --reason WHY",
		);
	const after = startTakeover(experiment, status, arm, nowMs);
	const harmed = harms.length === 0 ? "" : `, though ${harms.join(", ")} was proved worse`;
	const denies = loss === undefined ? "" : `, although ${loss}`;
	const unknown = uncomparedText(experiment, arm, input.replaces);
	const uncompared = unknown === null ? "" : `, though ${unknown}`;
	return outcome(
		"promote",
		`Arm ${arm} promoted by ${by} at ${percent(status.allocationPpm)}${harmed}${uncompared}${denies}; it takes over from ${percent(after.promotion?.takeoverPpm ?? 0)} on.`,
		after,
	);
}

/** The held-back units get the winner too. */
function endHoldback({ experiment, status, by, nowMs }: PersonInput, named: string | null): Outcome {
	const { arm = "", variant = "" } = status.promotion ?? {};
	if (named !== null && named !== arm)
		throw new WeirError("failed-precondition", `the holdback is arm ${arm}'s, ${named} cannot end it`);
	const after = completedStatus(experiment, status, nowMs);
	return outcome("complete", `Holdback ended by ${by}; all users get variant ${variant}.`, after, variant);
}

function abort({ experiment, status, by }: PersonInput): Outcome {
	if (!isExposing(status.phase) && status.phase !== "Promoting")
		throw new WeirError(
			"failed-precondition",
			`the experiment has ended: ${status.phase}`,
			status.phase === "Promoted" ? undoing(status.promotion?.variant ?? "?") : "",
		);
	const after = { ...status, phase: "Aborted", allocationPpm: 0, hold: null, promotion: null } as const;
	if (status.promotion?.heldBackFromMs === undefined)
		return outcome("abort", `Aborted by ${by}; everything goes to the default variant.`, after);
	// The winner has been the default since the holdback began.
	const old = replacedVariant(experiment, status);
	return outcome("abort", `Aborted by ${by}; everything goes back to variant ${old}.`, after, old);
}

/** An apply that does not change the field keeps the promotion: an unchanged file still has the old Variant. */
function undoing(promoted: string): string {
	return `an apply that leaves the Service's defaultVariant as it is keeps what was promoted; to undo it apply the Service with defaultVariant: ${promoted}, then with the one that it shall have`;
}
