/**
 * Passes a request of the public API on to the role that owns it, over that role's UNIX socket, with the caller that the
 * API has proved: the socket itself says no more than that the owner's own process asks.
 */
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { WeirError } from "../../error.js";
import type { Caller } from "../../state/caller.js";

/** Who asks, where it is not the local owner. Never a client's own word. */
const CALLER = "x-weir-caller";

/** Headers that belong to one hop (RFC 9110 section 7.6.1) and are not passed on. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"]);

export function forwardTo(
	socketPath: string,
	role: string,
): (call: IncomingMessage, answer: ServerResponse, caller: Caller) => void {
	return (call, answer, caller) => {
		const kept = Object.entries(call.headers).filter(([name]) => !HOP_BY_HOP.has(name) && name !== CALLER);
		const headers = Object.fromEntries(kept);
		if (caller.how !== "socket") headers[CALLER] = caller.subject;
		const onward = request({ socketPath, path: call.url, method: call.method, headers }, (response) => {
			answer.writeHead(
				response.statusCode ?? 502,
				Object.fromEntries(Object.entries(response.headers).filter(([name]) => !HOP_BY_HOP.has(name))),
			);
			response.pipe(answer);
		});
		onward.once("error", () => {
			call.unpipe(onward);
			if (answer.headersSent) return void answer.destroy();
			const error = new WeirError(
				"unavailable",
				`${role} does not answer`,
				"it is restarted by itself under `weir up`; try again",
			);
			answer.writeHead(503, { "content-type": "application/json" }).end(JSON.stringify({ error }));
		});
		call.pipe(onward);
		answer.once("close", () => onward.destroy());
	};
}
