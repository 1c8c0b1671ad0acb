/** How an answer of the predictor goes out, also one to a request whose body has not been read to its end. */
import type { ServerResponse } from "node:http";
import { answerWhole } from "../../trust/clients/unreadBody.js";

interface JsonAnswer {
	readonly status: number;
	readonly json: string;
	readonly headers: Readonly<Record<string, string>>;
	/** Ends the connection after it. */
	readonly last: boolean;
}

/** Where the body was not read to its end, the connection cannot carry another request. */
export function answer(response: ServerResponse, { status, json, headers, last }: JsonAnswer): void {
	if (response.destroyed || response.headersSent) return; // The client is gone.
	// An Envoy that is still sending would take a reset for the arm's failure (503).
	answerWhole(
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
