/**
 * mTLS for Node with SPIFFE ids instead of host names. TLS 1.3 only, without session resumption: a resumed session is not
 * verified again, even after its certificate or root has ended.
 */
import type { IncomingMessage } from "node:http";
import { Agent } from "node:https";
import {
	type ConnectionOptions,
	connect,
	type SecureContextOptions,
	type Server,
	type TLSSocket,
	type TlsOptions,
} from "node:tls";
import type { MutualTls } from "../tls/connectionLimits.js";
import { TLS_OPTIONS } from "../tls/tls.js";
import { idOfConnection } from "./connectionIds.js";
import { isForwardedRequest } from "./forwarded.js";
import type { Identity } from "./svid.js";

/** Why a connection was refused after its TLS handshake. */
export type PeerRefusal = "no-svid" | "not-admitted";

/** Options of a server (tls, https, http2) that requires a client certificate from the own trust domain's roots. */
export function serverTls(identity: Identity): TlsOptions {
	return { ...secureContext(identity), requestCert: true, rejectUnauthorized: true };
}

/**
 * Updates a server's certificate and roots on rotation. Open connections stay until their peer's certificate ends
 * (connectionLimits.ts). If no new SVID comes, the server keeps its ended one: peers then report an expired certificate, which names
 * the cause.
 * @returns stops it
 */
export function followRotation(server: Server, identity: Identity): () => void {
	return identity.onRotated(() => server.setSecureContext(secureContext(identity)));
}

/** TLS settings of a server that follow the identity's rotation. */
export function mutualTls(identity: Identity): MutualTls {
	return { options: serverTls(identity), follow: (server) => followRotation(server, identity) };
}

/**
 * Closes every connection whose peer is not admitted, before a byte is read. Runs before the server's other
 * `secureConnection` listeners.
 * @param refused called for each; the id is null if the certificate has none of the own trust domain
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

/** The peer's SPIFFE id in the own trust domain; null = none, or the chain is not verified. */
export function verifiedPeer(socket: TLSSocket, identity: Identity): string | null {
	return socket.authorized ? idOfConnection(identity, socket, () => socket.getPeerX509Certificate()?.raw) : null;
}

/** The caller's SPIFFE id in the own trust domain; null = none, or a proxy forwarded the request. */
export function httpPeerSpiffeId(request: IncomingMessage, identity: Identity): string | null {
	return isForwardedRequest(request.headers) ? null : verifiedPeer(request.socket as TLSSocket, identity);
}

/**
 * Options of one connection to a server that `servers` accepts; its host name does not matter. Call it for each connection,
 * because the options hold the current certificate.
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

/** An agent for https.request() that connects with the current identity to servers that `servers` accepts. */
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
export function secureContext(identity: Identity): SecureContextOptions {
	const { certificate, privateKey, trustBundle } = identity.current();
	return { cert: certificate, key: privateKey, ca: trustBundle, ...TLS_OPTIONS };
}
