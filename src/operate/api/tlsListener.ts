/** The API's HTTPS listener. Each request is authenticated by a certificate or a token; failures are audited. */

import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { createServer, type Server } from "node:https";
import { WeirError } from "../../error.js";
import { API_CONNECTIONS_MAX, HANDSHAKE_FAULTS_RECORDED_MS } from "../../limits/index.js";
import { ReportThrottle } from "../../trust/clients/reportThrottle.js";
import { type LargestClient, type LimitedConnections, limitConnections } from "../../trust/tls/connectionLimits.js";
import { describeFault, type HandshakeFault } from "../../trust/tls/handshake.js";
import { TLS_OPTIONS } from "../../trust/tls/tls.js";
import { record } from "../audit/actRecord.js";
import type { Caller } from "../callers/caller.js";
import { callerOf, type ListenerTls, type TcpListener } from "./caller.js";
import { type ListenerContext, serveApi, withBounds } from "./handler.js";
import { auditedPath, checkOrigin } from "./http.js";

/** How long an authenticated connection may send no first request, where the listener sees requests. */
export const REQUESTLESS_CONNECTION_MS = 30_000;

/** Creates the HTTPS server; it does not listen yet. */
export async function secureServer(context: ListenerContext, tcp: TcpListener): Promise<Server> {
	const { tls, tokens } = tcp;
	// With tokens a client certificate is requested but not required: callerOf checks its chain.
	const made = createServer({
		...secureContext(tls),
		requestCert: true,
		rejectUnauthorized: tokens === undefined,
	});
	const handshakes = failedHandshakes(context);
	made.once("close", () => handshakes.close());
	const connections = limitConnections(made, {
		unaskedMs: REQUESTLESS_CONNECTION_MS,
		connections: API_CONNECTIONS_MAX,
		authenticatedBy: "request",
		onHandshakeFault: (fault) => {
			context.onHandshakeFault(fault);
			handshakes.add(fault);
		},
		onFull: (client) => {
			try {
				context.onFull();
				recordFull(context, client);
			} catch (error) {
				context.onError(error);
			}
		},
	});
	made.on("request", (request, response) => {
		if (connections.isOld(request.socket)) response.setHeader("connection", "close");
	});
	const identify = (request: IncomingMessage, id: string) => authenticate(context, tcp, connections, request, id);
	return serveApi(withBounds(made, null), context, identify);
}

export function secureContext(tls: ListenerTls) {
	return { ...tls, ...TLS_OPTIONS };
}

/** Authenticates the caller; a failure is audited. */
async function authenticate(
	context: ListenerContext,
	tcp: TcpListener,
	connections: LimitedConnections,
	request: IncomingMessage,
	id: string,
): Promise<Caller> {
	checkOrigin(request);
	try {
		const caller = await callerOf(tcp, request, connections.leftMs(request.socket));
		connections.prove(request.socket, caller.subject);
		return caller;
	} catch (thrown) {
		const { message } = WeirError.from(thrown);
		recordUnauthenticated(context, id, request.method ?? "", auditedPath(request), message);
		throw thrown;
	}
}

function recordUnauthenticated(
	{ api }: ListenerContext,
	call: string,
	verb: string,
	object: string,
	why: string,
): void {
	const { revision } = api.store.current;
	const who = { caller: { subject: null, how: null }, nowMs: api.now(), id: call };
	const made = record(who, { verb, namespaces: [], objects: [object], revision, result: "refused", why });
	api.store.atomically(() => api.store.audit.append(made));
}

/** One record a minute covers all of them. */
function recordFull({ api }: ListenerContext, { id, held, most }: LargestClient): void {
	const { revision } = api.store.current;
	const who = { caller: { subject: id, how: null }, nowMs: api.now(), id: randomUUID() };
	const why = `it held ${held} of ${most} connections, and the listener was full: one of them was closed`;
	const made = record(who, { ...CONNECTING, revision, result: "refused", why });
	api.store.atomically(() => api.store.audit.appendOnce(made));
}

const CONNECTING = { verb: "connect", namespaces: [], objects: ["the API's TCP listener"] };

/** Failed handshakes are audited too: one record a minute for each reason. */
const failedHandshakes = (context: ListenerContext): ReportThrottle<HandshakeFault> =>
	new ReportThrottle((fault, times) => {
		try {
			recordUnauthenticated(
				context,
				randomUUID(),
				CONNECTING.verb,
				String(CONNECTING.objects[0]),
				describeFault(fault, times),
			);
		} catch (error) {
			context.onError(error);
		}
	}, HANDSHAKE_FAULTS_RECORDED_MS);
