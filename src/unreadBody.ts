/** Requests that are answered before their bodies have come: how such a connection ends without taking the answer along. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { UNREAD_BODY_MS } from "./limits.js";

/**
 * Reads what is still coming of the body and throws it away, for a while: a connection that is closed on bytes which are
 * unread, or on their way, is reset, and whoever is sending them may see that before the answer (RFC 9112 section 9.6).
 * @param done called once, when the body has ended, its client has gone, or the while is over: the answer ends then
 */
export function afterUnreadBody(request: IncomingMessage, done: () => void): void {
	let over = false;
	const end = (): void => {
		if (over) return;
		over = true;
		clearTimeout(timer);
		done();
	};
	const timer = setTimeout(end, UNREAD_BODY_MS);
	request.once("end", end).once("close", end).resume();
}

/**
 * The whole of an answer. Where the request's body has not ended, the connection ends with it: the rest would be taken for the
 * next request, and nothing else would bound how long it takes to come.
 */
export function answerWhole(
	response: ServerResponse,
	status: number,
	headers: OutgoingHttpHeaders,
	text: string,
): void {
	const { req } = response;
	if (req.complete || !announcesBody(req)) {
		response.writeHead(status, headers).end(text);
		return;
	}
	response.writeHead(status, { ...headers, connection: "close" }).flushHeaders();
	response.write(text);
	afterUnreadBody(req, () => response.end());
}

/** Of whatever length it turns out to be. Before Node has read on, a request without one is not complete either. */
export const announcesBody = ({ headers }: IncomingMessage): boolean =>
	headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
