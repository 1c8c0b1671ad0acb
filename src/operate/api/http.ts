/**
 * HTTP for both listeners: Host and Origin checks (against DNS rebinding and cross-site posts), bounded bodies with a
 * checked content type, JSON answers, and the mapping of errors to status codes.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { shownPath } from "../../compile/access/requests/shownPath.js";
import { isLoopbackHost } from "../../declare/resources/address.js";
import { HTTP_STATUS, WeirError } from "../../error.js";
import { TooManyRequests } from "../../trust/clients/clientLimiter.js";
import { BodyTooLarge, hasBody, readBody, sendResponse } from "../../trust/clients/unreadBody.js";
import type { AuditedCall } from "../audit/actRecord.js";
import type { Caller } from "../callers/caller.js";

/** Body of API requests: a whole resource file (RESOURCE_FILE_BYTES_MAX). */
export const API_BODY_BYTES_MAX = 4 * 1024 * 1024;

/** One request that a route answers. */
export interface Call {
	readonly request: IncomingMessage;
	/** Path parameters, percent-decoded one by one, so `ns%2Fname` is one. */
	readonly params: Readonly<Record<string, string>>;
	/** Not yet checked. */
	readonly query: unknown;
	/** Authenticated by the listener. */
	readonly caller: Caller;
	/** Also the response header x-request-id. */
	readonly id: string;
}

/** The answer of a handler. */
export type Answer =
	| { readonly status: number; readonly json: unknown }
	| { readonly status: number; readonly text: string; readonly contentType: string };

export const ok = (json: unknown): Answer => ({ status: 200, json });

/** The path of a request as the audit has it. */
export function auditedPath({ url = "" }: IncomingMessage): string {
	return shownPath(url.split("?", 1)[0] ?? "").slice(0, 200);
}

/**
 * A browser sends the operator's certificate for any page, so requests from pages of other sites are refused.
 * @throws WeirError `permission-denied`
 */
export function checkOrigin(request: IncomingMessage): void {
	const { origin, host } = request.headers;
	if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return;
	throw new WeirError("permission-denied", "the API takes no requests from pages of other sites");
}

/**
 * A protection against DNS rebinding.
 * @throws WeirError `permission-denied` unless Host, and Origin where one is sent, name the loopback.
 */
export function checkLoopback(request: IncomingMessage): void {
	const hosts = request.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "host");
	const host = (request.headers.host ?? "").replace(/:\d*$/, "");
	if (hosts.length !== 1 || !isLoopbackHost(host)) {
		throw new WeirError(
			"permission-denied",
			"the Host header does not name the loopback",
			"call the API as http://127.0.0.1:PORT or http://localhost:PORT",
		);
	}
	const origin = request.headers.origin;
	if (origin === undefined) return;
	if (!URL.canParse(origin) || !isLoopbackHost(new URL(origin).hostname)) {
		throw new WeirError("permission-denied", "the API takes no requests from pages of other sites");
	}
}

/**
 * Refuses a request that announces a body of any length. Only POST gives a body a meaning (RFC 9110 section 9.3), and a
 * proxy could read it as a second request (RFC 9112 section 11.2).
 * @throws WeirError `invalid-argument`
 */
export function demandNoBody(request: IncomingMessage): void {
	if (!hasBody(request)) return;
	const { method, url = "" } = request;
	const path = (url.split("?", 1)[0] ?? "").slice(0, 200);
	throw new WeirError("invalid-argument", `${method} ${path} takes no body`, "send none");
}

/** The path has other methods: answered with 405, for which Weir has no error code. */
export class MethodNotAllowed extends WeirError {
	constructor(
		what: string,
		readonly allowed: readonly string[],
	) {
		super("invalid-argument", what, `ask with ${allowed[0]}`);
	}
}

/** Media type of the body without parameters, in lower case; empty = absent. */
function mediaType(request: IncomingMessage): string {
	return (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
}

export function isJson(request: IncomingMessage): boolean {
	return mediaType(request) === "application/json";
}

/**
 * @throws WeirError `invalid-argument` for another content type, or bytes that are not UTF-8; and as
 * `readBody` does
 */
export async function readText(
	{ request }: Pick<Call, "request">,
	contentTypes: readonly string[],
	bytesMax: number = API_BODY_BYTES_MAX,
): Promise<string> {
	const given = mediaType(request);
	if (!contentTypes.includes(given)) {
		throw new WeirError(
			"invalid-argument",
			`Content-Type is ${given === "" ? "absent" : `'${given}'`}`,
			`send ${contentTypes.join(" or ")}`,
		);
	}
	const bytes = await readBody(request, bytesMax);
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch (error) {
		throw new WeirError("invalid-argument", "the body is not UTF-8", "", { cause: error });
	}
}

/** A JSON body. @throws WeirError `invalid-argument`, and as `readText` does. */
export async function readJson(call: Pick<Call, "request">, bytesMax?: number): Promise<unknown> {
	const text = await readText(call, ["application/json"], bytesMax);
	try {
		return JSON.parse(text);
	} catch (error) {
		throw new WeirError("invalid-argument", "the body is not JSON", "", { cause: error });
	}
}

export function send(response: ServerResponse, answer: Answer): void {
	if (response.destroyed || response.headersSent) return;
	const text = "text" in answer ? answer.text : JSON.stringify(answer.json);
	const headers = {
		"content-type": "text" in answer ? answer.contentType : "application/json",
		"content-length": Buffer.byteLength(text),
		"cache-control": "no-store",
		"x-content-type-options": "nosniff",
	};
	sendResponse(response, answer.status, headers, text);
}

/** Answers an error. One that is not a WeirError is answered as `internal`, without its message. */
export function sendError(response: ServerResponse, thrown: unknown): void {
	const error =
		thrown instanceof WeirError ? thrown : new WeirError("internal", "the request failed", "see control's log");
	if (response.destroyed || response.headersSent) return;
	response.setHeader("connection", "close");
	const notAllowed = error instanceof MethodNotAllowed;
	// RFC 9110 section 15.5.6.
	if (notAllowed) response.setHeader("allow", error.allowed.join(", "));
	const status = notAllowed ? 405 : error instanceof BodyTooLarge ? 413 : HTTP_STATUS[error.code];
	if (status === 429 || status === 503)
		response.setHeader("retry-after", String(error instanceof TooManyRequests ? error.afterSeconds : 1));
	send(response, { status, json: { error } });
}

export function auditedCall({ caller, id }: Call, nowMs: number): AuditedCall {
	return { caller, id, nowMs };
}

/** Whether the client has disconnected; also true for pipelined requests that wait behind others. */
export const isGone = ({ request }: Call): boolean => request.socket.destroyed;
