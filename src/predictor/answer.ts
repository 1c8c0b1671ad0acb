/** How an answer of the predictor goes out, also one to a request whose body has not been read to its end. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { PREDICTOR_LINGER_MS } from "../limits.js";

interface JsonAnswer {
	readonly status: number;
	readonly json: string;
	readonly headers: Readonly<Record<string, string>>;
	/** Ends the connection after it. */
	readonly last: boolean;
}

/** Where the body was not read to its end, the connection cannot carry another request. */
export function answer(
	request: IncomingMessage,
	response: ServerResponse,
	{ status, json, headers, last }: JsonAnswer,
): void {
	if (response.destroyed || response.headersSent) return; // The client is gone.
	const unread = !request.complete && hasBody(request);
	response.writeHead(status, {
		"content-type": "application/json",
		"content-length": Buffer.byteLength(json),
		...(last || unread ? { connection: "close" } : {}),
		...headers,
	});
	if (!unread) {
		response.end(json);
		return;
	}
	response.flushHeaders();
	response.write(json);
	linger(request, response);
}

/**
 * The answer is whole for its reader, and the connection ends a little later: ended at once, with bytes of the body unread,
 * it is reset, and an Envoy that is still sending may see that before the answer. It would be the arm's failure then (503).
 */
function linger(request: IncomingMessage, response: ServerResponse): void {
	const end = (): void => {
		clearTimeout(timer);
		if (!response.destroyed) response.end();
	};
	const timer = setTimeout(end, PREDICTOR_LINGER_MS);
	request.once("end", end);
	request.once("close", end);
	request.resume();
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
	headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
