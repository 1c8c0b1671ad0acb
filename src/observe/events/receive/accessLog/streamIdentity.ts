/**
 * The sender of an access-log stream, and its Gateway. Any client can claim a node id and a log name, so only the
 * connection counts: a UNIX socket in a 0700 directory, or the SPIFFE id of mTLS.
 */
import { spiffeFault } from "../../../../declare/resources/spiffe.js";
import type { StreamIdentifier } from "./entryDecoder.js";

/** owner: over the UNIX socket of the stack's own user. null = no proven identity. */
export type StreamPeer = { readonly kind: "owner" } | { readonly kind: "spiffe"; readonly id: string } | null;

export interface StreamTrust {
	/** Trust domain of the Envoys' ids, `spiffe://TRUST_DOMAIN/weir/envoy/NAME`. */
	readonly trustDomain: string;
	/** Qualified names of the Gateways that the Envoy serves; null = every one. */
	readonly gatewaysOf: (envoy: string) => readonly string[] | null;
}

const LOG_NAME = "weir|";

/** The Gateway in a log name (listeners name their logs `weir|GATEWAY`); null = none. */
export function gatewayOfLogName(logName: string): string | null {
	return logName.startsWith(LOG_NAME) && logName.length > LOG_NAME.length ? logName.slice(LOG_NAME.length) : null;
}

/** Why a stream is refused (null = accepted); too-many: its connection opened far too many, and was cut. */
export type StreamFault = "no-identity" | "not-an-envoy" | "other-node" | "other-gateway" | "too-many";

export function streamFault(
	peer: StreamPeer,
	claimed: StreamIdentifier | null,
	trust: StreamTrust,
): StreamFault | null {
	const fault = nodeFault(peer, claimed?.nodeId ?? null, trust);
	if (fault !== null || peer?.kind !== "spiffe") return fault;
	const gateways = trust.gatewaysOf(claimed?.nodeId ?? "");
	const gateway = gatewayOfLogName(claimed?.logName ?? "");
	return gateways === null || (gateway !== null && gateways.includes(gateway)) ? null : "other-gateway";
}

/** The same for a report about an Envoy as a whole; it must have a Gateway. */
export function nodeFault(peer: StreamPeer, nodeId: string | null, trust: StreamTrust): StreamFault | null {
	if (peer === null) return "no-identity";
	if (peer.kind === "owner") return null;
	const envoy = envoyName(peer.id, trust.trustDomain);
	if (envoy === null) return "not-an-envoy";
	if (nodeId !== envoy) return "other-node";
	return trust.gatewaysOf(envoy)?.length === 0 ? "other-gateway" : null;
}

/** NAME of `spiffe://TRUST_DOMAIN/weir/envoy/NAME`; null = not an Envoy's id of that domain. */
export function envoyName(id: string, trustDomain: string): string | null {
	const prefix = `spiffe://${trustDomain}/weir/envoy/`;
	if (spiffeFault(id) !== null || !id.startsWith(prefix)) return null;
	const name = id.slice(prefix.length);
	return name.includes("/") ? null : name;
}
