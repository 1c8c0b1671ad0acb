/** Observer of the gRPC server. Paths are those of served methods, or "unknown". */
import type { HandshakeFault } from "../../../trust/tls/handshake.js";
import type { GrpcCode } from "./service.js";

export interface GrpcCounters {
	/** A call has ended; CANCELLED = by the peer. */
	ended(path: string, code: GrpcCode): void;
	/** A call was shed because the event loop is late; `ended` is also called. */
	shed(path: string): void;
	/** A handler threw (a bug). The peer got INTERNAL. */
	threw(path: string, error: unknown): void;
	/** A connection ended with an error: no HTTP/2, a protocol error, a flood. */
	brokeConnection(error: Error): void;
	/** A TLS handshake failed. */
	failedHandshake(fault: HandshakeFault): void;
}

export const NO_COUNTERS: GrpcCounters = {
	ended() {},
	shed() {},
	threw() {},
	brokeConnection() {},
	failedHandshake() {},
};
