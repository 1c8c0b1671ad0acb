/**
 * The checks across resources as the state sees them: against what is live, not only against what is declared. The
 * demands of Experiments that have ended are over, and a promoted Variant is the default that a new Experiment's
 * baseline must be on. Pure; what is stored stays as declared.
 */

import { isDeepStrictEqual } from "node:util";
import { applyService } from "../../decide/rollout/declaration.js";
import { isOver, isPromoting, liveDefault, type Status } from "../../decide/rollout/status.js";
import { checkResources } from "../../declare/resources/checks/check.js";
import type { FileReadings } from "../../declare/resources/fileReading.js";
import { resourceSet, resourcesOf } from "../../declare/resources/kinds.js";
import { experimentsOf, serviceOf } from "../../declare/resources/lookup.js";
import { parseResources, type ResourceFile } from "../../declare/resources/parse.js";
import { type Named, type Positions, resourceTitle } from "../../declare/resources/position.js";
import {
	type Experiment,
	type Problem,
	qualifiedName,
	type Resource,
	type ResourceSet,
	type Service,
} from "../../declare/resources/resource.js";
import { PROBLEMS_MAX } from "../../limits/index.js";
import type { StoredResource } from "../state/store/database.js";
import { keyOf } from "../state/store/resourceSet.js";

export interface CrossChecked {
	/** Those of the texts and those across resources, in the order of the files. */
	readonly problems: readonly Problem[];
	/** All that was read, as declared. */
	readonly resources: ResourceSet;
	/** The Experiments that still make demands. */
	readonly demanding: readonly Experiment[];
	readonly positions: Positions;
}

/**
 * @param before what is stored before the change, all of it
 * @param kept of `before` what the change leaves as it is
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
	// Else the next Experiment could not have the slot of the last one while that stands in the file, nor a Service take a
	// promoted Variant as its default.
	const demands = (one: Resource): boolean => one.kind !== "Experiment" || !ended.has(qualifiedName(one.metadata));
	const stored = kept.filter(({ resource }) => demands(resource));
	const sources: readonly ResourceFile[] = [...stored.map(asFile), ...files];
	const parsed = parseResources(sources, readings);
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
			? movedAlong(one, serviceDefault)
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
	return { problems: limited(inOrder(problems, sources)), resources, demanding, positions };
}

/** How the name of a stored text begins, which no given file has. */
export const STORED = "stored ";

/** The text of what is stored, as messages show it. */
export const asFile = ({ resource, source }: StoredResource): ResourceFile & { readonly accepted: Resource } => ({
	name: `${STORED}${keyOf(resource)}`,
	text: source,
	accepted: resource,
});

/**
 * What stood before the change, by the default Variants that were live: what a promotion made of it is no change's fault. With the
 * Experiments that are over, whose salts and holdbacks are still asked for.
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
			return movedAlong(one, { before: now, after: now, variants });
		}),
	};
}

/**
 * Given once more as it stands: else what another namespace took back since would keep `weir up -f` of the same files from
 * starting, and a denial beside it from coming. Of a Service that is where its data goes.
 */
function isAsBefore(given: Resource, former: Resource | undefined): boolean {
	if (given.kind !== "Service" || former?.kind !== "Service") return isDeepStrictEqual(given, former);
	return given.spec.dataClass === former.spec.dataClass && isDeepStrictEqual(given.spec.variants, former.spec.variants);
}

/** Qualified names of the Experiments that run, and of those that have ended. */
export function phasesOf(status: Status): {
	readonly running: ReadonlySet<string>;
	readonly ended: ReadonlySet<string>;
} {
	const assigning = running(status);
	return { running: assigning, ended: new Set(Object.keys(status.experiments).filter((name) => !assigning.has(name))) };
}

/** Qualified names of the Experiments that assign units: what decides who is in which arm is frozen for them. */
export function running(status: Status): ReadonlySet<string> {
	return new Set(Object.entries(status.experiments).flatMap(([name, { phase }]) => (isOver(phase) ? [] : [name])));
}

interface LiveDefault {
	/** null = the Service is new. */
	readonly before: string | null;
	readonly after: string;
	readonly variants: readonly string[];
}

/** The default Variant of a Service before and after the change: a promotion outlasts it, unless the field changed. */
function defaultsOf(service: Service, known: ReadonlyMap<string, Resource>, status: Status): LiveDefault {
	const former = known.get(keyOf(service));
	const old = former?.kind === "Service" ? former : null;
	const learned = status.services[qualifiedName(service.metadata)] ?? null;
	const declared = service.spec.defaultVariant;
	const variants = service.spec.variants.map(({ name }) => name);
	const before = old === null ? null : liveDefault(old, status);
	// A default that is no Variant any more is for the checks to find, by the declared name.
	const promoted =
		learned !== null &&
		applyService(old, service, learned) === null &&
		variants.includes(learned.defaultVariant) &&
		variants.includes(declared);
	return { before, after: promoted ? learned.defaultVariant : declared, variants };
}

/**
 * A promotion ends with a default Variant, and so does its holdback: what a declaration made of it meanwhile would be undone,
 * and a Variant that it may go back to must be there.
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

/** The Service as if that Variant were its declared default. */
export function withDefault(service: Service, defaultVariant: string): Service {
	return { ...service, spec: { ...service.spec, defaultVariant } };
}

/**
 * A running Experiment beside one that was promoted keeps its baseline, which was on the default when it started:
 * it is checked as if its baseline had moved along. Not where this very change moves the default away from it.
 */
function movedAlong(experiment: Experiment, { before, after, variants }: LiveDefault): Experiment {
	if (before !== after) return experiment;
	const arms = experiment.spec.arms.map((arm) =>
		arm.baseline && variants.includes(arm.variant) ? { ...arm, variant: after } : arm,
	);
	return { ...experiment, spec: { ...experiment.spec, arms } };
}

function inOrder(problems: readonly Problem[], files: readonly { readonly name: string }[]): readonly Problem[] {
	const order = new Map(files.map((file, index) => [file.name, index]));
	const rank = ({ position }: Problem): number => (position === null ? files.length : (order.get(position.file) ?? 0));
	return [...problems].sort(
		(a, b) =>
			rank(a) - rank(b) ||
			(a.position?.line ?? 0) - (b.position?.line ?? 0) ||
			(a.position?.column ?? 0) - (b.position?.column ?? 0),
	);
}

/** The line that counts the rest of the texts' problems has no position, so that it stays last here too. */
function limited(problems: readonly Problem[]): readonly Problem[] {
	if (problems.length <= PROBLEMS_MAX + 1) return problems;
	const message = `and ${problems.length - PROBLEMS_MAX} more problems`;
	return [...problems.slice(0, PROBLEMS_MAX), { position: null, message, hint: "correct those above first" }];
}
