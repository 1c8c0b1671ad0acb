/**
 * How a response begins and ends (grpc/grpc doc/PROTOCOL-HTTP2.md, "Responses"): headers, trailers, and Trailers-Only
 * where a call ends without a message. The header objects are shared: Node copies them.
 */
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { GrpcFailure } from "./service.js";

const HEADERS: OutgoingHttpHeaders = { ":status": 200, "content-type": "application/grpc" };
const OK_TRAILERS: OutgoingHttpHeaders = { "grpc-status": "0" };
/** No date: nobody reads it, and it costs a header that changes each second. */
const BEFORE_MESSAGES = { waitForTrailers: true, sendDate: false };
const NO_MESSAGE = { endStream: true, sendDate: false };

/** Response headers; messages follow, then `wantTrailers`. */
export function begin(stream: ServerHttp2Stream): void {
	stream.respond(HEADERS, BEFORE_MESSAGES);
}

/** To be called at `wantTrailers`. */
export function sendTrailers(stream: ServerHttp2Stream, failure: GrpcFailure | null): void {
	stream.sendTrailers(failure === null ? OK_TRAILERS : statusOf(failure));
}

/** The whole response in one HEADERS frame. A peer that is still sending is told to stop. */
export function endWithoutMessage(stream: ServerHttp2Stream, failure: GrpcFailure | null, inputEnded: boolean): void {
	const status = failure === null ? OK_TRAILERS : statusOf(failure);
	stream.respond({ ...HEADERS, ...status }, NO_MESSAGE);
	if (!inputEnded) stopPeer(stream);
}

/**
 * Tells a peer that is still sending that its call is over (RFC 9113 8.1: RST_STREAM with NO_ERROR), once the response
 * has left: trailers are handed on in an immediate and written in the next one, and Node 22 drops what RST_STREAM overtakes.
 */
export function stopPeer(stream: ServerHttp2Stream): void {
	setImmediate(() => setImmediate(closeStream, stream));
}

function closeStream(stream: ServerHttp2Stream): void {
	if (!stream.closed && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
}

/** A request that is no gRPC request at all: a bare HTTP status. */
export function refuseHttp(stream: ServerHttp2Stream, status: 405 | 415): void {
	stream.respond({ ":status": status, ...(status === 405 ? { allow: "POST" } : {}) }, NO_MESSAGE);
	stopPeer(stream);
}

function statusOf({ code, words }: GrpcFailure): OutgoingHttpHeaders {
	return {
		"grpc-status": String(code),
		"grpc-message": percentEncode(words),
		// Tells a client that compressed its message what it may send (doc/compression.md).
		"grpc-accept-encoding": "identity",
	};
}

/** grpc-message: UTF-8, with every byte outside 0x20–0x7E and the percent sign as %XX. */
export function percentEncode(words: string): string {
	if (/^[ -$&-~]*$/.test(words)) return words;
	let encoded = "";
	for (const byte of Buffer.from(words, "utf8")) {
		encoded +=
			byte >= 0x20 && byte <= 0x7e && byte !== 0x25
				? String.fromCharCode(byte)
				: `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
	}
	return encoded;
}
