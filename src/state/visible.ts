/** What a caller may see: what lies in a namespace that is not theirs is not there, by any name or message. */
import { resourceSet, resourcesOf } from "../resources/kinds.js";
import { type Problem, qualifiedName, type Resource, type ResourceSet } from "../resources/resource.js";
import type { State } from "../rollout/ports.js";

/** Whether the caller may read a namespace; `*` = all of them. */
export type MayRead = (namespace: string) => boolean;

/** Of an Experiment or any other resource, by qualified name. */
export function namespaceOf(qualified: string): string {
	const cut = qualified.indexOf("/");
	return cut < 0 ? "default" : qualified.slice(0, cut);
}

export function visibleState({ revision, resources, status }: State, mayRead: MayRead): State {
	const own = <V>(entries: Readonly<Record<string, V>>): Record<string, V> =>
		Object.fromEntries(Object.entries(entries).filter(([name]) => mayRead(namespaceOf(name))));
	return {
		revision,
		resources: visibleSet(resources, mayRead),
		status: { experiments: own(status.experiments), services: own(status.services) },
	};
}

function visibleSet(set: ResourceSet, mayRead: MayRead): ResourceSet {
	return resourceSet(resourcesOf(set).filter(({ metadata }) => mayRead(metadata.namespace)));
}

/**
 * Problems of a change without the names of what the caller may not see: a change is checked against the whole, and its
 * problems would tell what stands in other namespaces.
 */
export function visibleProblems(
	problems: readonly Problem[],
	stored: readonly Resource[],
	mayRead: MayRead,
): readonly Problem[] {
	const hidden = stored.filter(({ metadata }) => !mayRead(metadata.namespace));
	if (hidden.length === 0) return problems;
	const titles = hidden.flatMap(({ kind, metadata }) => [
		`${kind} ${qualifiedName(metadata)}`,
		`${kind} ${metadata.name}`,
	]);
	const names = hidden.map(({ metadata }) => `'${qualifiedName(metadata)}'`);
	const files = new Set(hidden.map(({ kind, metadata }) => `stored ${kind} ${qualifiedName(metadata)}`));
	// The longest first: one name may begin like another.
	const texts = [...new Set([...titles, ...names])].sort((a, b) => b.length - a.length);
	const clean = (text: string): string =>
		texts.reduce((left, hide) => left.replaceAll(hide, "a resource of another namespace"), text);
	return problems.map((problem) =>
		problem.position !== null && files.has(problem.position.file)
			? { position: null, message: "the change would break a resource of another namespace", hint: "ask its owners" }
			: { ...problem, message: clean(problem.message), hint: clean(problem.hint) },
	);
}
