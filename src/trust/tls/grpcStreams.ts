/** Access to the HTTP/2 sessions and streams below a grpc-js server, which has no API for them. */
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { TokenBucket } from "../clients/tokenBucket.js";
import { certifiedId } from "./connectionLimits.js";

/**
 * Streams that one TCP connection to xds or the access log may open at once, and per second; beyond it the connection is
 * closed. A starting Envoy opens ACCESS_LOG_STREAMS_MAX, and retries each refused one every second.
 */
const STREAMS_OPENED_AT_ONCE_MAX = 300;
const STREAMS_OPENED_PER_SECOND_MAX = 100;

/** The HTTP/2 stream of a call. A private field of grpc-js; tests check that it exists. */
export const rawStreamOf = (call: unknown): ServerHttp2Stream | undefined =>
	(call as { readonly call?: { readonly stream?: ServerHttp2Stream } }).call?.stream;

/**
 * Calls `opened` for the session of each new connection.
 * @param server a grpc-js server that is not bound yet
 */
export function onSession(server: object, opened: (session: ServerHttp2Session) => void): void {
	const patched = server as { createHttp2Server(credentials: unknown): Http2Server };
	const create = patched.createHttp2Server.bind(server);
	patched.createHttp2Server = (credentials) => create(credentials).on("session", opened);
}

/**
 * Closes a connection that opens streams far faster than any client needs: a stream that is reset or refused at once still
 * costs work. For TLS servers. Node 20 has no option for the limit of HTTP/2 (1,000 resets at once).
 * @param flooded called for each closed connection with its peer's SPIFFE id
 */
export function boundStreams(server: object, flooded: (id: string | null) => void): void {
	onSession(server, (session) => {
		const [atOnce, perSecond] = [STREAMS_OPENED_AT_ONCE_MAX, STREAMS_OPENED_PER_SECOND_MAX];
		const bucket = new TokenBucket(atOnce, perSecond, 1_000, performance.now());
		session.on("stream", () => {
			bucket.take(1);
			if (session.destroyed || bucket.level(performance.now()) >= 0) return;
			const id = certifiedId(session.socket as TLSSocket);
			session.destroy();
			flooded(id);
		});
	});
}
