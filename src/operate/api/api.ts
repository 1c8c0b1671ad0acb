/**
 * The API's listeners over one Store: a UNIX socket for the local owner and ingest, and HTTPS for all other callers if an
 * identity is configured. Paths that ingest or the publisher serves are mounted: they get the original request and its authenticated caller.
 */

import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Server as SecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import type { EvidenceSource, Webhook } from "../../decide/rollout/ports.js";
import { isLoopbackHost } from "../../declare/resources/address.js";
import { WeirError } from "../../error.js";
import { API_CONNECTIONS_MAX, SOCKET_PATH_BYTES_MAX } from "../../limits/index.js";
import { ClientLimiter, type ClientLimits, type TooManyRequests } from "../../trust/clients/clientLimiter.js";
import { requireOwnFolder } from "../../trust/local/socket.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { Approvals } from "../approvals/approvals.js";
import type { Caller } from "../callers/caller.js";
import { Operations } from "../operations/operations.js";
import { PromotionGates } from "../operations/promotionGates.js";
import { Permissions } from "../state/rights/permissions.js";
import { Rights } from "../state/rights/rights.js";
import type { Store } from "../state/store/store.js";
import type { AlarmSources } from "./alarmSources.js";
import type { ListenerTls, TcpListener } from "./caller.js";
import { type ListenerContext, serveApi, withBounds } from "./handler.js";
import { checkLoopback } from "./http.js";
import { internalRoutes } from "./internalRoutes.js";
import type { Mount } from "./mount.js";
import { secureContext, secureServer } from "./tlsListener.js";

/** A separate quota for aborts, pauses and rollbacks. */
export const CLIENT_STOPS_AT_ONCE_MAX = 8;
export const CLIENT_STOPS_MAX = 100;

export interface ApiOptions {
	readonly store: Store;
	/** Path of the UNIX socket. Its directory has mode 0700, so only the owner can connect. */
	readonly socket: string;
	/** null or absent: the UNIX socket only. */
	readonly tcp?: TcpListener | null;
	/** For unit tests only: plain HTTP on the loopback, where every local process is the owner. */
	readonly insecureLoopback?: { readonly address: string; readonly port: number };
	/** Subject of callers on the UNIX socket; `local:UID` by default. */
	readonly owner?: string;
	/** Subjects that may do everything without a RoleBinding. */
	readonly admins?: readonly string[];
	/** For each client; Weir's defaults if absent. */
	readonly clientLimits?: Partial<ClientLimits>;
	/** Calls the gates of a person's promotion. Absent: an Experiment with gates needs an override. */
	readonly webhook?: Webhook;
	/** Fresh evidence for the state of an Experiment. Absent: the evidence of its last decision is used. */
	readonly evidence?: EvidenceSource;
	/** By path prefix of whole segments, e.g. `/v1/outcomes`, `/v1/traces`, `/metrics`; the longest wins. */
	readonly mounts?: Readonly<Record<string, Mount>>;
	/** Why control is not ready, one sentence each, without resource names. Empty = ready. */
	readonly ready?: () => readonly string[];
	/** Absent: none. */
	readonly alarms?: AlarmSources["alarms"];
	/** Absent: nothing is published. */
	readonly lag?: AlarmSources["lag"];
	readonly now?: () => number;
	/** Called for each TCP connection that was closed in favour of another client's. */
	readonly onFull?: () => void;
	/** Called for each request that the client limits refuse. Must not throw. */
	readonly onLimited?: (exceeded: TooManyRequests["exceeded"]) => void;
	/** Called for each failed TLS handshake; any client can cause one. Must not throw. */
	readonly onHandshakeFault?: (fault: HandshakeFault) => void;
	/** Called for each failure that is answered as `internal`. */
	readonly onError?: (error: unknown) => void;
}

export interface Api {
	/** `https://127.0.0.1:PORT`, or `unix:PATH` without a TCP listener. */
	readonly url: string;
	readonly socket: string;
	/** Uses a new certificate for new connections; open connections stay. */
	renew(tls: ListenerTls): void;
	/** Closes both listeners and every long poll; the Store stays open. */
	close(): Promise<void>;
}

/**
 * Starts both listeners, or none.
 * @throws WeirError `invalid-argument` for plain HTTP beyond the loopback, `unavailable` for an address in use.
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
	// A killed process leaves its socket. The Store's lock proves that no other process listens on it.
	rmSync(socket, { force: true });

	const operations = new Operations(store, new Rights(store, new Permissions(options.admins)));
	const approvals = new Approvals(store, operations);
	const now = options.now ?? Date.now;
	const context: ListenerContext = {
		api: {
			store,
			operations,
			approvals,
			gates: new PromotionGates(store, operations, options.webhook ?? NO_WEBHOOK, now),
			evidence: options.evidence ?? null,
			ready: options.ready ?? (() => []),
			lag: options.lag ?? (() => null),
			alarms: options.alarms ?? (async () => []),
			now,
		},
		limiter: new ClientLimiter(options.clientLimits),
		stopLimiter: new ClientLimiter({ atOnce: CLIENT_STOPS_AT_ONCE_MAX, requests: CLIENT_STOPS_MAX }),
		mounts: Object.entries(options.mounts ?? {}).sort(([a], [b]) => b.length - a.length),
		onFull: options.onFull ?? (() => {}),
		onLimited: options.onLimited ?? (() => {}),
		onHandshakeFault: options.onHandshakeFault ?? (() => {}),
		onError: options.onError ?? (() => {}),
	};
	const owner: Caller = {
		subject: options.owner ?? `local:${process.getuid?.() ?? "owner"}`,
		groups: [],
		how: "socket",
	};
	const plainServer = () => withBounds(createServer(), API_CONNECTIONS_MAX);
	const local = await serveApi(plainServer(), context, async () => owner, internalRoutes(store));
	const secure = tcp === null ? null : await secureServer(context, tcp);
	const onLoopback = async (request: IncomingMessage): Promise<Caller> => {
		checkLoopback(request);
		return owner;
	};
	const plain = insecureLoopback === undefined ? null : await serveApi(plainServer(), context, onLoopback);
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

const NO_WEBHOOK: Webhook = async () => ({ ok: false, why: "control has no way to ask" });

function urlOf(outer: Server | SecureServer, secure: boolean): string {
	const bound = outer.address() as AddressInfo;
	const host = bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
	return `${secure ? "https" : "http"}://${host}:${bound.port}`;
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
