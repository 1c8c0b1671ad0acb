/**
 * The ADS server: publishes plans to any number of Envoys and sidecars, and knows which of them serve which. Listens
 * on a UNIX socket or on loopback only. Control may die at any time: all of them keep what they have.
 */
import { rm } from "node:fs/promises";
import { isIP } from "node:net";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { WeirError } from "../error.js";
import { XDS_ACK_TIMEOUT_MS, XDS_REQUEST_BYTES_MAX, XDS_SENT_VIEWS_MAX, XDS_STREAMS_MAX } from "../limits.js";
import type { ProxyStatus } from "../rollout/ports.js";
import { claimSocket, restrictSocket } from "../socket.js";
import { type Call, Connection } from "./connection.js";
import { RecentViews } from "./sentViews.js";
import { AggregatedDiscoveryServiceDefinition } from "./service.js";
import { type Published, type Snapshot, SnapshotMaker } from "./snapshot.js";

export type XdsAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export interface XdsServerOptions {
	/** One line for a person; never a unit, a token or a payload. */
	readonly log?: (line: string) => void;
	readonly ackTimeoutMs?: number;
	readonly nowMs?: () => number;
}

export type AcknowledgedListener = (revision: number, atMs: number) => void;

export class XdsServer {
	readonly #server: Server;
	readonly #log: (line: string) => void;
	readonly #ackTimeoutMs: number;
	readonly #nowMs: () => number;
	readonly #snapshots = new SnapshotMaker();
	readonly #views = new RecentViews(XDS_SENT_VIEWS_MAX);
	readonly #connections = new Set<Connection>();
	readonly #acknowledged = new Set<AcknowledgedListener>();
	readonly #proxiesChanged = new Set<() => void>();
	#target: Snapshot | null = null;
	#acknowledgedRevision = -1;
	#noticing = false;
	#socketPath: string | null = null;

	constructor({ log, ackTimeoutMs, nowMs }: XdsServerOptions = {}) {
		this.#log = log ?? (() => {});
		this.#ackTimeoutMs = ackTimeoutMs ?? XDS_ACK_TIMEOUT_MS;
		this.#nowMs = nowMs ?? Date.now;
		this.#server = new Server({
			"grpc.max_receive_message_length": XDS_REQUEST_BYTES_MAX,
			"grpc.max_send_message_length": -1,
			// Finds Envoys that vanished without closing.
			"grpc.keepalive_time_ms": 30_000,
			"grpc.keepalive_timeout_ms": 10_000,
		});
		this.#server.addService(AggregatedDiscoveryServiceDefinition, {
			streamAggregatedResources: (call: Call) => this.#connect(call),
		});
	}

	/**
	 * @returns where it listens; port 0 is replaced by the port that was taken.
	 * @throws WeirError `invalid-argument` for an address beyond loopback, `already-exists` or `unavailable` when it is taken.
	 */
	async listen(address: XdsAddress): Promise<XdsAddress> {
		if ("socketPath" in address) {
			await claimSocket(address.socketPath);
			await this.#bind(`unix:${address.socketPath}`);
			this.#socketPath = address.socketPath;
			await restrictSocket(address.socketPath);
			return address;
		}
		const { host, port } = address;
		if (host !== "127.0.0.1" && host !== "::1") {
			throw new WeirError("invalid-argument", `xds cannot listen on ${host}`, "use 127.0.0.1, ::1 or a UNIX socket");
		}
		return { host, port: await this.#bind(`${isIP(host) === 6 ? `[${host}]` : host}:${port}`) };
	}

	/**
	 * Makes a plan what every Envoy and sidecar should serve. Nothing is sent before the first one.
	 * @param revision of the state that the plan was compiled from; never falls.
	 * @throws WeirError as SnapshotMaker.make does; what was published before then stays.
	 */
	publish(plan: Published, revision: number): void {
		if (this.#target !== null && revision < this.#target.revision) {
			throw new WeirError(
				"invalid-argument",
				`revision ${revision} is older than ${this.#target.revision}, which is published`,
			);
		}
		this.#target = this.#snapshots.make(plan, revision);
		// Sidecars first: the new routes name the new table to them.
		const connections = [...this.#connections];
		for (const connection of connections.filter(({ asksForTables }) => asksForTables)) connection.pump();
		for (const connection of connections.filter(({ asksForTables }) => !asksForTables)) connection.pump();
		this.#notice();
	}

	/**
	 * Called once for a revision, when every connected Envoy has acknowledged all of it, removals included, and every
	 * connected sidecar its table; a revision that was replaced before is skipped. Sidecars alone can acknowledge it
	 * too: their Envoys may be other people's. With nobody connected nothing is acknowledged.
	 * @returns stops it.
	 */
	onAcknowledged(listener: AcknowledgedListener): () => void {
		this.#acknowledged.add(listener);
		return () => this.#acknowledged.delete(listener);
	}

	/** Called, soon after, when an Envoy or a sidecar comes or goes or what proxies() says of it changes. */
	onProxiesChanged(listener: () => void): () => void {
		this.#proxiesChanged.add(listener);
		return () => this.#proxiesChanged.delete(listener);
	}

	/** One for each open stream, in the order of connecting. */
	proxies(): ProxyStatus[] {
		return [...this.#connections].filter(({ identified }) => identified).map((connection) => connection.status());
	}

	async close(): Promise<void> {
		for (const connection of this.#connections) connection.refuse(status.UNAVAILABLE, "the server is shutting down");
		this.#server.forceShutdown();
		if (this.#socketPath !== null) await rm(this.#socketPath, { force: true });
		this.#socketPath = null;
	}

	#connect(call: Call): void {
		const connection = new Connection(call, {
			ackTimeoutMs: this.#ackTimeoutMs,
			views: this.#views,
			server: `weir ${process.pid}`,
			nowMs: this.#nowMs,
			target: () => this.#target,
			onChange: () => {
				if (connection.closed) this.#connections.delete(connection);
				this.#notice();
			},
			onNack: (node, proxy) => this.#reportNack(node, proxy),
		});
		if (this.#connections.size >= XDS_STREAMS_MAX) {
			connection.refuse(status.RESOURCE_EXHAUSTED, `${XDS_STREAMS_MAX} streams are open`);
			return;
		}
		this.#connections.add(connection);
	}

	#reportNack(node: string, proxy: ProxyStatus): void {
		for (const [type, { state, source, error }] of Object.entries(proxy.types)) {
			if (state === "ERROR") this.#log(`${node} rejects ${type} of ${source}: ${error}`);
		}
	}

	/** Coalesced: a burst of requests is one notice. */
	#notice(): void {
		if (this.#noticing) return;
		this.#noticing = true;
		setImmediate(() => {
			this.#noticing = false;
			for (const listener of this.#proxiesChanged) listener();
			this.#acknowledge();
		});
	}

	#acknowledge(): void {
		const target = this.#target;
		const known = [...this.#connections].filter(({ identified }) => identified);
		if (target === null || target.revision <= this.#acknowledgedRevision || known.length === 0) return;
		if (!known.every((connection) => connection.synced(target))) return;
		this.#acknowledgedRevision = target.revision;
		for (const listener of this.#acknowledged) listener(target.revision, this.#nowMs());
	}

	async #bind(target: string): Promise<number> {
		try {
			return await new Promise<number>((resolve, reject) => {
				this.#server.bindAsync(target, ServerCredentials.createInsecure(), (error, port) => {
					if (error === null) resolve(port);
					else reject(error);
				});
			});
		} catch (error) {
			throw new WeirError("unavailable", `xds cannot listen on ${target}`, "is another control running?", {
				cause: error,
			});
		}
	}
}
