/**
 * Response headers and trailers (grpc/grpc doc/PROTOCOL-HTTP2.md, "Responses"), and Trailers-Only for a call without a
 * message. The header objects are shared, because Node copies them.
 */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { GrpcFailure } from "./service.js";

const HEADERS: OutgoingHttpHeaders = { ":status": 200, "content-type": "application/grpc" };
const OK_TRAILERS: OutgoingHttpHeaders = { "grpc-status": "0" };
/** Without the date header, which is unused and changes each second. */
const BEFORE_MESSAGES = { waitForTrailers: true, sendDate: false };
const NO_MESSAGE = { endStream: true, sendDate: false };

/** Sends response headers; messages follow, then `wantTrailers`. */
export function begin(stream: ServerHttp2Stream): void {
	stream.respond(HEADERS, BEFORE_MESSAGES);
}

/** Call it at `wantTrailers`. */
export function sendTrailers(stream: ServerHttp2Stream, failure: GrpcFailure | null): void {
	stream.sendTrailers(failure === null ? OK_TRAILERS : statusOf(failure));
}

/** Sends the whole response in one HEADERS frame, and stops a peer that is still sending. */
export function endWithoutMessage(stream: ServerHttp2Stream, failure: GrpcFailure | null, inputEnded: boolean): void {
	const status = failure === null ? OK_TRAILERS : statusOf(failure);
	stream.respond({ ...HEADERS, ...status }, NO_MESSAGE);
	if (!inputEnded) stopPeer(stream);
}

/**
 * Stops a peer that is still sending (RFC 9113 8.1: RST_STREAM with NO_ERROR), after the response. Two immediates, because
 * trailers are written in the second one, and Node 22 drops frames that RST_STREAM overtakes.
 */
export function stopPeer(stream: ServerHttp2Stream): void {
	setImmediate(() => setImmediate(closeStream, stream));
}

function closeStream(stream: ServerHttp2Stream): void {
	if (!stream.closed && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
}

/** Answers a request that is not gRPC with an HTTP status. */
export function refuseHttp(stream: ServerHttp2Stream, status: 405 | 415): void {
	stream.respond({ ":status": status, ...(status === 405 ? { allow: "POST" } : {}) }, NO_MESSAGE);
	stopPeer(stream);
}

function statusOf({ code, message }: GrpcFailure): OutgoingHttpHeaders {
	return {
		"grpc-status": String(code),
		"grpc-message": percentEncode(message),
		// For a client that compressed its message (doc/compression.md).
		"grpc-accept-encoding": "identity",
	};
}

/** grpc-message: UTF-8, with every byte outside 0x20–0x7E and the percent sign as %XX. */
export function percentEncode(text: string): string {
	if (/^[ -$&-~]*$/.test(text)) return text;
	let encoded = "";
	for (const byte of Buffer.from(text, "utf8")) {
		encoded +=
			byte >= 0x20 && byte <= 0x7e && byte !== 0x25
				? String.fromCharCode(byte)
				: `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
	}
	return encoded;
}
