/**
 * The client of a stream, and what it may subscribe to. Only Envoys and sidecars are served: by the SPIFFE id of
 * their mTLS certificate, or on the UNIX socket as the owner's own process. Pure.
 */
import { XDS_STREAMS_MAX } from "../../limits/index.js";
import { ENVOY_TYPES, type TypeName } from "./resource.js";

/** The same per SPIFFE id: several Envoys may share one (a note of `weir status`), and all sidecars do by default. */
export const XDS_STREAMS_OF_ENVOY_MAX = 100;

/** Why a stream is refused. */
export type RefusedFor = "no-svid" | "not-a-client" | "another-node" | "type" | "no-gateway" | "too-many";

export type Peer =
	/** A process of the owner, on the UNIX socket. */
	{ readonly kind: "owner" } | RemotePeer;

/** Authenticated by mTLS. */
export interface RemotePeer {
	readonly kind: "envoy" | "sidecar";
	readonly id: string;
	/** The last segment of its SPIFFE id. */
	readonly name: string;
}

/** A client that must be refused. */
export interface RefusedPeer {
	readonly refusedFor: RefusedFor;
	readonly id: string | null;
}

const CLIENT = /^spiffe:\/\/[^/]+\/weir\/(?:(envoy)\/([^/]+)|(sidecar)(?:\/([^/]+))?)$/;

/**
 * @param id verified, strictly parsed, in the own trust domain
 * @returns null if the id is not one of an Envoy or a sidecar
 */
export function peerOf(id: string): Peer | null {
	const found = CLIENT.exec(id);
	if (found === null) return null;
	const [, envoy, envoyName, , sidecarName] = found;
	return envoy === undefined
		? { kind: "sidecar", id, name: sidecarName ?? "sidecar" }
		: { kind: "envoy", id, name: envoyName ?? "" };
}

/** Node ids appear in logs, metric labels and reports. */
const NODE = /^[\x20-\x7e]{1,256}$/;

export const isNode = (node: string): boolean => NODE.test(node);

/** Whether the client may use this node id: the name in its SPIFFE id, or `weir-sidecar/…` for a sidecar process. */
export function mayBeNode(peer: Peer, node: string): boolean {
	if (!isNode(node)) return false;
	if (peer.kind === "owner" || node === peer.name) return true;
	return peer.kind === "sidecar" && node.startsWith("weir-sidecar/");
}

/** Tables hold access rules, so only sidecars get them. Envoy configuration is for Envoys only. */
export function maySubscribe(peer: Peer, type: TypeName): boolean {
	if (peer.kind === "owner") return true;
	return ENVOY_TYPES.some((one) => one === type) === (peer.kind === "envoy");
}

/** Whether the limit of open streams is reached, in total or for one Envoy's SPIFFE id. */
export function isFull(open: ReadonlySet<{ readonly peer: Peer }>, newcomer: Peer): boolean {
	if (open.size >= XDS_STREAMS_MAX) return true;
	if (newcomer.kind !== "envoy") return false;
	return (
		[...open].filter(({ peer }) => peer.kind === "envoy" && peer.id === newcomer.id).length >= XDS_STREAMS_OF_ENVOY_MAX
	);
}
