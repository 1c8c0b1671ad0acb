/**
 * The checks across resources against the live state, not only against the declaration: ended Experiments need nothing
 * any more, and a new Experiment's baseline must be on a promoted Variant. Pure; stored resources stay as declared.
 */

import { isDeepStrictEqual } from "node:util";
import { applyService } from "../../decide/rollout/declaration.js";
import { isOver, isPromoting, liveDefault, type Status } from "../../decide/rollout/status.js";
import { checkResources } from "../../declare/resources/checks/check.js";
import type { FileReadings } from "../../declare/resources/fileReading.js";
import { resourceSet, resourcesOf } from "../../declare/resources/kinds.js";
import { experimentsOf, serviceOf } from "../../declare/resources/lookup.js";
import { type ResourceFile, readResources } from "../../declare/resources/parse.js";
import { type Named, type Positions, resourceTitle } from "../../declare/resources/position.js";
import {
	type Experiment,
	type Problem,
	qualifiedName,
	type Resource,
	type ResourceSet,
	type Service,
} from "../../declare/resources/resource.js";
import { keyOf } from "./resourceKey.js";
import type { StoredResource } from "./stored.js";

export interface CrossChecked {
	/** Problems in the texts and across resources. */
	readonly problems: readonly Problem[];
	/** All resources as declared. */
	readonly resources: ResourceSet;
	/** Experiments that have not ended. */
	readonly demanding: readonly Experiment[];
	readonly positions: Positions;
}

/**
 * @param before all resources before the change
 * @param kept those of `before` that stay unchanged
 * @param files the documents of the change
 * @param readings of these files
 */
export function crossCheck(
	before: readonly StoredResource[],
	kept: readonly StoredResource[],
	files: readonly { readonly name: string; readonly text: string }[],
	status: Status,
	readings?: FileReadings,
): CrossChecked {
	const known = new Map(before.map(({ resource }) => [keyOf(resource), resource]));
	const { running: assigning, ended } = phasesOf(status);
	// An ended Experiment in the file must not block its slot, or a promoted Variant that becomes the declared default.
	const demands = (one: Resource): boolean => one.kind !== "Experiment" || !ended.has(qualifiedName(one.metadata));
	const stored = kept.filter(({ resource }) => demands(resource));
	const sources: readonly ResourceFile[] = [...stored.map(asFile), ...files];
	const parsed = readResources(sources, readings);
	const demanding = parsed.resources.experiments.filter(demands);
	const stillDemanding = new Set(demanding);
	const services = parsed.resources.services.map((one) => ({ one, moved: defaultsOf(one, known, status) }));
	const defaults = new Map(services.map(({ one, moved }) => [keyOf(one), moved]));
	const live = resourcesOf(parsed.resources).flatMap((one): Resource | readonly Resource[] => {
		if (one.kind === "Service") return withDefault(one, defaults.get(keyOf(one))?.after ?? one.spec.defaultVariant);
		if (one.kind !== "Experiment") return one;
		if (!stillDemanding.has(one)) return [];
		const serviceDefault = defaults.get(`Service ${serviceOf(one)}`);
		return assigning.has(qualifiedName(one.metadata)) && serviceDefault !== undefined
			? withBaseline(one, serviceDefault)
			: one;
	});
	const asAccepted = new Set(kept.map(({ resource }) => keyOf(resource)));
	for (const one of resourcesOf(parsed.resources)) {
		const key = keyOf(one);
		if (!asAccepted.has(key) && isAsBefore(one, known.get(key))) asAccepted.add(key);
	}
	const isStored = (one: Named): boolean => asAccepted.has(resourceTitle(one));
	const former = resourceSet(before.map(({ resource }) => resource));
	const problems = [
		...parsed.problems,
		...checkResources(resourceSet(live), parsed.positions, isStored, asLive(former, status, assigning)),
		...services.flatMap(({ one, moved }) => promotionProblems(one, moved, former, status, parsed.positions)),
	];
	const { resources, positions } = parsed;
	return { problems, resources, demanding, positions };
}

/** Name prefix of stored texts; given files cannot have it. */
export const STORED = "stored ";

/** A stored document, named for messages. */
export const asFile = ({ resource, source }: StoredResource): ResourceFile & { readonly accepted: Resource } => ({
	name: `${STORED}${keyOf(resource)}`,
	text: source,
	accepted: resource,
});

/**
 * The resources before the change with their live default Variants: a change is not blamed for the effects of a promotion.
 * Includes ended Experiments, whose salts and holdbacks are still checked.
 */
function asLive(former: ResourceSet, status: Status, assigning: ReadonlySet<string>): ResourceSet {
	const promoted = new Map(
		former.services.flatMap((one) => {
			const now = liveDefault(one, status);
			return now === one.spec.defaultVariant ? [] : [[qualifiedName(one.metadata), now] as const];
		}),
	);
	if (promoted.size === 0) return former;
	const variantsOf = new Map(former.services.map((one) => [qualifiedName(one.metadata), one.spec.variants]));
	return {
		...former,
		services: former.services.map((one) => {
			const now = promoted.get(qualifiedName(one.metadata));
			return now === undefined ? one : withDefault(one, now);
		}),
		experiments: former.experiments.map((one) => {
			const now = assigning.has(qualifiedName(one.metadata)) ? promoted.get(serviceOf(one)) : undefined;
			if (now === undefined) return one;
			const variants = (variantsOf.get(serviceOf(one)) ?? []).map(({ name }) => name);
			return withBaseline(one, { before: now, after: now, variants });
		}),
	};
}

/**
 * Whether a resource is applied again unchanged. It stays accepted although another namespace withdrew a grant since, so that
 * `weir up -f` of the same files starts. For a Service only the fields that decide where its data goes count.
 */
function isAsBefore(given: Resource, former: Resource | undefined): boolean {
	if (given.kind !== "Service" || former?.kind !== "Service") return isDeepStrictEqual(given, former);
	return given.spec.dataClass === former.spec.dataClass && isDeepStrictEqual(given.spec.variants, former.spec.variants);
}

/** Qualified names of running and of ended Experiments. */
export function phasesOf(status: Status): {
	readonly running: ReadonlySet<string>;
	readonly ended: ReadonlySet<string>;
} {
	const assigning = running(status);
	return { running: assigning, ended: new Set(Object.keys(status.experiments).filter((name) => !assigning.has(name))) };
}

/** Qualified names of the Experiments that assign units: fields that decide the arm of a unit are frozen. */
export function running(status: Status): ReadonlySet<string> {
	return new Set(Object.entries(status.experiments).flatMap(([name, { phase }]) => (isOver(phase) ? [] : [name])));
}

interface LiveDefault {
	/** null = the Service is new. */
	readonly before: string | null;
	readonly after: string;
	readonly variants: readonly string[];
}

/** The default Variant of a Service before and after the change. A promotion stays, unless the field changed. */
function defaultsOf(service: Service, known: ReadonlyMap<string, Resource>, status: Status): LiveDefault {
	const former = known.get(keyOf(service));
	const old = former?.kind === "Service" ? former : null;
	const learned = status.services[qualifiedName(service.metadata)] ?? null;
	const declared = service.spec.defaultVariant;
	const variants = service.spec.variants.map(({ name }) => name);
	const before = old === null ? null : liveDefault(old, status);
	// The checks report a default that is no longer a Variant, by its declared name.
	const promoted =
		learned !== null &&
		applyService(old, service, learned) === null &&
		variants.includes(learned.defaultVariant) &&
		variants.includes(declared);
	return { before, after: promoted ? learned.defaultVariant : declared, variants };
}

/**
 * A promotion and its holdback end by setting the default Variant. That would undo a change of the default made meanwhile,
 * and the replaced Variant must still exist.
 */
function promotionProblems(
	service: Service,
	{ before, after, variants }: LiveDefault,
	{ experiments }: ResourceSet,
	status: Status,
	positions: Positions,
): readonly Problem[] {
	if (before === null) return [];
	return experimentsOf(experiments, service).flatMap(({ metadata }): readonly Problem[] => {
		const name = qualifiedName(metadata);
		const live = status.experiments[name];
		if (!isPromoting(live)) return [];
		const hint = `wait for its end, or abort it first: weir abort ${name}`;
		const promoted = `Experiment ${name} is being promoted on it`;
		const problem = (path: readonly string[], what: string): Problem => ({
			position: positions.at(service, ["spec", ...path]),
			message: `${what}, and ${promoted}`,
			hint,
		});
		const replaced = live?.promotion?.replaced;
		const title = resourceTitle(service);
		return [
			...(before === after
				? []
				: [problem(["defaultVariant"], `the default variant of ${title} would move from ${before} to ${after}`)]),
			...(replaced === undefined || variants.includes(replaced)
				? []
				: [problem(["variants"], `variant ${replaced} of ${title}, which it replaced, would be deleted`)]),
		];
	});
}

/** A copy of the Service with this default Variant. */
export function withDefault(service: Service, defaultVariant: string): Service {
	return { ...service, spec: { ...service.spec, defaultVariant } };
}

/**
 * A copy of a running Experiment with its baseline on the new default Variant, after a promotion by another Experiment.
 * Unchanged if this change itself moves the default.
 */
function withBaseline(experiment: Experiment, { before, after, variants }: LiveDefault): Experiment {
	if (before !== after) return experiment;
	const arms = experiment.spec.arms.map((arm) =>
		arm.baseline && variants.includes(arm.variant) ? { ...arm, variant: after } : arm,
	);
	return { ...experiment, spec: { ...experiment.spec, arms } };
}
