/** Handles one request of any API listener: authenticates the caller, applies limits and routes it. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Server as SecureServer } from "node:https";
import { WeirError } from "../../error.js";
import { type ClientLimiter, TooManyRequests } from "../../trust/clients/clientLimiter.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { type AuditedCall, record } from "../audit/actRecord.js";
import type { Caller } from "./caller.js";
import { parseRequest, send, sendError } from "./http.js";
import { answerInternal } from "./internalRoutes.js";
import { forward, isUnder, type Mount } from "./mount.js";
import { type ApiServices, answerPublic } from "./publicRoutes.js";

/** How long a request may take to arrive: a full body at 1.1 Mbit/s. */
export const API_REQUEST_MS_MAX = 30_000;

/** Shared by all listeners of the API. */
export interface ListenerContext {
	readonly api: ApiServices;
	readonly limiter: ClientLimiter;
	/** A separate limit for requests that stop traffic to a Variant, so other requests cannot block them. */
	readonly stopLimiter: ClientLimiter;
	readonly mounts: readonly (readonly [string, Mount])[];
	readonly onFull: () => void;
	/** Must not throw. */
	readonly onLimited: (exceeded: TooManyRequests["exceeded"]) => void;
	/** Must not throw. */
	readonly onHandshakeFault: (fault: HandshakeFault) => void;
	readonly onError: (error: unknown) => void;
}

const STOPS = /^\/v1\/(experiments\/[^?]+\/(abort|pause)|rollback)(\?|$)/;

/** @param internal whether `/internal` is served: only on the socket, which file permissions protect */
export function handler(
	context: ListenerContext,
	identify: (request: IncomingMessage, id: string) => Promise<Caller>,
	internal: boolean,
) {
	const { api, mounts, onError } = context;
	const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
		const id = randomUUID();
		response.setHeader("x-request-id", id);
		const gone = new AbortController();
		response.once("close", () => gone.abort());
		try {
			const caller = await identify(request, id);
			const { method, url = "" } = request;
			if (internal && isUnder(url, "/internal")) {
				const call = parseRequest(request, { signal: gone.signal, id, caller });
				return send(response, await answerInternal(api.store, call));
			}
			const limiter = method === "POST" && STOPS.test(url) ? context.stopLimiter : context.limiter;
			await limiter.admit(caller.subject, response).catch((error) => {
				if (error instanceof TooManyRequests) recordLimited(context, { caller, id, nowMs: api.now() }, error);
				throw error;
			});
			const mounted = mounts.find(([prefix]) => isUnder(url, prefix));
			if (mounted !== undefined)
				return await forward(api.operations.rights, mounted, request, response, { caller, id, nowMs: api.now() });
			send(response, await answerPublic(api, parseRequest(request, { signal: gone.signal, caller, id })));
		} catch (error) {
			if (!(error instanceof WeirError) || error.code === "internal") onError(error);
			sendError(response, error);
		}
	};
	return (request: IncomingMessage, response: ServerResponse) => void handle(request, response);
}

/** Audited once a minute for each client. */
function recordLimited(
	{ api, onLimited }: ListenerContext,
	call: AuditedCall,
	{ exceeded, message }: TooManyRequests,
): void {
	onLimited(exceeded);
	const { audit, current } = api.store;
	const what = { verb: "ask", namespaces: [], objects: ["the API"], revision: current.revision } as const;
	api.store.atomically(() => audit.appendOnce(record(call, { ...what, result: "refused", why: message })));
}

/** @param connections null = the TLS layer limits them (connectionLimits.ts) */
export function withBounds<S extends Server | SecureServer>(made: S, connections: number | null): S {
	made.headersTimeout = 10_000;
	made.requestTimeout = API_REQUEST_MS_MAX;
	if (connections !== null) made.maxConnections = connections;
	return made;
}
