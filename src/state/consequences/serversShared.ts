/**
 * Services of a change that lead to another Service's servers from then on, told to who approves it: the document says an address,
 * and not whose server that is already, nor that other rules stand before it. Across namespaces nobody may
 * (resources/checks/shared.ts). Pure.
 */
import { serverKey } from "../../resources/checks/shared.js";
import { findNamed, inNamespace } from "../../resources/lookup.js";
import { qualifiedName, type ResourceSet, type Service } from "../../resources/resource.js";
import type { ResourceChange } from "../acts/wishes.js";

export interface ServerShared {
	readonly namespace: string;
	/** `Service demo leads to a server of Service records too, whose rules do not hold there` */
	readonly effect: string;
}

/** So many are named: thousands may share one server. */
const NAMED = 5;

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
		const owners = ownersOf(inNamespace(before.services, namespace));
		return inNamespace(given, namespace).flatMap((one): ServerShared[] => {
			const was = findNamed(before.services, one.metadata);
			const had = new Set(was === undefined ? [] : serversOf(was));
			const others = namesOfSome(
				serversOf(one).filter((server) => !had.has(server)),
				owners,
				qualifiedName(one.metadata),
			);
			if (others.length === 0) return [];
			const more = others.length > NAMED ? " and others" : "";
			const whose = `Service ${others.slice(0, NAMED).join(", ")}${more}`;
			const effect = `Service ${qualifiedName(one.metadata)} leads to a server of ${whose} too, whose rules do not hold there`;
			return [{ namespace, effect }];
		});
	});
}

/** Qualified names of the Services of each server. */
function ownersOf(services: readonly Service[]): ReadonlyMap<string, readonly string[]> {
	const owners = new Map<string, string[]>();
	for (const one of services) {
		for (const server of new Set(serversOf(one))) {
			const known = owners.get(server) ?? [];
			// One more than are named, and one that is the asker itself.
			if (known.length < NAMED + 2) known.push(qualifiedName(one.metadata));
			owners.set(server, known);
		}
	}
	return owners;
}

function namesOfSome(
	servers: readonly string[],
	owners: ReadonlyMap<string, readonly string[]>,
	own: string,
): readonly string[] {
	const names = new Set<string>();
	for (const server of servers) {
		for (const name of owners.get(server) ?? []) if (name !== own) names.add(name);
		if (names.size > NAMED) break;
	}
	return [...names];
}

const serversOf = ({ spec }: Service): readonly string[] =>
	spec.variants.flatMap(({ endpoints }) => endpoints.map(({ address, port }) => serverKey(address, port)));
