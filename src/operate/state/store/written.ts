/** Declared resources and live status in the state file: read as a whole, and written by a change set. */

import { isDeepStrictEqual } from "node:util";
import type { State } from "../../../decide/rollout/ports.js";
import type { ExperimentStatus } from "../../../decide/rollout/status.js";
import { serviceOf } from "../../../declare/resources/lookup.js";
import { type Experiment, qualifiedName } from "../../../declare/resources/resource.js";
import type { ChangeSet } from "../../changes/changeSet.js";
import { keyOf } from "../../changes/resourceKey.js";
import type { StoredResource } from "../../changes/stored.js";
import type { StateDatabase } from "./database.js";
import type { DecisionLog } from "./decisionLog.js";

/**
 * Every resource with the text it was written in, sorted by kind and name.
 * @param former the resources before a change: an unchanged one stays the same object, so that memoized results stay valid
 */
export function storedIn(
	{ resources }: StateDatabase,
	former: readonly StoredResource[] = [],
): readonly StoredResource[] {
	const known = new Map(former.map((one) => [keyOf(one.resource), one]));
	const isSame = (one: StoredResource | undefined, value: StoredResource): one is StoredResource =>
		one !== undefined && isDeepStrictEqual(one, value);
	return [...resources.getRange()].map(({ value }) => {
		const key = keyOf(value.resource);
		const before = known.get(key);
		return isSame(before, value) ? before : value;
	});
}

/** The revision, and the status of all Experiments and Services. */
export function stateIn({ experiments, services, counters }: StateDatabase): Pick<State, "revision" | "status"> {
	const all = <Value>(entries: Iterable<{ key: string; value: Value }>): Record<string, Value> =>
		Object.fromEntries([...entries].map(({ key, value }) => [key, value]));
	return {
		revision: counters.get("revision") ?? 0,
		status: { experiments: all(experiments.getRange()), services: all(services.getRange()) },
	};
}

/** Writes a change set, and the revision that it leads to. Inside a transaction. */
export function writeChangeSet(
	{ resources, experiments, services, used, counters }: StateDatabase,
	log: DecisionLog,
	changeSet: ChangeSet,
	{ by, nowMs, revision }: { readonly by: string; readonly nowMs: number; readonly revision: number },
): void {
	for (const stored of changeSet.upserts) {
		resources.putSync([stored.resource.kind, qualifiedName(stored.resource.metadata)], stored);
	}
	for (const { kind, name } of changeSet.deletions) resources.removeSync([kind, name]);
	for (const { experiment, outcome, before } of changeSet.decisions) {
		log.append({ experiment, by, atMs: nowMs, input: null, outcome }, revision, before);
	}
	for (const [name, status] of Object.entries(changeSet.experiments)) {
		if (status === null) experiments.removeSync(name);
		else experiments.putSync(name, status);
	}
	for (const [name, status] of Object.entries(changeSet.services)) {
		if (status === null) services.removeSync(name);
		else services.putSync(name, status);
	}
	for (const { kind, text, experiment } of changeSet.newlyUsed) {
		if (used.get([kind, text]) === undefined) used.putSync([kind, text], { experiment, sinceMs: nowMs });
	}
	// Another text of the same is no change.
	if (revision !== counters.get("revision")) counters.putSync("declared", revision);
	counters.putSync("revision", revision);
}

/** A Service's live default Variant; null = as declared. */
interface LiveDefault {
	readonly name: string;
	readonly defaultVariant: string | null;
}

/** The new live default of an Experiment's Service; null = unchanged. */
export function defaultChange(
	{ resources, status }: State,
	experiment: Experiment,
	variant: string | null,
): LiveDefault | null {
	if (variant === null) return null;
	const name = serviceOf(experiment);
	const declared = resources.services.find((service) => qualifiedName(service.metadata) === name);
	const next = declared?.spec.defaultVariant === variant ? null : variant;
	const live = status.services[name]?.defaultVariant ?? null;
	return next === live ? null : { name, defaultVariant: next };
}

/** Writes what a decision changes, and the revision that it leads to. Inside a transaction. */
export function writeDecided(
	{ experiments, services, counters }: StateDatabase,
	made: {
		readonly experiment: string;
		readonly status: ExperimentStatus;
		readonly service: LiveDefault | null;
		readonly revision: number;
	},
): void {
	const { experiment, status, service, revision } = made;
	experiments.putSync(experiment, status);
	counters.putSync("revision", revision);
	if (service === null) return;
	if (service.defaultVariant === null) services.removeSync(service.name);
	else services.putSync(service.name, { defaultVariant: service.defaultVariant });
}

/**
 * Writes that all Envoys have a revision: its steps begin now, except those of Experiments that are held.
 */
export function writeAcknowledged(
	{ experiments, counters }: StateDatabase,
	log: DecisionLog,
	{ revision, atMs, held }: { readonly revision: number; readonly atMs: number; readonly held: readonly Experiment[] },
): void {
	const waiting = new Set(held.map(({ metadata }) => qualifiedName(metadata)));
	for (const name of log.acknowledge(revision, atMs, waiting)) {
		const status = experiments.get(name);
		if (status !== undefined) experiments.putSync(name, { ...status, stepStartedAtMs: atMs });
	}
	counters.putSync("acknowledged", revision);
}
