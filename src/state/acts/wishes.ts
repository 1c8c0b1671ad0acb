/**
 * What an apply would do, worked out before anything is written: the documents merged into the stored
 * wishes by kind, namespace and name, the whole checked, and what follows for the facts. Reads no clock and writes
 * nothing, so that a dry run is the same computation.
 *
 * The whole is checked from the texts, the stored ones included, so that a problem in a stored document that the
 * new ones break has a place too: `stored Service employment:4:3`.
 */

import { isDeepStrictEqual } from "node:util";
import { experimentSalt } from "../../assignment/table.js";
import { changeProblems } from "../../resources/change.js";
import { isForeignSalt } from "../../resources/checks/layer.js";
import { type OwnDoor, ownDoorProblems } from "../../resources/checks/ownDoor.js";
import { FileReadings } from "../../resources/fileReading.js";
import { resourcesOf } from "../../resources/kinds.js";
import { experimentsOf, findNamed, grouping, serviceOf } from "../../resources/lookup.js";
import { parseResources } from "../../resources/parse.js";
import {
	type Experiment,
	type Kind,
	namespaceOf,
	type Problem,
	qualifiedName,
	type Resource,
	type ResourceSet,
} from "../../resources/resource.js";
import type { Outcome } from "../../rollout/decision.js";
import { applyExperiment, applyService, underTimeout } from "../../rollout/declaration.js";
import type { ExperimentStatus, ServiceStatus, Status } from "../../rollout/status.js";
import { declaredIn } from "../api/documents.js";
import { type Opening, openedByGrants } from "../consequences/grantsOpened.js";
import { type Loosened, rulesLoosened } from "../consequences/rulesLoosened.js";
import { type ServerShared, serversShared } from "../consequences/serversShared.js";
import { newlyUnplaced, type StandingFault, type ToldServices } from "../consequences/unplaced.js";
import type { StoredResource, Used } from "../store/database.js";
import { keyOf, resourceKey, sortedSet } from "../store/resourceSet.js";
import { type CrossChecked, crossCheck, phasesOf } from "./crossCheck.js";
import type { Target } from "./deletion.js";
import { roomProblems, ruleProblems } from "./room.js";

export interface SourceFile {
	readonly name: string;
	readonly text: string;
}

/** What is stored before the change. */
export interface Wishes {
	readonly stored: readonly StoredResource[];
	readonly resources: ResourceSet;
	readonly status: Status;
	/** Who used an Experiment name or a salt first, also long ago; undefined = nobody. */
	readonly used: (kind: "name" | "salt", text: string) => Used | undefined;
	/** Where control itself listens. */
	readonly ownDoors: readonly OwnDoor[];
}

export interface ResourceChange {
	readonly kind: Kind;
	/** Qualified name. */
	readonly name: string;
	readonly change: "created" | "configured" | "unchanged" | "deleted";
}

export interface ApplyOptions {
	/** The person, as recorded with what the declaration decides. */
	readonly by: string;
	/** Check and tell, change nothing. */
	readonly dryRun: boolean;
	readonly nowMs: number;
	/** Of a rollback: the revision whose access rules it brings back. */
	readonly restored?: number | null;
}

/** All or nothing: applied as a whole, or refused with every problem. */
export type ApplyResult =
	| {
			readonly outcome: "applied";
			readonly revision: number;
			readonly changes: readonly ResourceChange[];
			/** Of a dry run by an operator: how many others would have to approve it first. */
			readonly approvals?: number;
			/** Services that it takes endpoints away of, by DataClasses and grants; absent: none. */
			readonly unplaced?: ToldServices;
			/** Services that it opens to somebody, by grants; absent: none. */
			readonly opened?: ToldServices;
			/** Of a rollback: what came later and stays, for a Service would be left without any rule. */
			readonly kept?: readonly Target[];
			/** Of a rollback: what does not come back, for its Services are gone. */
			readonly leftOut?: readonly Target[];
	  }
	| { readonly outcome: "refused"; readonly problems: readonly Problem[] };

/** What would be written; nothing of it counts where there are problems. */
export interface WishPlan {
	readonly problems: readonly Problem[];
	/** Of them, those of the given texts by themselves, which would be the same whatever is stored. */
	readonly faults: readonly Problem[];
	/**
	 * Every resource that it is about, also unchanged ones and where there are problems; of a delete, the stored one.
	 */
	readonly given: readonly Resource[];
	readonly changes: readonly ResourceChange[];
	/** Also unchanged resources whose text changed (a comment): stored, and no change of the state. */
	readonly upserts: readonly StoredResource[];
	readonly deletions: readonly { readonly kind: Kind; readonly name: string }[];
	readonly unplaced: readonly StandingFault[];
	readonly opened: readonly Opening[];
	readonly loosened: readonly Loosened[];
	readonly shared: readonly ServerShared[];
	/** By qualified name; null = gone. */
	readonly experiments: Readonly<Record<string, ExperimentStatus | null>>;
	readonly services: Readonly<Record<string, ServiceStatus | null>>;
	readonly decisions: readonly DeclarationDecision[];
	readonly newlyUsed: readonly { readonly kind: "name" | "salt"; readonly text: string; readonly experiment: string }[];
}

export interface DeclarationDecision {
	/** Qualified name. */
	readonly experiment: string;
	readonly outcome: Outcome;
	/** The status it was made on; null = a start. */
	readonly before: ExperimentStatus | null;
}

/** A plan that writes nothing. */
export const NOTHING: Omit<WishPlan, "problems" | "given"> = {
	faults: [],
	changes: [],
	upserts: [],
	deletions: [],
	unplaced: [],
	opened: [],
	loosened: [],
	shared: [],
	experiments: {},
	services: {},
	decisions: [],
	newlyUsed: [],
};

/** @param away resources that go with it */
export function planApply(
	wishes: Wishes,
	files: readonly SourceFile[],
	nowMs: number,
	away: readonly Target[] = [],
): WishPlan {
	const readings = new FileReadings();
	const given = parseResources(files, readings);
	const resources = resourcesOf(given.resources);
	const gone = new Set(away.map(({ kind, name }) => resourceKey(kind, name)));
	const replaced = new Set([...resources.map(keyOf), ...gone]);
	const about = [
		...resources,
		...wishes.stored.flatMap(({ resource }) => (gone.has(keyOf(resource)) ? [resource] : [])),
	];
	const kept = wishes.stored.filter(
		({ resource }) => !replaced.has(keyOf(resource)) && !given.positions.isBroken(resource),
	);
	const before = new Map(wishes.stored.map((stored) => [keyOf(stored.resource), stored]));
	const after = sortedSet([...kept.map((stored) => stored.resource), ...resources]);
	const tooMany = ruleProblems(wishes.resources, after);
	if (tooMany.length > 0)
		return { ...NOTHING, problems: [...given.problems, ...tooMany], faults: given.problems, given: about };
	const whole = crossCheck(wishes.stored, kept, files, wishes.status, readings);
	const fresh = new Set(
		given.resources.experiments.filter((one) => !before.has(keyOf(one))).map((one) => qualifiedName(one.metadata)),
	);
	const problems = [
		...whole.problems,
		...ownDoorProblems(given.resources.services, wishes.ownDoors, whole.positions),
		...changeProblems(wishes.resources, after, phasesOf(wishes.status), whole.positions),
		...usedProblems(wishes, fresh, whole),
	];
	if (problems.length > 0) return { ...NOTHING, problems, faults: given.problems, given: about };

	const written = declaredIn(files, readings);
	const sources = new Map(written.map(({ resource, source }) => [keyOf(resource), source]));
	const changes: ResourceChange[] = [];
	const upserts: StoredResource[] = [];
	for (const resource of resources) {
		const known = before.get(keyOf(resource));
		const source = sources.get(keyOf(resource)) ?? "";
		const same = known !== undefined && isDeepStrictEqual(known.resource, resource);
		const change = known === undefined ? "created" : same ? "unchanged" : "configured";
		changes.push({ kind: resource.kind, name: qualifiedName(resource.metadata), change });
		if (!same || known.source !== source) upserts.push({ resource, source });
	}
	const tooMuch = roomProblems(wishes.stored, [...kept, ...written], wishes.status);
	if (tooMuch.length > 0) return { ...NOTHING, problems: tooMuch, given: about };
	const newlyUsed = given.resources.experiments.flatMap((one) => {
		const experiment = qualifiedName(one.metadata);
		return [
			{ kind: "name" as const, text: experiment, experiment },
			{ kind: "salt" as const, text: experimentSalt(one), experiment },
		];
	});
	changes.push(...away.map(({ kind, name }) => ({ kind, name, change: "deleted" as const })));
	return {
		...NOTHING,
		problems,
		given: about,
		changes,
		upserts,
		deletions: away,
		unplaced: newlyUnplaced(wishes.resources, after, changes),
		opened: openedByGrants(wishes.resources, after, changes),
		loosened: rulesLoosened(wishes.resources, after, changes),
		shared: serversShared(wishes.resources, after, changes),
		newlyUsed,
		...facts(wishes, before, resources, nowMs),
	};
}

/** What the declaration does to the facts: Experiments start or are adjusted, a changed default Variant wins. */
function facts(
	wishes: Wishes,
	before: ReadonlyMap<string, StoredResource>,
	resources: readonly Resource[],
	nowMs: number,
): Pick<WishPlan, "experiments" | "services" | "decisions"> {
	const experiments: Record<string, ExperimentStatus> = {};
	const services: Record<string, null> = {};
	const decisions: DeclarationDecision[] = [];
	for (const resource of resources) {
		const name = qualifiedName(resource.metadata);
		const known = before.get(keyOf(resource))?.resource;
		if (resource.kind === "Experiment") {
			const status = wishes.status.experiments[name] ?? null;
			const former = known?.kind === "Experiment" ? known : null;
			const outcome = applyExperiment(former, resource, status, nowMs);
			if (outcome === null) continue;
			experiments[name] = outcome.status;
			decisions.push({ experiment: name, outcome, before: status });
		}
		if (resource.kind === "Service") {
			const learned = wishes.status.services[name] ?? null;
			const reason = applyService(known?.kind === "Service" ? known : null, resource, learned);
			if (reason === null || learned === null) continue;
			services[name] = null;
			const defaultVariant = resource.spec.defaultVariant;
			decisions.push(...undone(wishes, name, learned.defaultVariant, defaultVariant, reason));
		}
	}
	for (const resource of resources) {
		const known = before.get(keyOf(resource))?.resource;
		if (resource.kind !== "Service" || known?.kind !== "Service") continue;
		for (const { metadata } of experimentsOf(wishes.resources.experiments, resource)) {
			const name = qualifiedName(metadata);
			const stands = experiments[name] ?? wishes.status.experiments[name];
			const after = stands === undefined ? null : underTimeout(known, resource, stands);
			if (after !== null) experiments[name] = after;
		}
	}
	return { experiments, services, decisions };
}

/** The end of a promotion by a changed declaration, recorded with the Experiments that had promoted the Variant. */
function undone(
	wishes: Wishes,
	service: string,
	promoted: string,
	defaultVariant: string,
	reason: string,
): DeclarationDecision[] {
	return wishes.resources.experiments.flatMap((one) => {
		const experiment = qualifiedName(one.metadata);
		const before = wishes.status.experiments[experiment];
		if (serviceOf(one) !== service || before?.promotion?.variant !== promoted) return [];
		return { experiment, before, outcome: { ...declared(before, reason), defaultVariant } };
	});
}

/** What a changed declaration decides about an Experiment as it stands. */
export function declared(status: ExperimentStatus, reason: string): Outcome {
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

const bySalt = grouping<Experiment>((one) => [experimentSalt(one)]);

/**
 * An Experiment's groups are remembered by its salt, its evidence by its name: neither is ever used twice. Salts
 * that two Experiments of the set have at the same time are found by the checks of the set.
 */
function usedProblems(wishes: Wishes, fresh: ReadonlySet<string>, whole: CrossChecked): Problem[] {
	const { experiments } = whole.resources;
	const demanding = bySalt(whole.demanding);
	return experiments.flatMap((one): Problem[] => {
		const name = qualifiedName(one.metadata);
		const salt = experimentSalt(one);
		if (fresh.has(name) && wishes.used("name", name) !== undefined) {
			return [
				{
					position: whole.positions.at(one, ["metadata", "name"]),
					message: `the name '${name}' was used by a former Experiment`,
					hint: "choose a new name: evidence and decisions are kept by name",
				},
			];
		}
		// Whatever stands or stood there is not told: the salt is refused, unless it is this one's since earlier.
		const stands = findNamed(wishes.resources.experiments, one.metadata);
		if (isForeignSalt(one) && stands?.spec.salt !== one.spec.salt) return [];
		const owner = wishes.used("salt", salt)?.experiment;
		const twice = (demanding.get(salt) ?? []).some((other) => other !== one);
		if (owner === undefined || twice || (owner === name && !fresh.has(name))) return [];
		return [
			{
				position: whole.positions.at(one, one.spec.salt === null ? ["metadata", "name"] : ["spec", "salt"]),
				message: `the salt '${salt}' was used by ${former(owner, one)}, whose groups would be the same`,
				hint: "choose a new salt, or leave it out and choose a new name",
			},
		];
	});
}

/** Names of other namespaces, also of what is long gone, are not for who declares in this one. */
function former(owner: string, { metadata }: Experiment): string {
	return namespaceOf(owner) === metadata.namespace ? `Experiment '${owner}'` : "an Experiment of another namespace";
}
