/** One request of any of the API's doors: who calls, whose business it is, and the answer. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Server as SecureServer } from "node:https";
import { WeirError } from "../../error.js";
import type { HandshakeFault } from "../../handshake.js";
import { whileOpen } from "../../turns.js";
import { type Bodies, UNCOUNTED } from "./bodies.js";
import type { Caller } from "./caller.js";
import { send, sendError, takeApart } from "./http.js";
import { answerInternal } from "./internalDoor.js";
import { isUnder, type Mount, passOn } from "./mount.js";
import { answerPublic, type PublicDoor } from "./publicDoor.js";
import { NotPassedOn, type RequestBound } from "./underWay.js";

/** What all doors share. */
export interface House {
	readonly door: PublicDoor;
	readonly bodies: Bodies;
	readonly mounts: readonly (readonly [string, Mount])[];
	readonly onCrowded: () => void;
	/** Of the TCP door, as all that follow but the last; must not throw. */
	readonly onTooMany: (bound: RequestBound) => void;
	/** Must not throw. */
	readonly onHandshakeFault: (fault: HandshakeFault) => void;
	readonly onError: (error: unknown) => void;
}

/**
 * @param internal whether the roles' paths are answered here: on the socket, whose callers the file system has checked
 * @param onNotPassedOn must not throw
 */
export function handler(
	house: House,
	identify: (request: IncomingMessage, id: string, response: ServerResponse) => Promise<Caller>,
	internal: boolean,
	onNotPassedOn: (why: NotPassedOn, subject: string) => void = () => {},
) {
	const { door, bodies, mounts, onError } = house;
	const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
		const id = randomUUID();
		response.setHeader("x-request-id", id);
		let subject = "";
		try {
			if (internal && isUnder(request.url ?? "", "/internal")) {
				const caller = await identify(request, id, response);
				const call = takeApart(request, { signal: whileOpen(response), id, caller, intake: UNCOUNTED });
				return send(response, await answerInternal(door.store, door.publication, call));
			}
			const caller = await identify(request, id, response);
			subject = caller.subject;
			const mounted = mounts.find(([prefix]) => isUnder(request.url ?? "", prefix));
			if (mounted !== undefined)
				return await passOn(door.acts.rights, mounted, request, response, { caller, id, nowMs: door.now() });
			const intake = bodies.begin(caller, response);
			send(response, await answerPublic(door, takeApart(request, { signal: whileOpen(response), caller, id, intake })));
		} catch (error) {
			if (error instanceof NotPassedOn) onNotPassedOn(error, subject);
			if (!(error instanceof WeirError) || error.code === "internal") onError(error);
			sendError(response, error);
		}
	};
	return (request: IncomingMessage, response: ServerResponse) => void handle(request, response);
}

/** @param connections null = what TLS lies below counts them (tlsDoor.ts) */
export function withBounds<S extends Server | SecureServer>(made: S, connections: number | null): S {
	made.headersTimeout = 10_000;
	// A body may wait for its turn (forward.ts), for minutes behind its sender's own. While it is read, and once its request is answered,
	// well or not, it has bounds of its own (bodies.ts, unreadBody.ts).
	made.requestTimeout = 0;
	if (connections !== null) made.maxConnections = connections;
	return made;
}
