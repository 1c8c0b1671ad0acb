/**
 * What a change of the declared resources would do: parse, check, diff. Pure, so a dry run is the same computation.
 * operations.ts authorises and commits it.
 *
 * The checks see the whole declaration, stored texts included, so that a problem in a stored document that the change breaks
 * has a position too: `stored Service employment:4:3`.
 */
import { isDeepStrictEqual } from "node:util";
import { experimentSalt } from "../../compile/assignment/experimentTable.js";
import type { Outcome } from "../../decide/rollout/decision.js";
import { applyExperiment, applyService } from "../../decide/rollout/declaration.js";
import type { ExperimentStatus, ServiceStatus, Status } from "../../decide/rollout/status.js";
import { changeProblems } from "../../declare/resources/change.js";
import { type ControlListener, controlListenerProblems } from "../../declare/resources/checks/controlListener.js";
import { localGateProblems } from "../../declare/resources/checks/localGates.js";
import { FileReadings } from "../../declare/resources/fileReading.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { serviceOf } from "../../declare/resources/lookup.js";
import { readResources, reported } from "../../declare/resources/parse.js";
import { type Problem, qualifiedName, type Resource, type ResourceSet } from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { STATE_KEY_CHARS_MAX } from "../../limits/index.js";
import type { Change, ResourceChange, Target } from "./change.js";
import { crossCheck, phasesOf } from "./crossCheck.js";
import { deletionProblems } from "./deletionProblems.js";
import { declaredIn } from "./documents.js";
import { quotaProblems, ruleProblems } from "./quota.js";
import { keyOf, resourceKey, sortedSet } from "./resourceKey.js";
import type { StoredResource } from "./stored.js";
import { type UsedBefore, usedProblems } from "./usedProblems.js";

/** The state before the change. */
export interface CurrentState extends UsedBefore {
	readonly stored: readonly StoredResource[];
	readonly status: Status;
	/** Where control itself listens. */
	readonly controlListeners: readonly ControlListener[];
	readonly allowLocalGates: boolean;
}

/** One resource before and after the change; null = absent. */
export type ResourceDiff =
	| { readonly before: Resource | null; readonly after: Resource }
	| { readonly before: Resource; readonly after: null };

/** All or nothing: applied as a whole, or refused with every problem. */
export type ApplyResult =
	| {
			readonly outcome: "applied";
			readonly revision: number;
			readonly changes: readonly ResourceChange[];
			/** Only for a dry run: the approvals that it would need. */
			readonly approvals?: number;
	  }
	| { readonly outcome: "refused"; readonly problems: readonly Problem[] };

/** What a change of the resources would write; nothing if there are problems. */
export interface ChangeSet {
	readonly problems: readonly Problem[];
	/** Problems of the given texts alone, independent of the stored resources. */
	readonly syntaxProblems: readonly Problem[];
	/** Every resource that the change names, unchanged ones too; also when there are problems. */
	readonly diffs: readonly ResourceDiff[];
	/** All resources after the change. */
	readonly after: ResourceSet;
	readonly changes: readonly ResourceChange[];
	/** Includes unchanged resources with a changed text (a comment): stored, but the state does not change. */
	readonly upserts: readonly StoredResource[];
	readonly deletions: readonly Target[];
	/** By qualified name; null = removed. */
	readonly experiments: Readonly<Record<string, ExperimentStatus | null>>;
	readonly services: Readonly<Record<string, ServiceStatus | null>>;
	readonly decisions: readonly DeclarationDecision[];
	readonly newlyUsed: readonly { readonly kind: "name" | "salt"; readonly text: string; readonly experiment: string }[];
}

export interface DeclarationDecision {
	/** Qualified name. */
	readonly experiment: string;
	readonly outcome: Outcome;
	/** The status before; null = a start. */
	readonly before: ExperimentStatus | null;
}

/** @throws WeirError `not-found` for a missing resource to delete. */
export function changeSetOf(current: CurrentState, change: Change, nowMs: number): ChangeSet {
	const parsed = parse(current, change);
	const { problems, written } = check(current, change, parsed);
	const refused: ChangeSet = {
		problems: reported(problems, change.files),
		syntaxProblems: parsed.syntaxProblems,
		diffs: parsed.diffs,
		after: parsed.after,
		changes: [],
		upserts: [],
		deletions: [],
		experiments: {},
		services: {},
		decisions: [],
		newlyUsed: [],
	};
	return problems.length > 0 ? refused : { ...refused, ...effects(current, change, parsed, written, nowMs) };
}

interface Parsed {
	readonly readings: FileReadings;
	readonly syntaxProblems: readonly Problem[];
	readonly given: ResourceSet;
	readonly diffs: readonly ResourceDiff[];
	/** Stored resources that the change leaves alone. */
	readonly kept: readonly StoredResource[];
	readonly after: ResourceSet;
	readonly known: ReadonlyMap<string, StoredResource>;
}

function parse({ stored }: CurrentState, { files, deletions }: Change): Parsed {
	const readings = new FileReadings();
	const { problems: syntaxProblems, resources: given, positions } = readResources(files, readings);
	const known = new Map(stored.map((one) => [keyOf(one.resource), one]));
	const deleted = deletions.map(({ kind, name }): Resource => {
		const found = known.get(resourceKey(kind, name))?.resource;
		if (found !== undefined) return found;
		throw new WeirError("not-found", `no ${kind} '${name.slice(0, STATE_KEY_CHARS_MAX)}'`, "see weir get");
	});
	const applied = resourcesOf(given);
	const replaced = new Set([...applied, ...deleted].map(keyOf));
	const kept = stored.filter(({ resource }) => !replaced.has(keyOf(resource)) && !positions.isBroken(resource));
	return {
		readings,
		syntaxProblems,
		given,
		diffs: [
			...applied.map((after) => ({ before: known.get(keyOf(after))?.resource ?? null, after })),
			...[...new Set(deleted)].map((before) => ({ before, after: null })),
		],
		kept,
		after: sortedSet([...kept.map(({ resource }) => resource), ...applied]),
		known,
	};
}

/** @returns problems, or each given resource with the text of its document */
function check(
	current: CurrentState,
	{ files, deletions }: Change,
	{ readings, syntaxProblems, given, diffs, kept, after, known }: Parsed,
): { readonly problems: readonly Problem[]; readonly written: readonly StoredResource[] } {
	const tooMany = ruleProblems(current.resources, after);
	if (tooMany.length > 0) return { problems: [...syntaxProblems, ...tooMany], written: [] };
	const whole = crossCheck(current.stored, kept, files, current.status, readings);
	const created = given.experiments.filter((one) => !known.has(keyOf(one)));
	const deleted = diffs.flatMap((one) => (one.after === null ? [one.before] : []));
	const ofDeletion = deletions.length === 0 ? [] : deletionProblems(deleted, after, whole.positions);
	// The checks report an unknown name at the same position, with a misleading hint.
	const explained = new Set(ofDeletion.map(({ position }) => JSON.stringify(position)));
	const problems = [
		...ofDeletion,
		...whole.problems.filter(({ position }) => position === null || !explained.has(JSON.stringify(position))),
		...controlListenerProblems(given.services, current.controlListeners, whole.positions),
		...(current.allowLocalGates ? [] : localGateProblems(given.experiments, whole.positions)),
		...changeProblems(current.resources, after, phasesOf(current.status), whole.positions),
		...usedProblems(current, new Set(created.map(({ metadata }) => qualifiedName(metadata))), whole),
	];
	if (problems.length > 0) return { problems, written: [] };
	const written = declaredIn(files, readings);
	return { problems: quotaProblems(current.stored, [...kept, ...written], current.status), written };
}

type Effects = Pick<
	ChangeSet,
	"changes" | "upserts" | "deletions" | "experiments" | "services" | "decisions" | "newlyUsed"
>;

function effects(
	current: CurrentState,
	{ deletions }: Change,
	{ given, diffs, known }: Parsed,
	written: readonly StoredResource[],
	nowMs: number,
): Effects {
	const sources = new Map(written.map(({ resource, source }) => [keyOf(resource), source]));
	const upserts = diffs.flatMap(({ before, after }): readonly StoredResource[] => {
		if (after === null) return [];
		const source = sources.get(keyOf(after)) ?? "";
		const isSame = isDeepStrictEqual(before, after) && known.get(keyOf(after))?.source === source;
		return isSame ? [] : [{ resource: after, source }];
	});
	return {
		changes: diffs.map(changeOf),
		upserts,
		deletions,
		...statusChanges(current, diffs, nowMs),
		newlyUsed: given.experiments.flatMap((one) => {
			const experiment = qualifiedName(one.metadata);
			return [
				{ kind: "name" as const, text: experiment, experiment },
				{ kind: "salt" as const, text: experimentSalt(one), experiment },
			];
		}),
	};
}

export function changeOf({ before, after }: ResourceDiff): ResourceChange {
	const { kind, metadata } = after ?? before;
	const isSame = isDeepStrictEqual(before, after);
	const change = after === null ? "deleted" : before === null ? "created" : isSame ? "unchanged" : "configured";
	return { kind, name: qualifiedName(metadata), change };
}

/** Experiments start, are adjusted or are removed; a changed default Variant ends a promotion. */
function statusChanges(
	{ resources, status }: CurrentState,
	diffs: readonly ResourceDiff[],
	nowMs: number,
): Pick<ChangeSet, "experiments" | "services" | "decisions"> {
	const experiments: Record<string, ExperimentStatus | null> = {};
	const services: Record<string, null> = {};
	const decisions: DeclarationDecision[] = [];
	for (const { before, after } of diffs) {
		const { kind, metadata } = after ?? before;
		const name = qualifiedName(metadata);
		if (kind === "Experiment") {
			const live = status.experiments[name] ?? null;
			if (after === null) {
				experiments[name] = null;
				if (live === null) continue;
				decisions.push({
					experiment: name,
					before: live,
					outcome: declaredOutcome(live, "The Experiment was deleted."),
				});
			} else if (after.kind === "Experiment") {
				const outcome = applyExperiment(before?.kind === "Experiment" ? before : null, after, live, nowMs);
				if (outcome === null) continue;
				experiments[name] = outcome.status;
				decisions.push({ experiment: name, outcome, before: live });
			}
		}
		if (kind === "Service") {
			const learned = status.services[name] ?? null;
			if (after === null) services[name] = null;
			if (after?.kind !== "Service" || learned === null) continue;
			const reason = applyService(before?.kind === "Service" ? before : null, after, learned);
			if (reason === null) continue;
			services[name] = null;
			decisions.push(
				...endedPromotions({ resources, status }, name, learned.defaultVariant).map(({ experiment, before }) => {
					const { defaultVariant } = after.spec;
					return { experiment, before, outcome: { ...declaredOutcome(before, reason), defaultVariant } };
				}),
			);
		}
	}
	return { experiments, services, decisions };
}

/** Experiments that had promoted the Variant: each records the end of its promotion. */
function endedPromotions(
	{ resources, status }: Pick<CurrentState, "resources" | "status">,
	service: string,
	promoted: string,
): readonly { readonly experiment: string; readonly before: ExperimentStatus }[] {
	return resources.experiments.flatMap((one) => {
		const experiment = qualifiedName(one.metadata);
		const before = status.experiments[experiment];
		return serviceOf(one) === service && before?.promotion?.variant === promoted ? [{ experiment, before }] : [];
	});
}

/** The outcome of a declaration that leaves the Experiment's status as it is. */
function declaredOutcome(status: ExperimentStatus, reason: string): Outcome {
	return {
		action: "hold",
		rule: "declaration",
		reason,
		findings: [],
		srmP: null,
		status,
		defaultVariant: null,
		expectedMs: null,
	};
}
