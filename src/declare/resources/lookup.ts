/**
 * Finds resources of a list by name and by namespace. Each list is indexed once and the index cached with it, to avoid
 * quadratic work: lists of resources are immutable.
 */
import { memoize } from "./memoize.js";
import type { Named } from "./position.js";
import { type Experiment, qualifiedName, type Service } from "./resource.js";

type Groups<Item> = ReadonlyMap<string, readonly Item[]>;

/**
 * Groups of a list, each in the list's order.
 * @param keysOf the keys of an item; a repeated key counts once
 */
export const grouping = <Item>(keysOf: (item: Item) => readonly string[]): ((items: readonly Item[]) => Groups<Item>) =>
	memoize((items: readonly Item[]) => {
		const groups = new Map<string, Item[]>();
		for (const item of items) {
			for (const key of new Set(keysOf(item))) {
				const group = groups.get(key);
				if (group === undefined) groups.set(key, [item]);
				else group.push(item);
			}
		}
		return groups;
	});

const NONE: readonly never[] = [];
const byName = grouping<Named>(({ metadata }) => [qualifiedName(metadata)]);
const byNamespace = grouping<Named>(({ metadata }) => [metadata.namespace]);
const byService = grouping<Experiment>((experiment) => [serviceOf(experiment)]);

/** All with the name, in the order of the list. @param items of one kind */
export function allNamed<Item extends Named>(items: readonly Item[], metadata: Named["metadata"]): readonly Item[] {
	return (byName(items) as Groups<Item>).get(qualifiedName(metadata)) ?? NONE;
}

/** The first with the name. @param items of one kind */
export const findNamed = <Item extends Named>(items: readonly Item[], metadata: Named["metadata"]): Item | undefined =>
	allNamed(items, metadata)[0];

/** The first with the qualified name. @param items of one kind */
export const findQualified = <Item extends Named>(items: readonly Item[], name: string): Item | undefined =>
	(byName(items) as Groups<Item>).get(name)?.[0];

/** In the order of the list. */
export function inNamespace<Item extends Named>(items: readonly Item[], namespace: string): readonly Item[] {
	return (byNamespace(items) as Groups<Item>).get(namespace) ?? NONE;
}

/** Qualified name of an Experiment's Service, which is in the same namespace. */
export function serviceOf({ metadata: { namespace }, spec }: Experiment): string {
	return qualifiedName({ name: spec.service, namespace });
}

/** The Service's Experiments, in the order of the list. */
export function experimentsOf(experiments: readonly Experiment[], { metadata }: Service): readonly Experiment[] {
	return experimentsOfName(experiments, qualifiedName(metadata));
}

/** @param service qualified name */
export function experimentsOfName(experiments: readonly Experiment[], service: string): readonly Experiment[] {
	return byService(experiments).get(service) ?? NONE;
}

const placesOf = memoize((items: readonly object[]) => new Map(items.map((item, place) => [item, place])));

/** Without duplicates, in the order of the list. */
export function inOrder<Item extends object>(some: readonly Item[], all: readonly Item[]): readonly Item[] {
	if (some.length < 2) return some;
	const places = placesOf(all);
	return [...new Set(some)].sort((one, other) => (places.get(one) ?? 0) - (places.get(other) ?? 0));
}
