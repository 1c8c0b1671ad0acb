/** One request of any of the API's doors: who calls, whose business it is, and the answer. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Server as SecureServer } from "node:https";
import { WeirError } from "../../error.js";
import { API_REQUEST_MS_MAX } from "../../limits/index.js";
import { type ClientLimiter, TooManyRequests } from "../../trust/clients/clientLimiter.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { type AuditedCall, record } from "../audit/actRecord.js";
import type { Caller } from "./caller.js";
import { send, sendError, takeApart } from "./http.js";
import { answerInternal } from "./internalRoutes.js";
import { isUnder, type Mount, passOn } from "./mount.js";
import { type ApiServices, answerPublic } from "./publicRoutes.js";

/** What all doors share. */
export interface House {
	readonly door: ApiServices;
	readonly limiter: ClientLimiter;
	/** Of requests that stop traffic to a Variant: a client's other requests take nothing from it. */
	readonly stopLimiter: ClientLimiter;
	readonly mounts: readonly (readonly [string, Mount])[];
	readonly onCrowded: () => void;
	/** Must not throw. */
	readonly onLimited: (exceeded: TooManyRequests["exceeded"]) => void;
	/** Must not throw. */
	readonly onHandshakeFault: (fault: HandshakeFault) => void;
	readonly onError: (error: unknown) => void;
}

const STOPS = /^\/v1\/(experiments\/[^?]+\/(abort|pause)|rollback)(\?|$)/;

/** @param internal whether the roles' paths are answered here: on the socket, whose callers the file system has checked */
export function handler(
	house: House,
	identify: (request: IncomingMessage, id: string) => Promise<Caller>,
	internal: boolean,
) {
	const { door, mounts, onError } = house;
	const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
		const id = randomUUID();
		response.setHeader("x-request-id", id);
		const gone = new AbortController();
		response.once("close", () => gone.abort());
		try {
			const caller = await identify(request, id);
			const { method, url = "" } = request;
			if (internal && isUnder(url, "/internal")) {
				const call = takeApart(request, { signal: gone.signal, id, caller });
				return send(response, await answerInternal(door.store, door.publication, call));
			}
			const limiter = method === "POST" && STOPS.test(url) ? house.stopLimiter : house.limiter;
			await limiter.admit(caller.subject, response).catch((error) => {
				if (error instanceof TooManyRequests) recordLimited(house, { caller, id, nowMs: door.now() }, error);
				throw error;
			});
			const mounted = mounts.find(([prefix]) => isUnder(url, prefix));
			if (mounted !== undefined)
				return await passOn(door.operations.rights, mounted, request, response, { caller, id, nowMs: door.now() });
			send(response, await answerPublic(door, takeApart(request, { signal: gone.signal, caller, id })));
		} catch (error) {
			if (!(error instanceof WeirError) || error.code === "internal") onError(error);
			sendError(response, error);
		}
	};
	return (request: IncomingMessage, response: ServerResponse) => void handle(request, response);
}

/** In the audit log once a minute for each client. */
function recordLimited({ door, onLimited }: House, call: AuditedCall, { exceeded, message }: TooManyRequests): void {
	onLimited(exceeded);
	const { audit, current } = door.store;
	const what = { verb: "ask", namespaces: [], objects: ["the API"], revision: current.revision } as const;
	door.store.atomically(() => audit.appendOnce(record(call, { ...what, result: "refused", why: message })));
}

/** @param connections null = what TLS lies below counts them (tlsDoor.ts) */
export function withBounds<S extends Server | SecureServer>(made: S, connections: number | null): S {
	made.headersTimeout = 10_000;
	made.requestTimeout = API_REQUEST_MS_MAX;
	if (connections !== null) made.maxConnections = connections;
	return made;
}
