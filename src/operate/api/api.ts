/**
 * The api role's doors over one Store: a UNIX socket for this machine's owner and the other roles of control, and,
 * where an identity is composed, HTTPS for everybody else. What belongs to other roles (outcomes, traces, metrics) is
 * mounted by the composition and gets the request as it came and who sent it, after the same check of the caller.
 */
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { Server as SecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import type { EvidenceSource, Webhook } from "../../decide/rollout/ports.js";
import { isLoopbackHost } from "../../declare/resources/address.js";
import { WeirError } from "../../error.js";
import {
	API_CONNECTIONS_MAX,
	CLIENT_STOPS_AT_ONCE_MAX,
	CLIENT_STOPS_MAX,
	SOCKET_PATH_BYTES_MAX,
} from "../../limits/index.js";
import { ClientLimiter, type ClientLimits, type TooManyRequests } from "../../trust/clients/clientLimiter.js";
import { requireOwnFolder } from "../../trust/local/socket.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { Approvals } from "../approvals/approvals.js";
import { Operations } from "../operations/operations.js";
import { PromotionGates } from "../operations/promotionGates.js";
import { Publication } from "../state/publication.js";
import { Permissions } from "../state/rights/permissions.js";
import { Rights } from "../state/rights/rights.js";
import type { Store } from "../state/store/store.js";
import type { Caller, ListenerTls, TcpListener } from "./caller.js";
import { type House, handler, withBounds } from "./handler.js";
import { checkLoopback } from "./http.js";
import type { Mount } from "./mount.js";
import { secureContext, secureServer } from "./tlsListener.js";
import type { GatewayAlarm } from "./wire.js";

export interface ApiOptions {
	readonly store: Store;
	/** Path of the UNIX socket; its directory is made with mode 0700, so that who reaches it is the owner. */
	readonly socket: string;
	/** null or absent: the UNIX socket only. */
	readonly tcp?: TcpListener | null;
	/** For unit tests only: plain HTTP on the loopback, where anyone on this machine is the local owner. */
	readonly insecureLoopback?: { readonly address: string; readonly port: number };
	/** Subject of who comes by the UNIX socket; `local:UID` by default. */
	readonly owner?: string;
	/** Subjects that may do everything without a RoleBinding. */
	readonly admins?: readonly string[];
	/** Of each client; Weir's own where absent. */
	readonly clientLimits?: Partial<ClientLimits>;
	/** Asks the gates of a promotion by a person. Absent: an Experiment with gates is promoted by an override only. */
	readonly webhook?: Webhook;
	/** Asked for how an Experiment stands. Absent: what the decisions were made on must do. */
	readonly evidence?: EvidenceSource;
	/** By path prefix of whole segments, e.g. `/v1/outcomes`, `/v1/traces`, `/metrics`; the longest wins. */
	readonly mounts?: Readonly<Record<string, Mount>>;
	/** Why control is not ready, one sentence each, without names: anybody may ask. Empty = ready. */
	readonly ready?: () => readonly string[];
	/** What xds published of the store's state; one of its own by default. */
	readonly publication?: Publication;
	/** What the probe says of all Gateways; null = it does not answer. Absent: there is none. Never rejects. */
	readonly alarms?: () => Promise<readonly GatewayAlarm[] | null>;
	/** What is known without the probe. Never rejects. @param tooLate what other parts have not told by then is left out */
	readonly ownAlarms?: (tooLate?: Promise<null>) => Promise<readonly GatewayAlarm[]>;
	readonly now?: () => number;
	/** Told of every connection of the TCP door that was ended to make room for another's. */
	readonly onCrowded?: () => void;
	/** Called for each request that the client limits refuse. Must not throw. */
	readonly onLimited?: (exceeded: TooManyRequests["exceeded"]) => void;
	/** Told of every TLS handshake at the TCP door that failed; anybody may cause it. Must not throw. */
	readonly onHandshakeFault?: (fault: HandshakeFault) => void;
	/** Told of every failure that is answered as `internal`. */
	readonly onError?: (error: unknown) => void;
}

export interface Api {
	/** `https://127.0.0.1:PORT`, or `unix:PATH` without a TCP door. */
	readonly url: string;
	readonly socket: string;
	/** Takes a new certificate for new connections; those that are open stay. */
	renew(tls: ListenerTls): void;
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

	const operations = new Operations(store, new Rights(store, new Permissions(options.admins)));
	const approvals = new Approvals(store, operations);
	const now = options.now ?? Date.now;
	const house: House = {
		door: {
			store,
			operations,
			approvals,
			gates: new PromotionGates(store, operations, options.webhook ?? NOBODY_ASKS, now),
			evidence: options.evidence ?? null,
			ready: options.ready ?? (() => []),
			publication: options.publication ?? new Publication(() => store.current.revision),
			alarms: options.alarms ?? (async () => []),
			ownAlarms: options.ownAlarms ?? (async () => []),
			now,
		},
		limiter: new ClientLimiter(options.clientLimits),
		stopLimiter: new ClientLimiter({ atOnce: CLIENT_STOPS_AT_ONCE_MAX, requests: CLIENT_STOPS_MAX }),
		mounts: Object.entries(options.mounts ?? {}).sort(([a], [b]) => b.length - a.length),
		onCrowded: options.onCrowded ?? (() => {}),
		onLimited: options.onLimited ?? (() => {}),
		onHandshakeFault: options.onHandshakeFault ?? (() => {}),
		onError: options.onError ?? (() => {}),
	};
	const owner: Caller = {
		subject: options.owner ?? `local:${process.getuid?.() ?? "owner"}`,
		groups: [],
		how: "socket",
	};
	const local = withBounds(createServer(handler(house, async () => owner, true)), API_CONNECTIONS_MAX);
	const secure = tcp === null ? null : secureServer(house, tcp);
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
