/** Request bodies: reading up to a limit, and responses before the body has arrived. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { WeirError } from "../../error.js";

/** How long the rest of a rejected body is read and discarded, so that the client can read the response. */
const UNREAD_BODY_MS = 2_000;

/** HTTP 413. */
export class BodyTooLarge extends WeirError {
	constructor(bytesMax: number) {
		super("invalid-argument", `the body is larger than ${bytesMax} bytes`, "send it in parts");
	}
}

/**
 * The whole body; the server's `requestTimeout` limits the time.
 * @throws BodyTooLarge; WeirError `invalid-argument` for a body that ends early
 */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
	if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw new BodyTooLarge(bytesMax);
	// One buffer: a list of 1-byte chunks would take a hundred times the memory.
	let bytes = Buffer.allocUnsafe(16 * 1024);
	let length = 0;
	try {
		for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
			if (length + chunk.length > bytesMax) throw new BodyTooLarge(bytesMax);
			if (length + chunk.length > bytes.length) {
				const more = Buffer.allocUnsafe(Math.min(bytesMax, 2 * (length + chunk.length)));
				bytes.copy(more, 0, 0, length);
				bytes = more;
			}
			chunk.copy(bytes, length);
			length += chunk.length;
		}
	} catch (thrown) {
		if (thrown instanceof WeirError) throw thrown;
		throw new WeirError("invalid-argument", "the body ended early", "", { cause: thrown });
	}
	return bytes.subarray(0, length);
}

/**
 * Discards the rest of the body for a limited time. Closing a connection with unread bytes resets it, and the client may
 * see the reset before the response (RFC 9112 section 9.6).
 * @param done called once, when the body or the connection has ended or the time is over: then end the response
 */
export function discardBody(request: IncomingMessage, done: () => void): void {
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
 * Sends a complete response. If the request's body has not ended, it also closes the connection: nothing would limit the
 * time of the rest.
 */
export function sendResponse(
	response: ServerResponse,
	status: number,
	headers: OutgoingHttpHeaders,
	text: string,
): void {
	const { req } = response;
	if (req.complete || !hasBody(req)) {
		response.writeHead(status, headers).end(text);
		return;
	}
	response.writeHead(status, { ...headers, connection: "close" }).flushHeaders();
	response.write(text);
	discardBody(req, () => response.end());
}

/** Whether the request has a body. `complete` does not show this: it is also false for a new request without one. */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
	headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
