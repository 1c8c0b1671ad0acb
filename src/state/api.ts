/**
 * The api role's doors over one Store: a UNIX socket for this machine's owner and the other roles of control, and,
 * where an identity is composed, HTTPS for everybody else. What belongs to other roles (outcomes, traces, metrics) is
 * mounted by the composition and gets the request as it came and who sent it, after the same check of the caller.
 */
import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type Server as SecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import type { TLSSocket } from "node:tls";
import { WeirError } from "../error.js";
import {
	ACTS_AT_ONCE_MAX,
	ACTS_PER_HOUR_MAX,
	API_CONNECTIONS_MAX,
	READING_MS_AT_ONCE_MAX,
	READING_MS_PER_HOUR_MAX,
	SOCKET_PATH_BYTES_MAX,
	UNASKED_CONNECTION_MS,
} from "../limits.js";
import { isLoopbackHost } from "../resources/host.js";
import type { EvidenceSource, Unheld, Webhook } from "../rollout/ports.js";
import { requireOwnFolder } from "../socket.js";
import { PROVED_EACH_TIME } from "../tls.js";
import { boundConnections, type Crowd, type DoorConnections } from "../tlsDoor.js";
import { type ActCall, record } from "./actRecord.js";
import { Acts } from "./acts.js";
import { Approvals } from "./approvals.js";
import { Bodies, UNCOUNTED } from "./bodies.js";
import { type Caller, callerOf, type DoorTls, type TcpDoor } from "./caller.js";
import { checkLoopback, checkOrigin, demandNoBody, MethodNotAllowed, send, sendError, takeApart } from "./http.js";
import { answerInternal } from "./internalDoor.js";
import { ALL_NAMESPACES, Permissions } from "./permissions.js";
import { PromotionGates } from "./promotionGates.js";
import { Publication } from "./publication.js";
import { answerPublic, type PublicDoor } from "./publicDoor.js";
import { Rights } from "./rights.js";
import type { Store } from "./store.js";
import { SubjectBudget } from "./subjectBudget.js";
import type { GatewayAlarm } from "./wire.js";

/** @param readable only with `needs: "namespaces"`: those that the caller may read; null = all, and what belongs to none */
export type Handle = (
	request: IncomingMessage,
	response: ServerResponse,
	caller: Caller,
	readable?: readonly string[] | null,
) => void;

/**
 * A bare function needs `read` in all namespaces, by GET or HEAD. identity: any caller that is known; the owner judges
 * the rest. namespaces: `read` in some; the owner answers of these alone. Other methods are refused here, and bodies of which nothing is said: no owner meets them.
 */
export type Mount =
	| Handle
	| {
			readonly handle: Handle;
			readonly needs: "identity" | "read" | "namespaces";
			/** Those that the owner serves. */
			readonly methods: readonly string[];
			/** Whether a request may have a body. */
			readonly takesBody?: boolean;
			/**
			 * It does something, by that very path: the verb under which callers stand in the operators' audit.
			 */
			readonly recorded?: string;
	  };

export interface ApiOptions {
	readonly store: Store;
	/** Path of the UNIX socket; its directory is made with mode 0700, so that who reaches it is the owner. */
	readonly socket: string;
	/** null or absent: the UNIX socket only. */
	readonly tcp?: TcpDoor | null;
	/** For unit tests only: plain HTTP on the loopback, where anyone on this machine is the local owner. */
	readonly insecureLoopback?: { readonly address: string; readonly port: number };
	/** Subject of who comes by the UNIX socket; `local:UID` by default. */
	readonly owner?: string;
	/** Subjects that may do everything without a RoleBinding. */
	readonly admins?: readonly string[];
	/** How often subjects may act; one of its own by default. */
	readonly actBudget?: SubjectBudget;
	/** Milliseconds that subjects' declarations may take to be read; one of its own by default. */
	readonly readingBudget?: SubjectBudget;
	/** What bodies may take; bounds of its own by default. */
	readonly bodies?: Bodies;
	/** Asks the gates of a promotion by a person. Absent: an Experiment with gates is promoted by an override only. */
	readonly webhook?: Webhook;
	/** Asked for how an Experiment stands. Absent: what the decisions were made on must do. */
	readonly evidence?: EvidenceSource;
	/** By path prefix of whole segments, e.g. `/v1/outcomes`, `/v1/traces`, `/metrics`; the longest wins. */
	readonly mounts?: Readonly<Record<string, Mount>>;
	/** Why control is not ready, one sentence each; empty = ready. */
	readonly ready?: () => readonly string[];
	/** What xds published of the store's state; one of its own by default. */
	readonly publication?: Publication;
	/** What the probe says of all Gateways; null = it does not answer. Absent: there is none. Never rejects. */
	readonly alarms?: () => Promise<readonly GatewayAlarm[] | null>;
	/** Requests whose tokens give no unit, by Service. Absent: nobody counts them. Never rejects. */
	readonly unheld?: () => Promise<Readonly<Record<string, readonly Unheld[]>>>;
	readonly now?: () => number;
	/** Told of every connection of the TCP door that was ended to make room for another's. */
	readonly onCrowded?: () => void;
	/** Told of every failure that is answered as `internal`. */
	readonly onError?: (error: unknown) => void;
}

export interface Api {
	/** `https://127.0.0.1:PORT`, or `unix:PATH` without a TCP door. */
	readonly url: string;
	readonly socket: string;
	/** Takes a new certificate for new connections; those that are open stay. */
	renew(tls: DoorTls): void;
	/** Ends both doors and every long poll; the Store stays open. */
	close(): Promise<void>;
}

/**
 * Opens the doors; if one cannot open, none stays.
 * @throws WeirError `invalid-argument` for a plain door off the loopback, `unavailable` for an address that is taken.
 */
export async function startApi(options: ApiOptions): Promise<Api> {
	const { store, socket, tcp = null, insecureLoopback } = options;
	if (insecureLoopback !== undefined && !isLoopbackHost(insecureLoopback.address)) {
		throw new WeirError(
			"invalid-argument",
			`the API does not listen on ${insecureLoopback.address} without TLS`,
			"use 127.0.0.1 or ::1, or give it an identity",
		);
	}
	if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX) {
		throw new WeirError(
			"invalid-argument",
			`the socket path ${socket} is longer than ${SOCKET_PATH_BYTES_MAX} bytes`,
			"use a data directory with a shorter path",
		);
	}
	mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
	requireOwnFolder(dirname(socket));
	// A socket left by a killed process: the Store's lock says that nobody else listens on it.
	rmSync(socket, { force: true });

	const acts = new Acts(
		store,
		new Rights(store, new Permissions(options.admins), {
			acts: options.actBudget ?? new SubjectBudget(ACTS_AT_ONCE_MAX, ACTS_PER_HOUR_MAX),
			readingMs: options.readingBudget ?? new SubjectBudget(READING_MS_AT_ONCE_MAX, READING_MS_PER_HOUR_MAX),
		}),
	);
	const approvals = new Approvals(store, acts);
	const house: House = {
		door: {
			store,
			acts,
			approvals,
			gates: new PromotionGates(store, acts, options.webhook ?? NOBODY_ASKS),
			evidence: options.evidence ?? null,
			ready: options.ready ?? (() => []),
			publication: options.publication ?? new Publication(() => store.current.revision),
			alarms: options.alarms ?? (async () => []),
			unheld: options.unheld ?? (async () => ({})),
			now: options.now ?? Date.now,
		},
		bodies: options.bodies ?? new Bodies(),
		mounts: Object.entries(options.mounts ?? {}).sort(([a], [b]) => b.length - a.length),
		onCrowded: options.onCrowded ?? (() => {}),
		onError: options.onError ?? (() => {}),
	};
	const owner: Caller = {
		subject: options.owner ?? `local:${process.getuid?.() ?? "owner"}`,
		groups: [],
		how: "socket",
	};
	const local = withBounds(createServer(handler(house, async () => owner, true)), API_CONNECTIONS_MAX);
	const secure = tcp === null ? null : secureServer(house, tcp);
	secure?.on("tlsClientError", onHandshakeFailure(house));
	const plain =
		insecureLoopback === undefined
			? null
			: withBounds(
					createServer(
						handler(
							house,
							async (request) => {
								checkLoopback(request);
								return owner;
							},
							false,
						),
					),
					API_CONNECTIONS_MAX,
				);
	const outer = secure ?? plain;
	const outerAt = tcp ?? insecureLoopback;
	try {
		await listen(local, { path: socket });
		chmodSync(socket, 0o600);
		if (outer !== null && outerAt !== undefined && outerAt !== null) {
			await listen(outer, { host: outerAt.address, port: outerAt.port });
		}
	} catch (error) {
		await Promise.all([close(local), close(outer)]);
		throw new WeirError("unavailable", `the API cannot listen: ${(error as Error).message}`, "choose another port", {
			cause: error,
		});
	}
	return {
		url: outer === null ? `unix:${socket}` : urlOf(outer, secure !== null),
		socket,
		renew: (tls) => secure?.setSecureContext(secureContext(tls)),
		close: async () => {
			await Promise.all([close(local), close(outer)]);
		},
	};
}

const NOBODY_ASKS: Webhook = async () => ({ ok: false, why: "control has no way to ask" });

/** What all doors share. */
interface House {
	readonly door: PublicDoor;
	readonly bodies: Bodies;
	readonly mounts: readonly (readonly [string, Mount])[];
	readonly onCrowded: () => void;
	readonly onError: (error: unknown) => void;
}

/**
 * @param internal whether the roles' paths are answered here: on the socket, whose callers the file system has checked
 */
function handler(house: House, identify: (request: IncomingMessage, id: string) => Promise<Caller>, internal: boolean) {
	const { door, bodies, mounts, onError } = house;
	const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
		const id = randomUUID();
		response.setHeader("x-request-id", id);
		try {
			if (internal && isUnder(request.url ?? "", "/internal")) {
				const caller = await identify(request, id);
				const call = takeApart(request, { signal: whileOpen(response), id, caller, intake: UNCOUNTED });
				return send(response, await answerInternal(door.store, door.publication, call));
			}
			const caller = await identify(request, id);
			const mounted = mounts.find(([prefix]) => isUnder(request.url ?? "", prefix));
			if (mounted !== undefined) return passOn(door, mounted, request, response, { caller, id, nowMs: door.now() });
			const intake = bodies.begin(caller, response);
			send(response, await answerPublic(door, takeApart(request, { signal: whileOpen(response), caller, id, intake })));
		} catch (error) {
			if (!(error instanceof WeirError) || error.code === "internal") onError(error);
			sendError(response, error);
		}
	};
	return (request: IncomingMessage, response: ServerResponse) => void handle(request, response);
}

/** Aborts when the client goes away, or has. */
function whileOpen(response: ServerResponse): AbortSignal {
	const gone = new AbortController();
	if (response.destroyed) gone.abort();
	else response.once("close", () => gone.abort());
	return gone.signal;
}

function passOn(
	door: PublicDoor,
	[prefix, mount]: readonly [string, Mount],
	request: IncomingMessage,
	response: ServerResponse,
	call: ActCall,
): void {
	const { handle, needs, methods, takesBody, recorded }: Exclude<Mount, Handle> =
		typeof mount === "function" ? { handle: mount, needs: "read", methods: ["GET", "HEAD"] } : mount;
	const objects = [((request.url ?? "").split("?", 1)[0] ?? "").slice(0, 200)];
	if (needs === "read")
		door.acts.rights.demand(call, [{ verb: "read", namespace: ALL_NAMESPACES }], recorded ?? "read", objects);
	if (needs === "namespaces") door.acts.rights.demandSomeRead(call, objects);
	if (recorded !== undefined && request.url !== prefix) {
		throw new WeirError("not-found", `no ${objects[0]} here`, `ask for ${prefix}`);
	}
	if (!methods.includes(request.method ?? "")) {
		throw new MethodNotAllowed(`no ${request.method} of ${objects[0]} here`, methods);
	}
	if (takesBody !== true) demandNoBody(request);
	if (recorded !== undefined) door.acts.rights.recordDone(call, recorded, objects);
	if (needs === "namespaces") handle(request, response, call.caller, door.acts.rights.readable(call.caller));
	else handle(request, response, call.caller);
}

/** Who calls by TCP; who is not known is recorded and refused. */
async function strangerOf(
	house: House,
	tcp: TcpDoor,
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
		recordStranger(house, id, request.method ?? "", path.slice(0, 200), WeirError.from(thrown).message);
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

/** A handshake that failed for want of a good certificate is an attempt too; one that was merely cut is none. */
function onHandshakeFailure(house: House): (error: NodeJS.ErrnoException, socket: TLSSocket) => void {
	return (error, { authorizationError }) => {
		// Node cuts a connection whose certificate does not hold, and calls that a reset.
		const code = authorizationError == null ? error.code : String(authorizationError);
		if (code === undefined || code === "ECONNRESET") return;
		try {
			recordStranger(house, randomUUID(), CONNECTING.verb, String(CONNECTING.objects[0]), code.slice(0, 100));
		} catch (error) {
			house.onError(error);
		}
	};
}

function secureServer(house: House, tcp: TcpDoor): SecureServer {
	const { tls, tokens } = tcp;
	// With tokens a client certificate is asked for and not demanded: callerOf looks whether its chain holds.
	const options = { ...secureContext(tls), requestCert: true, rejectUnauthorized: tokens === undefined };
	const made = createSecureServer({ ...options, headersTimeout: 10_000, requestTimeout: 60_000 });
	const connections = boundConnections(made, {
		unaskedMs: UNASKED_CONNECTION_MS,
		connections: API_CONNECTIONS_MAX,
		provedBy: "request",
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
	made.on("request", (request: IncomingMessage, response: ServerResponse) => {
		if (connections.isOld(request.socket)) response.setHeader("connection", "close");
		handle(request, response);
	});
	return withBounds(made, null);
}

function secureContext(tls: DoorTls) {
	return { ...tls, ...PROVED_EACH_TIME };
}

/** @param connections null = what TLS lies below counts them (tlsDoor.ts) */
function withBounds<S extends Server | SecureServer>(made: S, connections: number | null): S {
	made.headersTimeout = 10_000;
	made.requestTimeout = 60_000;
	if (connections !== null) made.maxConnections = connections;
	return made;
}

function urlOf(outer: Server | SecureServer, secure: boolean): string {
	const bound = outer.address() as AddressInfo;
	const host = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
	return `${secure ? "https" : "http"}://${host}:${bound.port}`;
}

function isUnder(target: string, prefix: string): boolean {
	const path = target.split("?", 1)[0] ?? "";
	return path === prefix || path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}

function listen(made: Server | SecureServer, at: { path: string } | { host: string; port: number }): Promise<void> {
	return new Promise((resolve, reject) => {
		made.once("error", reject);
		made.listen(at, () => {
			made.off("error", reject);
			resolve();
		});
	});
}

function close(made: Server | SecureServer | null): Promise<void> {
	if (made === null) return Promise.resolve();
	return new Promise((resolve) => {
		made.close(() => resolve());
		made.closeAllConnections();
	});
}
