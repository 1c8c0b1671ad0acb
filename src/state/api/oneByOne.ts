/**
 * Requests that a client sends ahead on one connection (pipelining, RFC 9112 section 9.3.2) are answered one by one: Node hands
 * on all that it has read, and their handlers would run at once, without a bound.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { API_REQUESTS_AHEAD_MAX, API_REQUESTS_DROPPED_MAX } from "../../limits.js";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface OneByOne {
	readonly handle: Handler;
	/** Told of the end of each answer that was begun. */
	readonly onEnded: (response: ServerResponse) => void;
	/** Told once of each connection with more than may wait. */
	readonly onFull: (socket: Socket) => void;
}

/** What is left to do on a connection. */
interface Line {
	/** Behind the one under way. */
	readonly waiting: [request: IncomingMessage, response: ServerResponse][];
	/** More came than may wait: it ends with the last of those. Or it has ended. */
	full: boolean;
	/** Not handled. */
	dropped: number;
}

/** After an answer that ends the connection no other request of it is handled, and none beyond those that may wait. */
export function oneByOne({ handle, onEnded, onFull }: OneByOne): Handler {
	const lines = new WeakMap<Socket, Line>();
	const begin = (line: Line, request: IncomingMessage, response: ServerResponse): void => {
		if (line.full && line.waiting.length === 0) response.setHeader("connection", "close");
		response.once("close", () => {
			onEnded(response);
			const next = line.waiting.shift();
			if (!request.socket.writable) {
				// Its peer has gone, or the answer was the last one; what was read of it comes here all the same.
				line.full = true;
				line.waiting.length = 0;
			} else if (next === undefined) lines.delete(request.socket);
			else begin(line, ...next);
		});
		handle(request, response);
	};
	return (request, response) => {
		const { socket } = request;
		const line = lines.get(socket);
		if (line === undefined) {
			const made: Line = { waiting: [], full: false, dropped: 0 };
			lines.set(socket, made);
			begin(made, request, response);
			return;
		}
		if (!line.full && line.waiting.length < API_REQUESTS_AHEAD_MAX) {
			line.waiting.push([request, response]);
			return;
		}
		line.dropped += 1;
		// Node reads on whatever is paused here, so that its end in order would come late.
		if (!socket.writable || line.dropped > API_REQUESTS_DROPPED_MAX) socket.destroy();
		if (line.full) return;
		line.full = true;
		onFull(socket);
	};
}
