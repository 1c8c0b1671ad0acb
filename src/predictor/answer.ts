/** How an answer of the predictor goes out, also one to a request whose body has not been read to its end. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterUnreadBody } from "../unreadBody.js";

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
	// An Envoy that is still sending would take a reset for the arm's failure (503).
	afterUnreadBody(request, () => {
		if (!response.destroyed) response.end();
	});
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
	headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
