/** What the gRPC server tells the process around it. Paths are those of the served methods, or "unknown". */
import type { HandshakeFault } from "../../../trust/tls/handshake.js";
import type { GrpcCode } from "./service.js";

export interface GrpcCounters {
	/** A call is over; CANCELLED where the peer gave it up. */
	ended(path: string, code: GrpcCode): void;
	/** A call was refused because the loop is late; it is also counted by `ended`. */
	shed(path: string): void;
	/** A handler threw: a fault of ours. The peer was answered INTERNAL. Called outside the hot path. */
	threw(path: string, error: unknown): void;
	/** A connection ended with an error: no HTTP/2, a protocol error, a flood. */
	brokeConnection(error: Error): void;
	/** A TLS handshake failed for what the peer said. */
	failedHandshake(fault: HandshakeFault): void;
}

export const NO_COUNTERS: GrpcCounters = {
	ended() {},
	shed() {},
	threw() {},
	brokeConnection() {},
	failedHandshake() {},
};
