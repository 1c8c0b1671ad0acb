/**
 * Services of a change that lead to another Service's servers, told to who approves it: the document says an address, and not whose
 * server that is already, whose callers other rules judge. By addresses; across namespaces nobody may (resources/checks/shared.ts). Pure.
 */
import { serverKey } from "../../resources/checks/shared.js";
import { findNamed, inNamespace } from "../../resources/lookup.js";
import { qualifiedName, type ResourceSet, type Service } from "../../resources/resource.js";
import type { ResourceChange } from "../acts/wishes.js";

export interface ServerShared {
	readonly namespace: string;
	/** `Service demo leads to a server of Service records, and its own rules decide there` */
	readonly effect: string;
}

/** So many are named: thousands may share one server. */
const NAMED = 5;

/** Qualified names of Services by server, of each as many as may be named, and who asks. */
type Owners = ReadonlyMap<string, readonly string[]>;

/** Told once of each Service to which such a server comes, in words for its namespace. */
export function serversShared(
	before: ResourceSet,
	after: ResourceSet,
	changes: readonly ResourceChange[],
): readonly ServerShared[] {
	const changed = new Set(
		changes.flatMap(({ kind, name, change }) => (kind === "Service" && change !== "unchanged" ? [name] : [])),
	);
	const given = after.services.filter(({ metadata }) => changed.has(qualifiedName(metadata)));
	return [...new Set(given.map(({ metadata }) => metadata.namespace))].flatMap((namespace) => {
		const [were, are] = [before, after].map(({ services }) => ownersOf(inNamespace(services, namespace)));
		return inNamespace(given, namespace).flatMap((one): ServerShared[] => {
			const own = qualifiedName(one.metadata);
			const was = findNamed(before.services, one.metadata);
			const had = new Set(was === undefined ? [] : serversOf(was));
			const come = serversOf(one).filter((server) => !had.has(server));
			const now = othersAt(come, are, own);
			const others = now.length > 0 ? now : othersAt(come, were, own);
			if (others.length === 0) return [];
			const names = `Service ${others.slice(0, NAMED).join(", ")}${others.length > NAMED ? " and others" : ""}`;
			const whose = now.length > 0 ? `a server of ${names}` : `a server that was of ${names}`;
			return [{ namespace, effect: `Service ${own} leads to ${whose}, and its own rules decide there` }];
		});
	});
}

function ownersOf(services: readonly Service[]): Owners {
	const owners = new Map<string, string[]>();
	for (const one of services) {
		for (const server of new Set(serversOf(one))) {
			const known = owners.get(server) ?? [];
			// One more than are named, and the asker itself.
			if (known.length < NAMED + 2) known.push(qualifiedName(one.metadata));
			owners.set(server, known);
		}
	}
	return owners;
}

function othersAt(servers: readonly string[], owners: Owners | undefined, own: string): readonly string[] {
	const names = new Set<string>();
	for (const server of servers) {
		for (const name of owners?.get(server) ?? []) if (name !== own) names.add(name);
	}
	return [...names];
}

const serversOf = ({ spec }: Service): readonly string[] =>
	spec.variants.flatMap(({ endpoints }) => endpoints.map(({ address, port }) => serverKey(address, port)));
