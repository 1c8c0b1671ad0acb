/** Which hosts' requests go to another Service by a change, or to none. Pure. */
import { hostOwners } from "./hostOwner.js";
import { once } from "./once.js";
import { qualifiedName, type Resource, type Service } from "./resource.js";

interface Changed {
	readonly before: Resource | null;
	readonly after: Resource | null;
}

export interface HostMove {
	readonly host: string;
	/** Who has its requests now. */
	readonly from: Service;
	/** Whether that one is declared still. */
	readonly isLeft: boolean;
	/** null = nobody. */
	readonly to: Service | null;
}

/**
 * A host that is dropped, or that another declares under a wildcard. Not one that another namespace declares under a
 * wildcard: the checks refuse it, and whose it is, is none of its author's business (resources/checks/check.ts).
 * @param changed before null = created, after null = deleted
 */
export function hostMoves(services: readonly Service[], changed: readonly Changed[]): readonly HostMove[] {
	const moving = new Set(changed.flatMap(movingOf));
	if (moving.size === 0) return [];
	const nameOf = ({ metadata }: Service): string => qualifiedName(metadata);
	const replaced = new Set(changed.flatMap(({ before }) => (before?.kind === "Service" ? [nameOf(before)] : [])));
	const fresh = changed.flatMap(({ after }) => (after?.kind === "Service" ? [after] : []));
	const next = [...services.filter((one) => !replaced.has(nameOf(one))), ...fresh];
	const left = new Map(next.map((one) => [nameOf(one), one]));
	const [was, is] = [hostOwners(services), hostOwners(next)];
	const ownOf = once((one: Service) => hostOwners([one]));
	return [...moving].flatMap((host): HostMove[] => {
		const [from, to] = [was(host), is(host)];
		if (from === null || (to !== null && nameOf(to) === nameOf(from))) return [];
		const stays = left.get(nameOf(from));
		const isOtherNamespace = to !== null && to.metadata.namespace !== from.metadata.namespace;
		if (isOtherNamespace && stays !== undefined && ownOf(stays)(host) !== null) return [];
		return [{ host, from, isLeft: stays !== undefined, to }];
	});
}

/** Hosts that only one of both forms has. */
function movingOf({ before, after }: Changed): readonly string[] {
	const [had, has] = [before, after].map((one) => new Set(one?.kind === "Service" ? one.spec.hosts : []));
	return [...(had ?? []), ...(has ?? [])].filter((host) => had?.has(host) !== has?.has(host));
}
