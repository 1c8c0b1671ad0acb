/** Sends a response, also if the request's body is not fully read. */
import type { ServerResponse } from "node:http";
import { sendResponse } from "../../trust/clients/unreadBody.js";

interface JsonAnswer {
	readonly status: number;
	readonly json: string;
	readonly headers: Readonly<Record<string, string>>;
	/** Close the connection after the response. */
	readonly last: boolean;
}

/** Closes the connection if the body was not fully read. */
export function answer(response: ServerResponse, { status, json, headers, last }: JsonAnswer): void {
	if (response.destroyed || response.headersSent) return; // The client has disconnected.
	// An Envoy that is still sending would report a reset as a failure of the arm (503).
	sendResponse(
		response,
		status,
		{
			"content-type": "application/json",
			"content-length": Buffer.byteLength(json),
			...(last ? { connection: "close" } : {}),
			...headers,
		},
		json,
	);
}
