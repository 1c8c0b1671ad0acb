/**
 * gRPC methods by path, as functions of bytes. A handler returns exactly one reply per message, so that "exactly one response
 * per message" (CVE-2026-47207) holds by construction. While a reply is promised, no other message of the call is read.
 */
import type { IncomingHttpHeaders } from "node:http2";

/** gRPC status codes (grpc/grpc doc/statuscodes.md), those that this server sends. */
export const GRPC = {
	OK: 0,
	CANCELLED: 1,
	UNKNOWN: 2,
	INVALID_ARGUMENT: 3,
	DEADLINE_EXCEEDED: 4,
	NOT_FOUND: 5,
	PERMISSION_DENIED: 7,
	RESOURCE_EXHAUSTED: 8,
	UNIMPLEMENTED: 12,
	INTERNAL: 13,
	UNAVAILABLE: 14,
} as const;

export type GrpcCode = (typeof GRPC)[keyof typeof GRPC];

/** Ends a call without a message. The peer sees the text: no unit, token or header value in it. */
export class GrpcFailure {
	constructor(
		readonly code: GrpcCode,
		readonly message: string,
	) {}
}

/** The serialised response message, or the failure of the call. */
export type Reply = Uint8Array | GrpcFailure;

/** What a handler returns. A promise must settle in limited time and not reject. */
export type Given = Reply | Promise<Reply>;

export interface UnaryMethod {
	readonly kind: "unary";
	/** @param message the serialised request; valid only during the call. @param metadata request headers. */
	readonly handle: (message: Buffer, metadata: IncomingHttpHeaders) => Given;
}

/** One open bidirectional stream. */
export interface StreamHandler {
	/** Called for each message in order, after the previous reply. A failure ends the stream. */
	readonly message: (message: Buffer) => Given;
	/** Called once when the stream has ended. */
	readonly ended: () => void;
}

export interface StreamMethod {
	readonly kind: "stream";
	readonly open: (metadata: IncomingHttpHeaders) => StreamHandler;
}

/** By full path, e.g. `/envoy.service.auth.v3.Authorization/Check`. */
export type Methods = ReadonlyMap<string, UnaryMethod | StreamMethod>;
