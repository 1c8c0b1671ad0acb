/** The part of the state that a caller may read. */
import type { State } from "../../decide/rollout/ports.js";
import { resourceSet, resourcesOf } from "../../declare/resources/kinds.js";
import { namespaceOf, type ResourceSet } from "../../declare/resources/resource.js";
import type { MayRead } from "../callers/hiddenNames.js";

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
