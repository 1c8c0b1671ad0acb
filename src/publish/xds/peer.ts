/**
 * Who is at the other end of a stream, and what it may have. Only Envoys and sidecars are served; each by the SPIFFE id
 * that its TLS has proved, or, on the UNIX socket, by being the owner's own process. Pure.
 */
import { XDS_STREAMS_MAX, XDS_STREAMS_OF_ENVOY_MAX } from "../../limits/index.js";
import { ENVOY_TYPES, type TypeName } from "./resource.js";

/** What a stream that is not served was refused for. */
export type RefusedFor = "no-svid" | "not-a-client" | "another-node" | "type" | "no-gateway" | "too-many";

export type Peer =
	/** On the UNIX socket. */
	{ readonly kind: "owner" } | RemotePeer;

/** By mTLS. */
export interface RemotePeer {
	readonly kind: "envoy" | "sidecar";
	readonly id: string;
	/** The last segment of its SPIFFE id. */
	readonly name: string;
}

/** A client that is refused. */
export interface Stranger {
	readonly refusedFor: RefusedFor;
	readonly id: string | null;
}

const CLIENT = /^spiffe:\/\/[^/]+\/weir\/(?:(envoy)\/([^/]+)|(sidecar)(?:\/([^/]+))?)$/;

/** @param id proved, strictly parsed and of the own trust domain. @returns null for one that is no Envoy's and no sidecar's */
export function peerOf(id: string): Peer | null {
	const found = CLIENT.exec(id);
	if (found === null) return null;
	const [, envoy, envoyName, , sidecarName] = found;
	return envoy === undefined
		? { kind: "sidecar", id, name: sidecarName ?? "sidecar" }
		: { kind: "envoy", id, name: envoyName ?? "" };
}

/** What is told of a node wherever one is: a line of a log, a label of a metric, a report. */
const NODE = /^[\x20-\x7e]{1,256}$/;

export const isNode = (node: string): boolean => NODE.test(node);

/** A node may say nothing of itself that its certificate does not: `NAME`, or `weir-sidecar/…` of a sidecar's process. */
export function mayBeNode(peer: Peer, node: string): boolean {
	if (!isNode(node)) return false;
	if (peer.kind === "owner" || node === peer.name) return true;
	return peer.kind === "sidecar" && node.startsWith("weir-sidecar/");
}

/** Tables say who may call what: they are for sidecars alone, and an Envoy's configuration is for Envoys. */
export function mayAsk(peer: Peer, type: TypeName): boolean {
	if (peer.kind === "owner") return true;
	return ENVOY_TYPES.some((one) => one === type) === (peer.kind === "envoy");
}

/** Whether no further stream of the client may be opened, of all or of an Envoy's SPIFFE id. */
export function isFull(open: ReadonlySet<{ readonly peer: Peer }>, newcomer: Peer): boolean {
	if (open.size >= XDS_STREAMS_MAX) return true;
	if (newcomer.kind !== "envoy") return false;
	return (
		[...open].filter(({ peer }) => peer.kind === "envoy" && peer.id === newcomer.id).length >= XDS_STREAMS_OF_ENVOY_MAX
	);
}
