/**
 * Ingest's HTTP server on its UNIX socket, for Weir's own processes: outcomes (also those that the API forwards), aggregate
 * queries, the access record log, metrics and health.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { EvidenceSource } from "../../decide/rollout/ports.js";
import { WeirError } from "../../error.js";
import { NAMESPACES_HEADER_BYTES_MAX, REQUEST_ID_CHARS_MAX } from "../../limits/index.js";
import { readBody } from "../../trust/clients/unreadBody.js";
import { claimSocket, restrictSocket } from "../../trust/local/socket.js";
import { EVIDENCE_PATHS } from "./client.js";
import { parseBaselineQuery, parseEvidenceQuery } from "./evidence/evidenceQuery.js";
import { answerError, answerJson, HttpProblem } from "./http.js";
import type { Log } from "./meter.js";
import type { RequestAccount } from "./query/account.js";
import { QueryQueue } from "./query/queryQueue.js";
import { type ReadNamespaces, readNamespacesOf } from "./query/readNamespaces.js";
import type { Outcomes } from "./receive/outcomes/outcomes.js";
import { senderOnSocket } from "./receive/outcomes/sender.js";

/** How long a stopping ingest waits for requests in progress: less than CLOSE_MS. */
export const EVENTS_DRAIN_MS = 1_000;

/** Body of one aggregate query: a few hundred metrics. */
const EVIDENCE_BODY_BYTES_MAX = 256 * 1024;

export interface IngestServices {
	readonly outcomes: Outcomes;
	readonly evidence: EvidenceSource;
	/** The account of one request; null = unknown request. */
	readonly account: (requestId: string) => Promise<RequestAccount | null>;
	/** Queries the access record log; see accessRecordQuery.ts for parameters. */
	readonly accessRecords: (query: URLSearchParams, namespaces: ReadNamespaces) => Promise<unknown>;
	/** Tokens with unknown keys, by Gateway. */
	readonly unknownKeys: () => Readonly<Record<string, number>>;
	/** The process's metrics as JSON (telemetry's format). */
	readonly metricsJson: () => Promise<unknown>;
	readonly log: Log;
}

interface Route {
	readonly method: "GET" | "POST";
	readonly answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>;
}

export interface Listening {
	/** Stops accepting connections; resolves when running requests are answered or timed out. */
	close(): Promise<void>;
}

/** Node's default limit plus the API's namespaces header. */
const HEADERS_BYTES_MAX = 16 * 1024 + NAMESPACES_HEADER_BYTES_MAX;

/** Listens on the socket path (0600). Throws `already-exists` if another process listens there. */
export async function serveSocket(path: string, services: IngestServices): Promise<Listening> {
	await claimSocket(path);
	const server = createServer({ maxHeaderSize: HEADERS_BYTES_MAX });
	const listening = await listen(server, routesOf(services), services.log, path);
	await restrictSocket(path);
	return listening;
}

type Routes = Readonly<Record<string, Route>>;

function routesOf({ outcomes, evidence, account, accessRecords, unknownKeys, metricsJson }: IngestServices): Routes {
	const queue = new QueryQueue();
	const query = <Query>(
		queryClass: "loop" | "users",
		parse: (json: unknown) => Query,
		run: (query: Query) => Promise<unknown>,
	): Route => ({
		method: "POST",
		async answer(request, response) {
			const parsed = parse(parseQueryJson(await readBody(request, EVIDENCE_BODY_BYTES_MAX)));
			await queue.run(queryClass, response, async () => answerJson(response, 200, JSON.stringify(await run(parsed))));
		},
	});
	// Separate from evidence: it uses its own store connection.
	const readers = new QueryQueue();
	const question = (answer: Route["answer"]): Route => ({
		method: "GET",
		answer: (request, response) => readers.run("users", response, () => answer(request, response)),
	});
	return {
		"/v1/outcomes": {
			method: "POST",
			async answer(request, response) {
				const { status, body, replayed } = await outcomes.post(request, senderOnSocket(request));
				// See IETF draft-ietf-httpapi-idempotency-key.
				if (replayed) response.setHeader("idempotency-replayed", "true");
				answerJson(response, status, body);
			},
		},
		"/healthz": { method: "GET", answer: async (_, response) => answerJson(response, 200, '{"status":"ok"}') },
		[EVIDENCE_PATHS.loop]: query("loop", parseEvidenceQuery, (parsed) => evidence.evidence(parsed)),
		[EVIDENCE_PATHS.readers]: query("users", parseEvidenceQuery, (parsed) => evidence.evidence(parsed)),
		"/v1/requests": question(async (request, response) => {
			const query = new URL(request.url ?? "", "http://ingest").searchParams;
			answerJson(response, 200, JSON.stringify(await accessRecords(query, readNamespacesOf(request))));
		}),
		// The account of one request has its own path: /v1/requests/ID.
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
		"/metrics-json": {
			method: "GET",
			answer: async (_, response) => answerJson(response, 200, JSON.stringify(await metricsJson())),
		},
	};
}

/** Path prefix of a request's account; the last segment is the request id. */
const REQUESTS = "/v1/requests/";
const UNKNOWN_REQUEST =
	"it is the x-request-id of the response; a request is known when it has ended, and only recent ones are kept, none that Envoy refused before it made an id; decisions are kept for longer: weir audit requests --request ID";

/** @throws WeirError `invalid-argument` for an invalid request id */
function requestIdOf(url: string): string {
	const segment = url.slice(REQUESTS.length).split("?", 1)[0] ?? "";
	let id = "";
	try {
		id = decodeURIComponent(segment);
	} catch {
		// An empty id is refused below.
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

async function listen(server: Server, routes: Routes, log: Log, path: string): Promise<Listening> {
	const underWay = new Set<ServerResponse>();
	server.on("request", (request: IncomingMessage, response: ServerResponse) => {
		underWay.add(response.once("close", () => underWay.delete(response)));
		void serve(routes, log, request, response);
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", (error) =>
			reject(new WeirError("unavailable", `cannot listen: ${error.message}`, "", { cause: error })),
		);
		server.listen(path, resolve);
	});
	return {
		close: () =>
			new Promise((resolve) => {
				const timer = setTimeout(() => server.closeAllConnections(), EVENTS_DRAIN_MS);
				server.close(() => {
					clearTimeout(timer);
					resolve();
				});
				// Node keeps the server open as long as a client keeps its connection.
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
