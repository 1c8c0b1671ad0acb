/**
 * Ingest's HTTP doors. On the UNIX socket, for Weir's own processes: outcomes, aggregate queries, the decision log,
 * metrics and health. Over TCP, where asked for, with mTLS: outcomes and health only.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TlsOptions, Server as TlsServer } from "node:tls";
import type { EvidenceSource } from "../../decide/rollout/ports.js";
import { WeirError } from "../../error.js";
import {
	API_CONNECTIONS_MAX,
	EVENTS_DRAIN_MS,
	EVIDENCE_BODY_BYTES_MAX,
	NAMESPACES_HEADER_BYTES_MAX,
	REQUEST_ID_CHARS_MAX,
	REQUESTLESS_CONNECTION_MS,
} from "../../limits/index.js";
import { ClientLimiter, type ClientLimits } from "../../trust/clients/clientLimiter.js";
import { readBody } from "../../trust/clients/unreadBody.js";
import { claimSocket, restrictSocket } from "../../trust/local/socket.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { boundConnections } from "../../trust/tls/tlsDoor.js";
import type { RequestAccount } from "./accessLog/account.js";
import { EVIDENCE_PATHS } from "./client.js";
import { type ReadNamespaces, readNamespacesOf } from "./decisions/readNamespaces.js";
import { parseBaselineQuery, parseEvidenceQuery } from "./evidence/query.js";
import { QueryQueue } from "./evidence/queryQueue.js";
import { answerError, answerJson, HttpProblem } from "./http.js";
import type { Log } from "./meter.js";
import type { Outcomes } from "./outcomes/outcomes.js";
import { type Sender, senderOfId, senderOnSocket } from "./outcomes/sender.js";

export interface Doors {
	readonly outcomes: Outcomes;
	readonly evidence: EvidenceSource;
	/** What is known of one request; null = nothing. */
	readonly account: (requestId: string) => Promise<RequestAccount | null>;
	/** The decision log, by the parameters of decisionQuery.ts. */
	readonly decisions: (query: URLSearchParams, namespaces: ReadNamespaces) => Promise<unknown>;
	/** Tokens with unknown keys, by Gateway. */
	readonly unknownKeys: () => Readonly<Record<string, number>>;
	/** The process's metrics as JSON, for whoever gathers them (telemetry's form); null = none kept. */
	readonly metricsJson: (() => Promise<unknown>) | null;
	/** Told of each TLS handshake at the TCP door that failed. */
	readonly handshakeFailed: (fault: HandshakeFault) => void;
	readonly log: Log;
}

interface Route {
	readonly method: "GET" | "POST";
	readonly answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
}

export interface Listening {
	/** 0 on a UNIX socket. */
	readonly port: number;
	/** Stops taking connections, and resolves when the requests under way are answered or have had their time. */
	close(): Promise<void>;
}

/** Node's own bound, and room for what the API says of a reader. */
const HEADERS_BYTES_MAX = 16 * 1024 + NAMESPACES_HEADER_BYTES_MAX;

/** Listens on the socket path (0600). Throws `already-exists` where another process answers there. */
export async function serveSocket(path: string, doors: Doors): Promise<Listening> {
	await claimSocket(path);
	const routes = { ...publicRoutes(doors, senderOnSocket), ...ownRoutes(doors) };
	const server = createServer({ maxHeaderSize: HEADERS_BYTES_MAX });
	const listening = await listen(server, routes, doors.log, (ready) => server.listen(path, ready));
	await restrictSocket(path);
	return listening;
}

/** A door for senders that are not on this machine, or not of this user. */
export interface OutcomesTcp {
	readonly address: string;
	/** 0 = any. */
	readonly port: number;
	/** Must demand client certificates that it verifies. */
	readonly tls: TlsOptions;
	/** SPIFFE id of the sender's verified certificate; null = it proves none, or passes on what somebody else sends. */
	readonly peer: (request: IncomingMessage) => string | null;
	/** Given the server once it exists, to renew its certificates; what it returns is called at the end. */
	readonly follow?: (server: TlsServer) => () => void;
	/** Of each sender; Weir's own where absent. */
	readonly clientLimits?: Partial<ClientLimits>;
}

/** @throws WeirError `invalid-argument` for a door that would let in clients without a certificate */
export async function serveOutcomesTcp(door: OutcomesTcp, doors: Doors): Promise<Listening> {
	const { address, port, tls, peer, follow, clientLimits } = door;
	if (tls.requestCert !== true || tls.rejectUnauthorized === false) {
		throw new WeirError("invalid-argument", "outcomes are taken over mTLS only", "demand client certificates");
	}
	const server = createTlsServer({ ...tls });
	const connections = boundConnections(server, {
		connections: API_CONNECTIONS_MAX,
		unaskedMs: REQUESTLESS_CONNECTION_MS,
		onHandshakeFault: doors.handshakeFailed,
	});
	// A connection outlives the certificate that it was opened with; who sends by it then is nobody.
	const limiter = new ClientLimiter(clientLimits);
	const routes = publicRoutes(doors, async (request, response) => {
		const id = connections.leftMs(request.socket) > 0 ? peer(request) : null;
		if (id !== null) await limiter.admit(id, response);
		return senderOfId(id);
	});
	server.prependListener("request", ({ socket }: IncomingMessage, response: ServerResponse) => {
		if (connections.isOld(socket)) response.setHeader("connection", "close");
	});
	const stop = follow?.(server) ?? ((): void => undefined);
	const listening = await listen(server, routes, doors.log, (ready) => server.listen(port, address, ready));
	return {
		port: listening.port,
		close: async () => {
			stop();
			await listening.close();
		},
	};
}

type Routes = Readonly<Record<string, Route>>;

function publicRoutes(
	{ outcomes }: Doors,
	senderOf: (request: IncomingMessage, response: ServerResponse) => Sender | Promise<Sender>,
): Routes {
	return {
		"/v1/outcomes": {
			method: "POST",
			async answer(request, response) {
				const { status, body, replayed } = await outcomes.post(request, await senderOf(request, response));
				// As IETF draft-ietf-httpapi-idempotency-key and common APIs mark it.
				if (replayed) response.setHeader("idempotency-replayed", "true");
				answerJson(response, status, body);
			},
		},
		"/healthz": { method: "GET", answer: async (_, response) => answerJson(response, 200, '{"status":"ok"}') },
	};
}

function ownRoutes({ evidence, account, decisions, unknownKeys, metricsJson }: Doors): Routes {
	const queue = new QueryQueue();
	const query = <Query>(
		asker: "loop" | "people",
		parse: (json: unknown) => Query,
		run: (query: Query) => Promise<unknown>,
	): Route => ({
		method: "POST",
		async answer(request, response) {
			const parsed = parse(parseQueryJson(await readBody(request, EVIDENCE_BODY_BYTES_MAX)));
			await queue.run(asker, response, async () => answerJson(response, 200, JSON.stringify(await run(parsed))));
		},
	});
	// Apart from evidence: it is read by a connection of its own.
	const decisionLog = new QueryQueue();
	const question = (answer: Route["answer"]): Route => ({
		method: "GET",
		answer: (request, response) => decisionLog.run("people", response, () => answer(request, response)),
	});
	return {
		[EVIDENCE_PATHS.loop]: query("loop", parseEvidenceQuery, (parsed) => evidence.evidence(parsed)),
		[EVIDENCE_PATHS.readers]: query("people", parseEvidenceQuery, (parsed) => evidence.evidence(parsed)),
		"/v1/requests": question(async (request, response) => {
			const query = new URL(request.url ?? "", "http://ingest").searchParams;
			answerJson(response, 200, JSON.stringify(await decisions(query, readNamespacesOf(request))));
		}),
		// One request's account is asked for by its id: /v1/requests/ID.
		[REQUESTS]: question(async (request, response) => {
			const found = await account(requestIdOf(request.url ?? ""));
			if (found === null) throw new WeirError("not-found", "no request is known by that id", UNKNOWN_REQUEST);
			answerJson(response, 200, JSON.stringify(found));
		}),
		"/baseline-quantile": query("loop", parseBaselineQuery, (parsed) => evidence.baselineQuantile(parsed)),
		"/unknown-keys": {
			method: "GET",
			answer: async (_, response) => answerJson(response, 200, JSON.stringify(unknownKeys())),
		},
		...(metricsJson === null
			? {}
			: {
					"/metrics-json": {
						method: "GET",
						answer: async (_: IncomingMessage, response: ServerResponse) =>
							answerJson(response, 200, JSON.stringify(await metricsJson())),
					} satisfies Route,
				}),
	};
}

/** The path under which a request's account lies; its last segment is the request id. */
const REQUESTS = "/v1/requests/";
const UNKNOWN_REQUEST =
	"it is the x-request-id of the response; a request is known when it has ended, and only recent ones are kept, none that Envoy refused before it made an id; decisions are kept for longer: weir audit requests --request ID";

/** @throws WeirError `invalid-argument` for what is no request id */
function requestIdOf(url: string): string {
	const segment = url.slice(REQUESTS.length).split("?", 1)[0] ?? "";
	let id = "";
	try {
		id = decodeURIComponent(segment);
	} catch {
		// Refused below: an empty id is none.
	}
	if (id === "" || id.length > REQUEST_ID_CHARS_MAX) {
		throw new WeirError("invalid-argument", "that is no request id", "GET /v1/requests/ID");
	}
	return id;
}

function parseQueryJson(bytes: Buffer): unknown {
	try {
		return JSON.parse(bytes.toString("utf8")) as unknown;
	} catch (thrown) {
		throw new WeirError("invalid-argument", "the query is not JSON", "", { cause: thrown });
	}
}

async function listen(
	server: Server,
	routes: Routes,
	log: Log,
	start: (ready: () => void) => void,
): Promise<Listening> {
	const underWay = new Set<ServerResponse>();
	server.on("request", (request: IncomingMessage, response: ServerResponse) => {
		underWay.add(response.once("close", () => underWay.delete(response)));
		void serve(routes, log, request, response);
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", (error) =>
			reject(new WeirError("unavailable", `cannot listen: ${error.message}`, "", { cause: error })),
		);
		start(resolve);
	});
	const address = server.address() as AddressInfo | string | null;
	return {
		port: typeof address === "object" && address !== null ? address.port : 0,
		close: () =>
			new Promise((resolve) => {
				const timer = setTimeout(() => server.closeAllConnections(), EVENTS_DRAIN_MS);
				server.close(() => {
					clearTimeout(timer);
					resolve();
				});
				// Node holds the door open for as long as a client keeps its connection.
				for (const response of underWay) if (!response.headersSent) response.setHeader("connection", "close");
				server.closeIdleConnections();
			}),
	};
}

async function serve(routes: Routes, log: Log, request: IncomingMessage, response: ServerResponse): Promise<void> {
	try {
		const whole = (request.url ?? "").split("?", 1)[0] ?? "";
		const path = whole.startsWith(REQUESTS) ? REQUESTS : whole;
		const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
		if (route === undefined) throw new WeirError("not-found", "no such path", Object.keys(routes).join(", "));
		if (request.method !== route.method) {
			response.setHeader("allow", route.method);
			throw new HttpProblem(405, "the method is not allowed here", `use ${route.method}`);
		}
		await route.answer(request, response);
	} catch (thrown) {
		const error = answerError(response, thrown);
		if (error.code === "internal") log.error("a request failed", { error: error.message });
	}
}
