/** The key of a declared resource, and their order by it. */
import { resourceSet } from "../../declare/resources/kinds.js";
import { type Kind, qualifiedName, type Resource, type ResourceSet } from "../../declare/resources/resource.js";

/** Unique per resource of a set. */
export function resourceKey(kind: Kind, name: string): string {
	return `${kind} ${name}`;
}

export function keyOf(resource: Resource): string {
	return resourceKey(resource.kind, qualifiedName(resource.metadata));
}

/** The set sorted by kind and name, so that the order of declaration does not matter. */
export function sortedSet(resources: Iterable<Resource>): ResourceSet {
	return resourceSet([...resources].sort((a, b) => compare(keyOf(a), keyOf(b))));
}

function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
