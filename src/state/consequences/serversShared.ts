/**
 * Services of a change that lead to another Service's servers, told to who approves it: the document says an address, and not whose
 * server that is already, whose callers other rules judge. By addresses, in one namespace: what another one has nobody may take
 * (resources/checks/shared.ts). Pure.
 */
import { serverKey } from "../../resources/checks/shared.js";
import { findNamed, inNamespace } from "../../resources/lookup.js";
import { qualifiedName, type ResourceSet, type Service } from "../../resources/resource.js";
import type { ResourceChange } from "../acts/wishes.js";
import { changedNames } from "../changedNames.js";

export interface ServerShared {
	readonly namespace: string;
	/** `Service demo leads to a server that Service records has or had: who calls demo is judged by the rules of demo` */
	readonly effect: string;
}

/** So many are named: thousands may share one server. */
const NAMED = 5;

/** Qualified names of Services by server, of each as many as may be named, and who asks. */
type Owners = ReadonlyMap<string, readonly string[]>;

/** Of each Service to which such a server comes, whether the other one keeps it or leaves it in the same change. */
export function serversShared(
	before: ResourceSet,
	after: ResourceSet,
	changes: readonly ResourceChange[],
): readonly ServerShared[] {
	const changed = changedNames(changes, "Service");
	const given = after.services.filter(({ metadata }) => changed.has(qualifiedName(metadata)));
	return [...new Set(given.map(({ metadata }) => metadata.namespace))].flatMap((namespace) => {
		const owners = ownersOf([before, after].flatMap(({ services }) => inNamespace(services, namespace)));
		return inNamespace(given, namespace).flatMap((one): ServerShared[] => {
			const own = qualifiedName(one.metadata);
			const was = findNamed(before.services, one.metadata);
			const had = new Set(was === undefined ? [] : serversOf(was));
			const come = serversOf(one).filter((server) => !had.has(server));
			const shared = come.filter((server) => owners.get(server)?.some((name) => name !== own));
			if (shared.length === 0) return [];
			const others = othersAt(shared, owners, own);
			const names = `${others.slice(0, NAMED).join(", ")}${others.length > NAMED ? " and others" : ""}`;
			const whose = others.length === 1 ? `Service ${names} has` : `Services ${names} have`;
			const servers = new Set(shared).size === 1 ? "a server" : "servers";
			const words = `leads to ${servers} that ${whose} or had: who calls ${own} is judged by the rules of ${own}`;
			return [{ namespace, effect: `Service ${own} ${words}` }];
		});
	});
}

/** Those that had it come before those to which it comes. @param services of before, then of after */
function ownersOf(services: readonly Service[]): Owners {
	const owners = new Map<string, string[]>();
	for (const one of services) {
		const name = qualifiedName(one.metadata);
		for (const server of serversOf(one)) {
			const known = owners.get(server) ?? [];
			// One more than are named, and the asker itself.
			if (known.length < NAMED + 2 && !known.includes(name)) known.push(name);
			owners.set(server, known);
		}
	}
	return owners;
}

/** Each once; first one of each server, so that none is hidden by the many of another. */
function othersAt(servers: readonly string[], owners: Owners, own: string): readonly string[] {
	const lists = servers.map((server) => (owners.get(server) ?? []).filter((name) => name !== own));
	return [...new Set([...lists.flatMap((names) => names.slice(0, 1)), ...lists.flat()])];
}

const serversOf = ({ spec }: Service): readonly string[] =>
	spec.variants.flatMap(({ endpoints }) => endpoints.map(({ address, port }) => serverKey(address, port)));
