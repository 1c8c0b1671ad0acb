/** Serves the API on a listener: authenticates the caller of each request, applies limits and routes it. */
import { randomUUID } from "node:crypto";
import { type IncomingMessage, maxHeaderSize, type Server, type ServerResponse } from "node:http";
import type { Server as SecureServer } from "node:https";
import { type FastifyError, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { WeirError } from "../../error.js";
import { type ClientLimiter, TooManyRequests } from "../../trust/clients/clientLimiter.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { type AuditedCall, record } from "../audit/actRecord.js";
import type { Caller } from "../callers/caller.js";
import { type Call, send, sendError } from "./http.js";
import { forward, isUnder, type Mount } from "./mount.js";
import { type ApiServices, publicRoutes } from "./publicRoutes.js";
import type { Route } from "./route.js";

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

/**
 * Answers the requests of a server, in this order: authentication, the client's limits, then a mounted path or a route,
 * whose rights come before its body. Bodies are read by the routes alone.
 * @param internal routes under /internal, without limits: only for the socket, which file permissions protect
 */
export async function serveApi<S extends Server | SecureServer>(
	server: S,
	context: ListenerContext,
	identify: (request: IncomingMessage, id: string) => Promise<Caller>,
	internal: readonly Route[] = [],
): Promise<S> {
	const admit = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
		const { raw, id } = request;
		reply.raw.setHeader("x-request-id", id);
		request.caller = await identify(raw, id);
		const { url = "" } = raw;
		if (!url.startsWith("/")) throw new WeirError("invalid-argument", "the request target must be a path");
		if (internal.length > 0 && isUnder(url, "/internal")) return;
		const call = { caller: request.caller, id, nowMs: context.api.now() };
		await limit(context, call, reply.raw);
		const mounted = context.mounts.find(([prefix]) => isUnder(url, prefix));
		if (mounted === undefined) return;
		await forward(context.api.operations.rights, mounted, raw, reply.raw, call);
		reply.hijack();
	};
	const fail = (error: unknown, reply: FastifyReply): void => {
		if (!(error instanceof WeirError) || error.code === "internal") context.onError(error);
		reply.hijack();
		sendError(reply.raw, error);
	};
	const routes = [...publicRoutes(context.api), ...internal];
	const app = fastify({
		serverFactory: (listener) => server.on("request", listener) as Server,
		genReqId: () => randomUUID(),
		exposeHeadRoutes: false,
		routerOptions: { maxParamLength: maxHeaderSize },
		// zod checks requests. Loading fastify's own compilers would take 30 ms of each start.
		schemaController: { compilersFactory: { buildValidator: noCompiler, buildSerializer: noCompiler } },
		// The path is not well percent-encoded.
		frameworkErrors: (_, request, reply) =>
			void admit(request, reply)
				.then(() => (reply.sent ? undefined : fail(BAD_PATH, reply)))
				.catch((error) => fail(error, reply)),
	});
	app.decorateRequest("caller");
	app.addHook("onRequest", admit);
	app.removeAllContentTypeParsers();
	app.addContentTypeParser("*", (_request, _body, done) => done(null));
	// fastify's own errors have a status: such as a Content-Type that cannot be parsed.
	app.setErrorHandler<FastifyError>((error, _, reply) =>
		fail(error.statusCode === undefined ? error : new WeirError("invalid-argument", error.message), reply),
	);
	app.setNotFoundHandler(({ raw }, reply) => {
		const path = raw.url?.split("?", 1)[0] ?? "";
		const noun = path.split("/")[2];
		const near = routes.filter(({ url }) => url.split("/")[2] === noun).map(({ method, url }) => `${method} ${url}`);
		fail(new WeirError("not-found", `no ${raw.method} ${path.slice(0, 200)} here`, near.join(", ")), reply);
	});
	for (const { method, url, run } of routes) {
		const handler = async ({ raw, params, query, caller, id }: FastifyRequest, reply: FastifyReply) => {
			const answer = await run({ request: raw, params: params as Call["params"], query, caller, id });
			reply.hijack();
			send(reply.raw, answer);
		};
		app.route({ method, url, handler });
	}
	await app.ready();
	return server;
}

declare module "fastify" {
	interface FastifyRequest {
		caller: Caller;
	}
}

const noCompiler = (): never => {
	throw new WeirError("internal", "routes have no JSON schemas");
};

const BAD_PATH = new WeirError("invalid-argument", "the path is not well percent-encoded");

/** @throws TooManyRequests, audited */
async function limit(context: ListenerContext, call: AuditedCall, response: ServerResponse): Promise<void> {
	const { method, url = "" } = response.req;
	// A supervisor restarts control by it, also beside a flood under its own identity; the answer costs nothing.
	if (method === "GET" && url === "/healthz") return;
	const limiter = method === "POST" && STOPS.test(url) ? context.stopLimiter : context.limiter;
	await limiter.admit(call.caller.subject, response).catch((error) => {
		if (error instanceof TooManyRequests) recordLimited(context, call, error);
		throw error;
	});
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
