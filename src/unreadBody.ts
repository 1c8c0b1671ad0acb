/** Requests that are answered before their bodies have come: how such a connection ends without taking the answer along. */
import type { IncomingMessage } from "node:http";
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
