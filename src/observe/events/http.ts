/** Shared code of ingest's HTTP servers: JSON answers and the mapping from errors to statuses. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ErrorCode, HTTP_STATUS, WeirError } from "../../error.js";
import { BodyTooLarge, sendResponse } from "../../trust/clients/unreadBody.js";

/** An error with an HTTP status that no Weir error code maps to. */
export class HttpProblem extends WeirError {
	constructor(
		readonly status: 405 | 415,
		message: string,
		hint = "",
	) {
		super("invalid-argument", message, hint);
	}
}

/** All values of a header (name in lower case). Node's parsed form drops or joins repeated headers. */
export const headerValues = ({ rawHeaders }: Pick<IncomingMessage, "rawHeaders">, name: string): readonly string[] =>
	rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);

export function answerJson(response: ServerResponse, status: number, body: string): void {
	if (response.destroyed || response.headersSent) return;
	const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
	sendResponse(response, status, headers, body);
}

/** The body is {code, message, hint}. */
export function answerError(response: ServerResponse, thrown: unknown): WeirError {
	const error = WeirError.from(thrown);
	const status = statusOf(error);
	if (!response.headersSent) {
		if (status === 503) response.setHeader("retry-after", "1");
	}
	// An unexpected error may quote any data, so its message goes to the log only.
	const body =
		error.code === "internal" ? { code: error.code, message: "internal error", hint: "see ingest's log" } : error;
	answerJson(response, status, JSON.stringify({ error: body }));
	return error;
}

function statusOf(error: WeirError): number {
	if (error instanceof HttpProblem) return error.status;
	if (error instanceof BodyTooLarge) return 413;
	// A row count above its limit.
	if (error.code === "resource-exhausted") return 413;
	return HTTP_STATUS[error.code satisfies ErrorCode];
}
