/** The API's TCP door: who calls proves it by a certificate or a token, and who does not is recorded. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { createServer, type Server } from "node:https";
import { shownPath } from "../../compile/access/requests/shownPath.js";
import { WeirError } from "../../error.js";
import { API_CONNECTIONS_MAX, HANDSHAKE_FAULTS_RECORDED_MS, REQUESTLESS_CONNECTION_MS } from "../../limits/index.js";
import { Digest } from "../../trust/clients/digest.js";
import { type HandshakeFault, toldFault } from "../../trust/tls/handshake.js";
import { PROVED_EACH_TIME } from "../../trust/tls/tls.js";
import { boundConnections, type Crowd, type DoorConnections } from "../../trust/tls/tlsDoor.js";
import { record } from "../audit/actRecord.js";
import { type Caller, callerOf, type ListenerTls, type TcpListener } from "./caller.js";
import { type House, handler, withBounds } from "./handler.js";
import { checkOrigin } from "./http.js";

/** HTTPS, whose caller each request must prove; it does not listen yet. */
export function secureServer(house: House, tcp: TcpListener): Server {
	const { tls, tokens } = tcp;
	// With tokens a client certificate is asked for and not demanded: callerOf looks whether its chain holds.
	const made = createServer({
		...secureContext(tls),
		requestCert: true,
		rejectUnauthorized: tokens === undefined,
	});
	const handshakes = failedHandshakes(house);
	made.once("close", () => handshakes.close());
	const connections = boundConnections(made, {
		unaskedMs: REQUESTLESS_CONNECTION_MS,
		connections: API_CONNECTIONS_MAX,
		provedBy: "request",
		onHandshakeFault: (fault) => {
			house.onHandshakeFault(fault);
			handshakes.add(fault);
		},
		onCrowded: (crowd) => {
			try {
				house.onCrowded();
				recordCrowd(house, crowd);
			} catch (error) {
				house.onError(error);
			}
		},
	});
	const handle = handler(house, (request, id) => strangerOf(house, tcp, connections, request, id), false);
	made.on("request", (request, response) => {
		if (connections.isOld(request.socket)) response.setHeader("connection", "close");
		handle(request, response);
	});
	return withBounds(made, null);
}

export function secureContext(tls: ListenerTls) {
	return { ...tls, ...PROVED_EACH_TIME };
}

/** Who calls by TCP; who is not known is recorded and refused. */
async function strangerOf(
	house: House,
	tcp: TcpListener,
	connections: DoorConnections,
	request: IncomingMessage,
	id: string,
): Promise<Caller> {
	checkOrigin(request);
	try {
		const caller = await callerOf(tcp, request, connections.leftMs(request.socket));
		connections.prove(request.socket, caller.subject);
		return caller;
	} catch (thrown) {
		const path = (request.url ?? "").split("?", 1)[0] ?? "";
		recordStranger(house, id, request.method ?? "", shownPath(path).slice(0, 200), WeirError.from(thrown).message);
		throw thrown;
	}
}

function recordStranger({ door }: House, call: string, verb: string, object: string, why: string): void {
	const { revision } = door.store.current;
	const who = { caller: { subject: null, how: null }, nowMs: door.now(), id: call };
	const made = record(who, { verb, namespaces: [], objects: [object], revision, result: "refused", why });
	door.store.atomically(() => door.store.audit.append(made));
}

/** One record a minute stands for all of them. */
function recordCrowd({ door }: House, { id, held, most }: Crowd): void {
	const { revision } = door.store.current;
	const who = { caller: { subject: id, how: null }, nowMs: door.now(), id: randomUUID() };
	const why = `it held ${held} of ${most} connections, and the door was full: one of them was ended`;
	const made = record(who, { ...CONNECTING, revision, result: "refused", why });
	door.store.atomically(() => door.store.audit.appendOnce(made));
}

const CONNECTING = { verb: "connect", namespaces: [], objects: ["the API's TCP door"] };

/** A handshake that failed for want of a good certificate is an attempt too. One record a minute stands for all of a reason. */
const failedHandshakes = (house: House): Digest<HandshakeFault> =>
	new Digest((fault, times) => {
		try {
			recordStranger(house, randomUUID(), CONNECTING.verb, String(CONNECTING.objects[0]), toldFault(fault, times));
		} catch (error) {
			house.onError(error);
		}
	}, HANDSHAKE_FAULTS_RECORDED_MS);
