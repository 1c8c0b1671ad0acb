/** The plumbing of ingest's HTTP doors: JSON answers, and the one place where an error becomes a status. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ErrorCode, HTTP_STATUS, WeirError } from "../../error.js";
import { TooManyRequests } from "../../trust/clients/clientLimiter.js";
import { answerWhole, BodyTooLarge } from "../../trust/clients/unreadBody.js";

/** A refusal that has a status of its own in HTTP and no code in Weir's set. */
export class HttpProblem extends WeirError {
	constructor(
		readonly status: 405 | 415,
		message: string,
		hint = "",
	) {
		super("invalid-argument", message, hint);
	}
}

/** All that a request says in headers of the name (in lower case): Node's own form keeps the first of some, or joins them. */
export const headerWords = ({ rawHeaders }: Pick<IncomingMessage, "rawHeaders">, name: string): readonly string[] =>
	rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);

export function answerJson(response: ServerResponse, status: number, body: string): void {
	if (response.destroyed || response.headersSent) return;
	const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
	answerWhole(response, status, headers, body);
}

/** The body is the error's own form: {code, message, hint}. */
export function answerError(response: ServerResponse, thrown: unknown): WeirError {
	const error = WeirError.from(thrown);
	const status = statusOf(error);
	if (!response.headersSent) {
		if (status === 503 || status === 429)
			response.setHeader("retry-after", String(error instanceof TooManyRequests ? error.afterSeconds : 1));
	}
	// What is not ours may quote anything: its words stay in the log.
	const told =
		error.code === "internal" ? { code: error.code, message: "internal error", hint: "see ingest's log" } : error;
	answerJson(response, status, JSON.stringify({ error: told }));
	return error;
}

function statusOf(error: WeirError): number {
	if (error instanceof HttpProblem) return error.status;
	if (error instanceof TooManyRequests) return 429;
	if (error instanceof BodyTooLarge) return 413;
	// A row count beyond its bound.
	if (error.code === "resource-exhausted") return 413;
	return HTTP_STATUS[error.code satisfies ErrorCode];
}
