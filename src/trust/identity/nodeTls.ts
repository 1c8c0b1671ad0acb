/**
 * Node's TLS with SPIFFE ids instead of host names. Both ends prove themselves, in TLS 1.3 alone, and no session is ever
 * resumed: a resumed one would carry a proof that nobody looks at again, beyond its end and its root's.
 */
import type { IncomingMessage } from "node:http";
import { Agent } from "node:https";
import { type ConnectionOptions, connect, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { PROVED_EACH_TIME } from "../tls/tls.js";
import type { MutualTls } from "../tls/tlsDoor.js";
import { idOfConnection } from "./connectionIds.js";
import { isForwardedRequest } from "./forwarded.js";
import type { Identity } from "./svid.js";

/** Why a connection was refused after its TLS handshake. */
export type PeerRefusal = "no-svid" | "not-admitted";

/** Options of a server (tls, https, http2) that takes only peers with a certificate of the own trust domain's roots. */
export function serverTls(identity: Identity): TlsOptions {
	return { ...secureContext(identity), requestCert: true, rejectUnauthorized: true };
}

/**
 * Keeps a server's certificate and roots those of the identity. Living connections keep what they were opened with, until
 * their peer's certificate ends (tlsDoor.ts). One that has ended while the agent is away is shown on: it lets nobody in whom
 * another one would not, and a peer refuses it in words that name the cause, where a connection that is cut has none.
 * @returns stops it
 */
export function followRotation(server: Server, identity: Identity): () => void {
	return identity.onRotated(() => server.setSecureContext(secureContext(identity)));
}

/** A door that shows the identity and takes peers of the own trust domain's roots, both renewed by itself. */
export function mutualTls(identity: Identity): MutualTls {
	return { options: serverTls(identity), follow: (server) => followRotation(server, identity) };
}

/**
 * Ends every connection whose peer is not one of those admitted, before a byte of it is read. Call it before anything
 * else listens for `secureConnection`, or after: it goes first.
 * @param refused told of each; the id is null where the certificate has none of the own trust domain
 */
export function admitPeers(
	server: Server,
	identity: Identity,
	admit: (spiffeId: string) => boolean,
	refused: (reason: PeerRefusal, spiffeId: string | null) => void = () => {},
): void {
	server.prependListener("secureConnection", (socket: TLSSocket) => {
		const id = verifiedPeer(socket, identity);
		if (id !== null && admit(id)) return;
		socket.destroy();
		refused(id === null ? "no-svid" : "not-admitted", id);
	});
}

/** The peer's SPIFFE id in the own trust domain, its chain verified; else null. */
export function verifiedPeer(socket: TLSSocket, identity: Identity): string | null {
	return socket.authorized ? idOfConnection(identity, socket, () => socket.getPeerX509Certificate()?.raw) : null;
}

/**
 * The caller's SPIFFE id in the own trust domain; null = it has none, or passes somebody else's request on, who is nobody
 * here. As grpcPeerSpiffeId for HTTP.
 */
export function httpPeerSpiffeId(request: IncomingMessage, identity: Identity): string | null {
	return isForwardedRequest(request.headers) ? null : verifiedPeer(request.socket as TLSSocket, identity);
}

/**
 * Options of one connection to a server that must be one of `servers`, whatever its host name. Made anew for each
 * connection, for they hold the certificate of this moment.
 * @throws WeirError `unavailable` when the own SVID has ended
 */
export function clientTls(identity: Identity, servers: (spiffeId: string) => boolean): ConnectionOptions {
	return {
		...secureContext(identity),
		rejectUnauthorized: true,
		servername: "",
		checkServerIdentity: serverCheck(identity, servers),
	};
}

/** For checkServerIdentity of tls, https, http2 and grpc-js. */
export function serverCheck(
	identity: Identity,
	servers: (spiffeId: string) => boolean,
): (host: string, certificate: { readonly raw: Buffer }) => Error | undefined {
	return (_host, { raw }) => {
		const id = identity.idOf(raw);
		if (id !== null && servers(id)) return undefined;
		return new Error(id === null ? "the server has no SPIFFE id of this trust domain" : `the server is ${id}`);
	};
}

/** An agent for https.request() that connects with the identity of the moment to one of `servers`. */
export function mutualAgent(identity: Identity, servers: (spiffeId: string) => boolean): Agent {
	const agent = new Agent({ keepAlive: true, maxCachedSessions: 0 });
	return Object.assign(agent, {
		createConnection: (options: ConnectionOptions) => {
			const { host = "localhost", port } = options;
			return connect({ host, ...(port === undefined ? {} : { port }), ...clientTls(identity, servers) });
		},
	});
}

/** @throws WeirError `unavailable` when the own SVID has ended */
export function secureContext(identity: Identity): {
	readonly cert: string;
	readonly key: string;
	readonly ca: string;
	readonly minVersion: "TLSv1.3";
	readonly secureOptions: number;
} {
	const { certificate, privateKey, trustBundle } = identity.current();
	return {
		cert: certificate,
		key: privateKey,
		ca: trustBundle,
		...PROVED_EACH_TIME,
	};
}
