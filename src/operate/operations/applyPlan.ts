/**
 * What a change of the declared resources would do: parse, check, diff. Pure, so a dry run is the same computation.
 * operations.ts authorises and commits it.
 *
 * The checks see the whole declaration, stored texts included, so that a problem in a stored document that the change breaks
 * has a position too: `stored Service employment:4:3`.
 */
import { isDeepStrictEqual } from "node:util";
import { policiesOf } from "../../compile/access/rules/selection.js";
import { experimentSalt } from "../../compile/assignment/table.js";
import type { Outcome } from "../../decide/rollout/decision.js";
import { applyExperiment, applyService } from "../../decide/rollout/declaration.js";
import type { ExperimentStatus, ServiceStatus, Status } from "../../decide/rollout/status.js";
import { changeProblems } from "../../declare/resources/change.js";
import { type ControlListener, controlListenerProblems } from "../../declare/resources/checks/controlListener.js";
import { isForeignSalt } from "../../declare/resources/checks/layer.js";
import { localGateProblems } from "../../declare/resources/checks/localGates.js";
import { FileReadings } from "../../declare/resources/fileReading.js";
import { resourcesOf } from "../../declare/resources/kinds.js";
import { findNamed, grouping, serviceOf } from "../../declare/resources/lookup.js";
import { parseResources } from "../../declare/resources/parse.js";
import { type Named, resourceTitle } from "../../declare/resources/position.js";
import { mayName, referencesOf } from "../../declare/resources/reference.js";
import {
	type AccessPolicy,
	type Experiment,
	namespaceOf,
	type Problem,
	qualifiedName,
	type Resource,
	type ResourceSet,
	type Service,
} from "../../declare/resources/resource.js";
import { WeirError } from "../../error.js";
import { STATE_KEY_CHARS_MAX } from "../../limits/index.js";
import { declaredIn } from "../api/documents.js";
import type { Change, ResourceChange, Target } from "../state/history/change.js";
import type { StoredResource, Used } from "../state/store/database.js";
import { keyOf, resourceKey, sortedSet } from "../state/store/resourceSet.js";
import { type CrossChecked, crossCheck, phasesOf } from "./crossCheck.js";
import { quotaProblems, ruleProblems } from "./quota.js";

/** The state before the change. */
export interface Declared {
	readonly stored: readonly StoredResource[];
	readonly resources: ResourceSet;
	readonly status: Status;
	/** The first use of an Experiment name or a salt, however long ago. */
	readonly used: (kind: "name" | "salt", text: string) => Used | undefined;
	/** Where control itself listens. */
	readonly controlListeners: readonly ControlListener[];
	readonly allowLocalGates: boolean;
}

/** One resource before and after the change; null = absent. */
export type Touched =
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

/** The writes of a change; none if there are problems. */
export interface ApplyPlan {
	readonly problems: readonly Problem[];
	/** Problems of the given texts alone, independent of the stored resources. */
	readonly faults: readonly Problem[];
	/** Every resource that the change names, unchanged ones too; also when there are problems. */
	readonly touched: readonly Touched[];
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
export function planApply(declared: Declared, change: Change, nowMs: number): ApplyPlan {
	const parsed = parse(declared, change);
	const { problems, written } = check(declared, change, parsed);
	const plan: ApplyPlan = {
		problems,
		faults: parsed.faults,
		touched: parsed.touched,
		after: parsed.after,
		changes: [],
		upserts: [],
		deletions: [],
		experiments: {},
		services: {},
		decisions: [],
		newlyUsed: [],
	};
	return problems.length > 0 ? plan : { ...plan, ...diff(declared, change, parsed, written, nowMs) };
}

interface Parsed {
	readonly readings: FileReadings;
	readonly faults: readonly Problem[];
	readonly given: ResourceSet;
	readonly touched: readonly Touched[];
	/** Stored resources that the change leaves alone. */
	readonly kept: readonly StoredResource[];
	readonly after: ResourceSet;
	readonly known: ReadonlyMap<string, StoredResource>;
}

function parse({ stored }: Declared, { files, deletions }: Change): Parsed {
	const readings = new FileReadings();
	const { problems: faults, resources: given, positions } = parseResources(files, readings);
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
		faults,
		given,
		touched: [
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
	declared: Declared,
	{ files, deletions }: Change,
	{ readings, faults, given, touched, kept, after, known }: Parsed,
): { readonly problems: readonly Problem[]; readonly written: readonly StoredResource[] } {
	const tooMany = ruleProblems(declared.resources, after);
	if (tooMany.length > 0) return { problems: [...faults, ...tooMany], written: [] };
	const whole = crossCheck(declared.stored, kept, files, declared.status, readings);
	const created = given.experiments.filter((one) => !known.has(keyOf(one)));
	const deleted = touched.flatMap((one) => (one.after === null ? [one.before] : []));
	const ofDeletion = deletions.length === 0 ? [] : deletionProblems(deleted, after, whole);
	// The checks report an unknown name at the same position, with a misleading hint.
	const explained = new Set(ofDeletion.map(({ position }) => JSON.stringify(position)));
	const problems = [
		...ofDeletion,
		...whole.problems.filter(({ position }) => position === null || !explained.has(JSON.stringify(position))),
		...controlListenerProblems(given.services, declared.controlListeners, whole.positions),
		...(declared.allowLocalGates ? [] : localGateProblems(given.experiments, whole.positions)),
		...changeProblems(declared.resources, after, phasesOf(declared.status), whole.positions),
		...usedProblems(declared, new Set(created.map(({ metadata }) => qualifiedName(metadata))), whole),
	];
	if (problems.length > 0) return { problems, written: [] };
	const written = declaredIn(files, readings);
	return { problems: quotaProblems(declared.stored, [...kept, ...written], declared.status), written };
}

type Diff = Pick<
	ApplyPlan,
	"changes" | "upserts" | "deletions" | "experiments" | "services" | "decisions" | "newlyUsed"
>;

function diff(
	declared: Declared,
	{ deletions }: Change,
	{ given, touched, known }: Parsed,
	written: readonly StoredResource[],
	nowMs: number,
): Diff {
	const sources = new Map(written.map(({ resource, source }) => [keyOf(resource), source]));
	const upserts = touched.flatMap(({ before, after }): readonly StoredResource[] => {
		if (after === null) return [];
		const source = sources.get(keyOf(after)) ?? "";
		const isSame = isDeepStrictEqual(before, after) && known.get(keyOf(after))?.source === source;
		return isSame ? [] : [{ resource: after, source }];
	});
	return {
		changes: touched.map(changeOf),
		upserts,
		deletions,
		...statusChanges(declared, touched, nowMs),
		newlyUsed: given.experiments.flatMap((one) => {
			const experiment = qualifiedName(one.metadata);
			return [
				{ kind: "name" as const, text: experiment, experiment },
				{ kind: "salt" as const, text: experimentSalt(one), experiment },
			];
		}),
	};
}

export function changeOf({ before, after }: Touched): ResourceChange {
	const { kind, metadata } = after ?? before;
	const isSame = isDeepStrictEqual(before, after);
	const change = after === null ? "deleted" : before === null ? "created" : isSame ? "unchanged" : "configured";
	return { kind, name: qualifiedName(metadata), change };
}

/** Experiments start, are adjusted or are removed; a changed default Variant ends a promotion. */
function statusChanges(
	{ resources, status }: Declared,
	touched: readonly Touched[],
	nowMs: number,
): Pick<ApplyPlan, "experiments" | "services" | "decisions"> {
	const experiments: Record<string, ExperimentStatus | null> = {};
	const services: Record<string, null> = {};
	const decisions: DeclarationDecision[] = [];
	for (const { before, after } of touched) {
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
	{ resources, status }: Pick<Declared, "resources" | "status">,
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

/**
 * Refuses to delete a resource that another one names, and the last AccessPolicy of a Service: operators open a Service
 * that no one can call in a hurry. Both can be deleted together with the other resource.
 */
function deletionProblems(
	deleted: readonly Resource[],
	after: ResourceSet,
	{ positions }: Pick<CrossChecked, "positions">,
): readonly Problem[] {
	const titles = new Set(deleted.map(resourceTitle));
	const named = resourcesOf(after)
		.flatMap(referencesOf)
		.flatMap(({ from, path, to }): readonly Problem[] => {
			const isAnothersClass = to.kind === "DataClass" && from.metadata.namespace !== to.metadata.namespace;
			// A reference without a grant, and another namespace's use of a DataClass, do not block the owner.
			if (!titles.has(resourceTitle(to)) || isAnothersClass || !mayName(from, to, after.referenceGrants)) return [];
			return [
				{
					position: positions.at(from, path),
					message: `${resourceTitle(from)} names ${resourceTitle(to)}`,
					hint: `delete or change that first, or delete both at once: weir delete ${both(to, from)}`,
				},
			];
		});
	const policies = deleted.filter(
		(one): one is AccessPolicy => one.kind === "AccessPolicy" && one.spec.mode === "enforce",
	);
	const hasRules = (service: Service): boolean =>
		service.spec.access === "open" ||
		policiesOf(service, after.accessPolicies, after.referenceGrants).some(({ spec }) => spec.mode === "enforce");
	const closed = (policies.length === 0 ? [] : after.services).flatMap((service): readonly Problem[] => {
		const last = policiesOf(service, policies, after.referenceGrants)[0];
		if (last === undefined || hasRules(service)) return [];
		return [
			{
				position: positions.at(service, ["spec"]),
				message: `${resourceTitle(last)} is the last one about ${resourceTitle(service)}, which no one could call any more`,
				hint: `apply the policy that takes its place first (one with action: deny closes it), or delete both at once: weir delete ${both(last, service)}`,
			},
		];
	});
	return [...named, ...closed];
}

/** As command arguments. */
const both = (...named: readonly Named[]): string => named.map(resourceTitle).join(" ");

const bySalt = grouping<Experiment>((one) => [experimentSalt(one)]);

/**
 * A salt identifies the groups of an Experiment and a name its evidence, so neither is ever used again. Other checks find
 * two Experiments that use one salt at the same time.
 */
function usedProblems(declared: Declared, created: ReadonlySet<string>, whole: CrossChecked): Problem[] {
	const { experiments } = whole.resources;
	const demanding = bySalt(whole.demanding);
	return experiments.flatMap((one): Problem[] => {
		const name = qualifiedName(one.metadata);
		const salt = experimentSalt(one);
		if (created.has(name) && declared.used("name", name) !== undefined) {
			return [
				{
					position: whole.positions.at(one, ["metadata", "name"]),
					message: `the name '${name}' was used by an earlier Experiment`,
					hint: "choose a new name: evidence and decisions are kept by name",
				},
			];
		}
		// A foreign salt is refused by itself, without revealing who used it.
		const stored = findNamed(declared.resources.experiments, one.metadata);
		if (isForeignSalt(one) && stored?.spec.salt !== one.spec.salt) return [];
		const owner = declared.used("salt", salt)?.experiment;
		const twice = (demanding.get(salt) ?? []).some((other) => other !== one);
		if (owner === undefined || twice || (owner === name && !created.has(name))) return [];
		const isOwn = namespaceOf(owner) === one.metadata.namespace;
		return [
			{
				position: whole.positions.at(one, one.spec.salt === null ? ["metadata", "name"] : ["spec", "salt"]),
				message: `the salt '${salt}' was used by ${isOwn ? `Experiment '${owner}'` : "an Experiment of another namespace"}, whose groups would be the same`,
				hint: "choose a new salt, or leave it out and choose a new name",
			},
		];
	});
}
