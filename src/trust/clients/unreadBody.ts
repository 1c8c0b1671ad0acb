/** Bodies of requests: read up to a limit, or answered before they have come. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { WeirError } from "../../error.js";
import { UNREAD_BODY_MS } from "../../limits/index.js";

/** HTTP 413. */
export class BodyTooLarge extends WeirError {
	constructor(bytesMax: number) {
		super("invalid-argument", `the body is larger than ${bytesMax} bytes`, "send it in parts");
	}
}

/**
 * The whole body. How long it may take is the server's `requestTimeout`.
 * @throws BodyTooLarge; WeirError `invalid-argument` for a body that ends early
 */
export async function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
	if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw new BodyTooLarge(bytesMax);
	// Copied into one buffer: a list of chunks of one byte would take a hundred times the memory.
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

/**
 * The whole of an answer. Where the request's body has not ended, the connection ends with it: the rest would be taken for the
 * next request, and nothing else would bound how long it takes to come.
 */
export function answerWhole(
	response: ServerResponse,
	status: number,
	headers: OutgoingHttpHeaders,
	text: string,
): void {
	const { req } = response;
	if (req.complete || !announcesBody(req)) {
		response.writeHead(status, headers).end(text);
		return;
	}
	response.writeHead(status, { ...headers, connection: "close" }).flushHeaders();
	response.write(text);
	afterUnreadBody(req, () => response.end());
}

/** Of whatever length it turns out to be. Before Node has read on, a request without one is not complete either. */
export const announcesBody = ({ headers }: IncomingMessage): boolean =>
	headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
