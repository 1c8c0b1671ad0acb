/** What lies below a gRPC server of grpc-js and what it does not tell: its connections' sessions and streams of HTTP/2. */
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import { STREAMS_OPENED_AT_ONCE_MAX, STREAMS_OPENED_PER_SECOND_MAX } from "../../limits/index.js";
import { TokenBucket } from "../clients/tokenBucket.js";
import { certifiedId } from "./tlsDoor.js";

/** The stream of HTTP/2 below a call; tests hold that it is found. */
export const rawStreamOf = (call: unknown): ServerHttp2Stream | undefined =>
	(call as { readonly call?: { readonly stream?: ServerHttp2Stream } }).call?.stream;

/**
 * Tells of each connection's session.
 * @param server of grpc-js, which has no way of its own for it; not bound yet
 */
export function onSession(server: object, opened: (session: ServerHttp2Session) => void): void {
	const own = server as { createHttp2Server(credentials: unknown): Http2Server };
	const create = own.createHttp2Server.bind(server);
	own.createHttp2Server = (credentials) => create(credentials).on("session", opened);
}

/**
 * Cuts a connection that opens streams far faster than any client needs: each is work, also one that is reset at once or
 * refused. For doors over TLS; Node 20 has no option for what HTTP/2 itself allows of it (1,000 resets at once).
 * @param flooded told of each connection that is cut, with its peer's SPIFFE id
 */
export function boundStreams(server: object, flooded: (id: string | null) => void): void {
	onSession(server, (session) => {
		const [atOnce, perSecond] = [STREAMS_OPENED_AT_ONCE_MAX, STREAMS_OPENED_PER_SECOND_MAX];
		const left = new TokenBucket(atOnce, perSecond, 1_000, performance.now());
		session.on("stream", () => {
			left.take(1);
			if (session.destroyed || left.level(performance.now()) >= 0) return;
			const id = certifiedId(session.socket as TLSSocket);
			session.destroy();
			flooded(id);
		});
	});
}
