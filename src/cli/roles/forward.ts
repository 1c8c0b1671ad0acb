/**
 * Passes a request of the public API on to the role that owns it, over that role's UNIX socket, in the name of the
 * caller that the API has proved. What is passed on is written anew and never copied: our own framing, the headers
 * that owners read and no others, and a connection of its own, so that nothing which one caller sends can be read as
 * another request (RFC 9112 section 11.2).
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
import { encodeNamespaces, NAMESPACES_HEADER } from "../../observe/events/decisions/readNamespaces.js";
import { CALLER_HEADER, encodeCaller } from "../../observe/events/outcomes/sender.js";
import { demandNoBody, sendError } from "../../operate/api/http.js";
import type { Handle } from "../../operate/api/mount.js";
import { discardBody } from "../../trust/clients/unreadBody.js";

/** What owners read of a request, beside the attributes of a CloudEvent in binary mode (`ce-NAME`). */
const PASSED_ON = new Set(["content-type", "content-encoding", "idempotency-key"]);

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

/** The body of a POST goes on, in chunks; of any other method one is refused before anything is sent. */
export function forwardTo(socketPath: string, role: string): Handle {
	return async (call, answer, caller, readable) => {
		const { method, url } = call;
		const hasBody = method === "POST";
		if (!hasBody) demandNoBody(call);
		if (answer.destroyed) return;
		const headers: OutgoingHttpHeaders = {
			...asked(call),
			[CALLER_HEADER]: encodeCaller(caller.subject),
			...(readable === undefined ? {} : { [NAMESPACES_HEADER]: encodeNamespaces(readable) }),
		};
		// Whatever length the client has told: chunks cannot say another than what comes.
		if (hasBody) headers["transfer-encoding"] = "chunked";
		// A connection of its own: one that others use next would give them what is left on it.
		const onward = request({ socketPath, path: url, method, headers, agent: false });
		onward.on("error", () => {
			// An answer that was cut is cut for the client where it is passed on.
			if (answer.headersSent) return;
			const hint = "it is restarted by itself under `weir up`; try again";
			sendError(answer, new WeirError("unavailable", `${role} does not answer`, hint));
		});
		onward.once("response", (response) => {
			// Who answers before the end of the body does not want the rest, which is no next request.
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
			// Before the body comes: the owner may refuse the sender at once.
			onward.flushHeaders();
			call.pipe(onward);
		}
	};
}

/**
 * One that is cut is cut at once.
 * @param bodyIsOver where it came before the end of the body, after which alone it ends
 */
function passAnswer(response: IncomingMessage, answer: ServerResponse, bodyIsOver: Promise<void> | null): void {
	finished(response, (fault) => {
		if (fault != null) answer.destroy();
		else if (bodyIsOver === null) answer.end();
		else void bodyIsOver.then(() => answer.end());
	});
	response.pipe(answer, { end: false });
}

function asked({ headers }: IncomingMessage): OutgoingHttpHeaders {
	// What the client says is for this hop alone.
	const here = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
	const isPassedOn = (name: string): boolean => !here.has(name) && (PASSED_ON.has(name) || name.startsWith("ce-"));
	return Object.fromEntries(Object.entries(headers).filter(([name]) => isPassedOn(name)));
}

function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
	return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name)));
}
