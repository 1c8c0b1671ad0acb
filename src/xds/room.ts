/**
 * Whose streams are open where not all have room: one SPIFFE id, which all sidecars or all Envoys of one deployment may
 * share, can shut no other out. Pure.
 */
import { XDS_NAMES_MAX, XDS_NAMES_OF_ID_MAX, XDS_STREAMS_MAX, XDS_STREAMS_OF_ENVOY_MAX } from "../limits.js";
import type { Peer } from "./peer.js";

export interface Resident {
	readonly peer: Peer;
	/** Null until its first request has said it. */
	readonly node: string | null;
}

export interface Subscriber extends Resident {
	/** That it has subscribed to. */
	readonly names: number;
}

/** The id that shares count by; all of the owner's are one. */
export const ownerOf = (peer: Peer): string => (peer.kind === "owner" ? "" : peer.id);

/**
 * Whether a newcomer has room.
 * @param open in the order of connecting
 * @returns null = it has not; else whose stream ends for it, null = nobody's
 */
export function roomFor<R extends Resident>(
	open: ReadonlySet<R>,
	newcomer: Peer,
): { readonly insteadOf: R | null } | null {
	const own = ownerOf(newcomer);
	const byOwner = grouped(open, ({ peer }) => ownerOf(peer));
	const ownCount = byOwner.get(own)?.length ?? 0;
	if (newcomer.kind === "envoy" && ownCount >= XDS_STREAMS_OF_ENVOY_MAX) return null;
	if (open.size < XDS_STREAMS_MAX) return { insteadOf: null };
	const most = longest(byOwner);
	const fair = most.length > ownCount + 1;
	// Else its own id has most, or as good as: a process has one stream, which shows in the node; of Envoys all have one.
	const from = fair ? most : newcomer.kind === "envoy" ? [] : (byOwner.get(own) ?? []);
	const ofNode = longest(grouped(from, ({ node }) => node));
	const [oldest] = ofNode;
	if (oldest === undefined || (!fair && ofNode.length < 2)) return null;
	return { insteadOf: oldest };
}

/** Whether it may subscribe to so many names in all: some more than is published, for an Envoy names what it was given. */
export function mayName<S extends Subscriber>(
	open: ReadonlySet<S>,
	subscriber: S,
	names: number,
	published: Readonly<Record<string, { readonly size: number }>>,
): boolean {
	const twice = 2 * Object.values(published).reduce((sum, { size }) => sum + size, 0);
	if (names > Math.max(XDS_NAMES_MAX, twice)) return false;
	const id = ownerOf(subscriber.peer);
	const own = [...open].filter(({ peer }) => ownerOf(peer) === id);
	const others = own.reduce((sum, one) => sum + (one === subscriber ? 0 : one.names), 0);
	return others + names <= Math.max(XDS_NAMES_OF_ID_MAX, own.length * twice);
}

function grouped<T, Key>(all: Iterable<T>, keyOf: (one: T) => Key): ReadonlyMap<Key, readonly T[]> {
	const groups = new Map<Key, T[]>();
	for (const one of all) {
		const key = keyOf(one);
		const group = groups.get(key);
		if (group === undefined) groups.set(key, [one]);
		else group.push(one);
	}
	return groups;
}

function longest<T>(groups: ReadonlyMap<unknown, readonly T[]>): readonly T[] {
	let found: readonly T[] = [];
	for (const group of groups.values()) if (group.length > found.length) found = group;
	return found;
}
