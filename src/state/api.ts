/**
 * The api role: the public door on loopback TCP and the internal one on a UNIX socket, over one Store. What belongs
 * to other roles (outcomes, traces, metrics) is mounted by the composition and gets the request as it came, after
 * the same check of its caller. Until the zero-trust issue the public door listens on the loopback only.
 */
import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import { WeirError } from "../error.js";
import { API_CONNECTIONS_MAX, SOCKET_PATH_BYTES_MAX } from "../limits.js";
import { privateDirectory } from "./database.js";
import { type Answer, type Call, checkCaller, isLoopbackHost, send, sendError, takeApart } from "./http.js";
import { answerInternal } from "./internalDoor.js";
import { answerPublic } from "./publicDoor.js";
import type { Store } from "./store.js";

export type Mount = (request: IncomingMessage, response: ServerResponse) => void;

export interface ApiOptions {
	readonly store: Store;
	/** A loopback IP address or `localhost`. */
	readonly address: string;
	/** 0 = any free port. */
	readonly port: number;
	/** Path of the internal UNIX socket; its directory is made with mode 0700. */
	readonly socket: string;
	/** By path prefix of whole segments, e.g. `/v1/outcomes`, `/v1/traces`, `/metrics`; the longest wins. */
	readonly mounts?: Readonly<Record<string, Mount>>;
	/** Why control is not ready, one sentence each; empty = ready. */
	readonly ready?: () => readonly string[];
	readonly now?: () => number;
	/** Told of every failure that is answered as `internal`. */
	readonly onError?: (error: unknown) => void;
}

export interface Api {
	/** `http://127.0.0.1:PORT` */
	readonly url: string;
	readonly socket: string;
	/** Ends both doors and every long poll; the Store stays open. */
	close(): Promise<void>;
}

/**
 * Opens both doors; if one cannot open, none stays.
 * @throws WeirError `invalid-argument` for an address off the loopback, `unavailable` for one that is taken.
 */
export async function startApi(options: ApiOptions): Promise<Api> {
	const { store, address, port, socket } = options;
	if (!isLoopbackHost(address)) {
		throw new WeirError(
			"invalid-argument",
			`the API does not listen on ${address}: it has no caller identity yet`,
			"use 127.0.0.1 or ::1, and a tunnel (ssh -L) from elsewhere",
		);
	}
	if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES_MAX) {
		throw new WeirError(
			"invalid-argument",
			`the socket path ${socket} is longer than ${SOCKET_PATH_BYTES_MAX} bytes`,
			"use a data directory with a shorter path",
		);
	}
	privateDirectory(dirname(socket));
	// A socket left by a killed process: the Store's lock says that nobody else listens on it.
	rmSync(socket, { force: true });

	const onError = options.onError ?? (() => {});
	const door = { store, ready: options.ready ?? (() => []), now: options.now ?? Date.now };
	const mounts = Object.entries(options.mounts ?? {}).sort(([a], [b]) => b.length - a.length);
	const publicServer = server(onError, (call) => answerPublic(door, call), mounts);
	const internalServer = server(onError, (call) => answerInternal(store, call), null);
	try {
		await listen(internalServer, { path: socket });
		chmodSync(socket, 0o600);
		await listen(publicServer, { host: address, port });
	} catch (error) {
		await Promise.all([close(publicServer), close(internalServer)]);
		throw new WeirError("unavailable", `the API cannot listen: ${(error as Error).message}`, "choose another port", {
			cause: error,
		});
	}
	const bound = publicServer.address() as AddressInfo;
	return {
		url: `http://${bound.family === "IPv6" ? `[${bound.address}]` : bound.address}:${bound.port}`,
		socket,
		close: async () => {
			await Promise.all([close(publicServer), close(internalServer)]);
		},
	};
}

/** A server of one door. `mounts` null: the internal door, whose callers the file system has checked. */
function server(
	onError: (error: unknown) => void,
	answer: (call: Call) => Promise<Answer>,
	mounts: readonly (readonly [string, Mount])[] | null,
): Server {
	const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
		const gone = new AbortController();
		response.once("close", () => gone.abort());
		try {
			if (mounts !== null) checkCaller(request);
			const mount = mounts?.find(([prefix]) => isUnder(request.url ?? "", prefix))?.[1];
			if (mount !== undefined) return mount(request, response);
			send(response, await answer(takeApart(request, gone.signal)));
		} catch (error) {
			if (!(error instanceof WeirError) || error.code === "internal") onError(error);
			sendError(response, error);
		}
	};
	const made = createServer({ headersTimeout: 10_000, requestTimeout: 60_000 }, (request, response) => {
		void handle(request, response);
	});
	made.maxConnections = API_CONNECTIONS_MAX;
	return made;
}

function isUnder(target: string, prefix: string): boolean {
	const path = target.split("?", 1)[0] ?? "";
	return path === prefix || path.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}

function listen(made: Server, at: { path: string } | { host: string; port: number }): Promise<void> {
	return new Promise((resolve, reject) => {
		made.once("error", reject);
		made.listen(at, () => {
			made.off("error", reject);
			resolve();
		});
	});
}

function close(made: Server): Promise<void> {
	return new Promise((resolve) => {
		made.close(() => resolve());
		made.closeAllConnections();
	});
}
