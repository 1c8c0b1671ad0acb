/**
 * Forwards a request of the public API to ingest over its UNIX socket, with the caller's verified id. Against request
 * smuggling (RFC 9112 section 11.2), the request has its own framing and connection, and only the headers that ingest
 * reads.
 */
import {
	type IncomingHttpHeaders,
	type IncomingMessage,
	type OutgoingHttpHeaders,
	request,
	type ServerResponse,
} from "node:http";
import { finished } from "node:stream";
import { WeirError } from "../../error.js";
import { encodeNamespaces, NAMESPACES_HEADER } from "../../observe/events/query/readNamespaces.js";
import { CALLER_HEADER, encodeCaller } from "../../observe/events/receive/outcomes/sender.js";
import { demandNoBody, sendError } from "../../operate/api/http.js";
import type { Handle } from "../../operate/api/mount.js";
import { discardBody } from "../../trust/clients/unreadBody.js";

/** Headers that ingest reads, beside the attributes of a CloudEvent in binary mode (`ce-NAME`). */
const FORWARDED = new Set(["content-type", "content-encoding", "idempotency-key"]);

/** Headers of an answer that belong to one hop (RFC 9110 section 7.6.1). */
const HOP_BY_HOP = new Set([
	"connection",
	"keep-alive",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
]);

/** Forwards the body of a POST in chunks; refuses a body with any other method. */
export function forwardTo(socketPath: string, role: string): Handle {
	return async (call, answer, caller, readable) => {
		const { method, url } = call;
		const hasBody = method === "POST";
		if (!hasBody) demandNoBody(call);
		if (answer.destroyed) return;
		const headers: OutgoingHttpHeaders = {
			...forwardedHeaders(call),
			[CALLER_HEADER]: encodeCaller(caller.subject),
			...(readable === undefined ? {} : { [NAMESPACES_HEADER]: encodeNamespaces(readable) }),
		};
		// Not the client's content-length, which may be wrong.
		if (hasBody) headers["transfer-encoding"] = "chunked";
		// A new connection: on a shared one, left-over bytes would reach the next caller.
		const onward = request({ socketPath, path: url, method, headers, agent: false });
		onward.on("error", () => {
			// passAnswer cuts an answer that has begun.
			if (answer.headersSent) return;
			const hint = "`weir up` restarts it; try again";
			sendError(answer, new WeirError("unavailable", `${role} does not answer`, hint));
		});
		onward.once("response", (response) => {
			// An answer before the end of the body: the rest is discarded, so that it is not read as the next request.
			const early = !call.complete;
			if (early) answer.setHeader("connection", "close");
			call.unpipe(onward);
			answer.writeHead(response.statusCode ?? 502, endToEnd(response.headers));
			const bodyIsOver = early ? new Promise<void>((resolve) => discardBody(call, resolve)) : null;
			passAnswer(response, answer, bodyIsOver);
		});
		answer.once("close", () => onward.destroy());
		if (!hasBody) onward.end();
		else {
			// Before the body comes: ingest may refuse the sender at once.
			onward.flushHeaders();
			call.pipe(onward);
		}
	};
}

/**
 * Streams ingest's answer; if it is cut, the client's is cut too.
 * @param bodyIsOver the answer ends after it; null = the body has ended
 */
function passAnswer(response: IncomingMessage, answer: ServerResponse, bodyIsOver: Promise<void> | null): void {
	finished(response, (fault) => {
		if (fault != null) answer.destroy();
		else if (bodyIsOver === null) answer.end();
		else void bodyIsOver.then(() => answer.end());
	});
	response.pipe(answer, { end: false });
}

function forwardedHeaders({ headers }: IncomingMessage): OutgoingHttpHeaders {
	// The client's hop-by-hop headers are not forwarded.
	const hopByHop = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
	const isForwarded = (name: string): boolean => !hopByHop.has(name) && (FORWARDED.has(name) || name.startsWith("ce-"));
	return Object.fromEntries(Object.entries(headers).filter(([name]) => isForwarded(name)));
}

function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
	return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}
