/** The plumbing of ingest's HTTP doors: bounded bodies, JSON answers, and the one place where an error becomes a status. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type ErrorCode, HTTP_STATUS, WeirError } from "../error.js";
import { answerWhole } from "../unreadBody.js";

/** A refusal that has a status of its own in HTTP and no code in Weir's set. */
export class HttpProblem extends WeirError {
	constructor(
		readonly status: 405 | 413 | 415 | 429,
		message: string,
		hint = "",
		/** Of 429: when it may come again. */
		readonly afterSeconds = 1,
	) {
		super(status === 413 || status === 429 ? "resource-exhausted" : "invalid-argument", message, hint);
	}
}

/** Throws HttpProblem 413 beyond `bytesMax`, without reading on. */
export async function readBytes(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
	const tooLarge = (): HttpProblem =>
		new HttpProblem(413, `the body is larger than ${bytesMax} bytes`, "send it in parts");
	if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge();
	const chunks: Buffer[] = [];
	let size = 0;
	try {
		for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
			size += chunk.length;
			if (size > bytesMax) throw tooLarge();
			chunks.push(chunk);
		}
	} catch (thrown) {
		if (thrown instanceof WeirError) throw thrown;
		throw new WeirError("invalid-argument", "the body ended early", "", { cause: thrown });
	}
	return Buffer.concat(chunks);
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
		const { afterSeconds } = error instanceof HttpProblem ? error : { afterSeconds: 1 };
		if (status === 503 || status === 429) response.setHeader("retry-after", String(afterSeconds));
	}
	// What is not ours may quote anything: its words stay in the log.
	const told =
		error.code === "internal" ? { code: error.code, message: "internal error", hint: "see ingest's log" } : error;
	answerJson(response, status, JSON.stringify({ error: told }));
	return error;
}

function statusOf(error: WeirError): number {
	if (error instanceof HttpProblem) return error.status;
	// A body or a row count beyond its bound.
	if (error.code === "resource-exhausted") return 413;
	return HTTP_STATUS[error.code satisfies ErrorCode];
}
