/**
 * The ADS server: publishes plans to Envoys and sidecars, and tracks which of them serve which plan. If control dies,
 * they keep their configuration.
 */
import { status } from "@grpc/grpc-js";
import type { ProxyStatus } from "../../decide/rollout/ports.js";
import { WeirError } from "../../error.js";
import { XDS_ACK_TIMEOUT_MS } from "../../limits/index.js";
import { finish, inSlices, type Steps } from "../../limits/slices.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { type Call, Connection, type Remembered } from "./connection.js";
import { GrpcListeners, type XdsAddress, type XdsSecurity } from "./grpcListeners.js";
import { type LoadCall, LoadReports, type LoadReportsOptions } from "./loadReports.js";
import { isFull, type Peer, type RefusedFor, type RefusedPeer } from "./peer.js";
import { answerProbe, type Probes } from "./probes.js";
import { Publication, type Published } from "./publication.js";
import { withClosures } from "./sidecarClosures.js";
import { GatewayViews, SnapshotMaker } from "./snapshot.js";

/** Idle timeout of a TCP connection to xds without streams. */
const XDS_CONNECTION_IDLE_MS = 30_000;

/** Envoys by node id whose accepted and refused resources xds stores for their return: some 10 MiB. */
const XDS_NODES_REMEMBERED_MAX = 100;

export interface XdsServerOptions {
	/** Log line for operators; never contains a unit, a token or a payload. */
	readonly log?: (line: string) => void;
	readonly ackTimeoutMs?: number;
	/** How long a TCP connection may stay without a stream. */
	readonly connectionIdleMs?: number;
	readonly nowMs?: () => number;
	/** Identity for TCP; left out = UNIX socket only. */
	readonly secure?: XdsSecurity;
	/** Gateways of an Envoy by its SPIFFE id (TCP only); null = all, empty = it is refused. Default: empty. */
	readonly gatewaysOf?: (spiffeId: string) => readonly string[] | null;
	/** Options of the load reporting service. */
	readonly loads?: Pick<LoadReportsOptions, "intervalMs" | "onReport">;
	/** Receives the probe reports of agents; left out = they are refused. */
	readonly probes?: Probes;
	/** Called for each refused stream or connection, by identity or limit. `id`: proved by mTLS; null = none. */
	readonly onRefused?: (reason: RefusedFor, id: string | null) => void;
	/** Called for each failed TLS handshake on TCP. Unauthenticated clients can cause any number of them. */
	readonly onHandshakeFault?: (fault: HandshakeFault) => void;
}

/** @param closed qualified names of Services that are closed at some client */
export type AcknowledgedListener = (revision: number, atMs: number, closed: readonly string[]) => void;

export class XdsServer {
	readonly #listeners: GrpcListeners;
	readonly #gatewaysOf: (spiffeId: string) => readonly string[] | null;
	readonly #onRefused: (reason: RefusedFor, id: string | null) => void;
	readonly #gatewayViews = new GatewayViews();
	readonly #log: (line: string) => void;
	readonly #ackTimeoutMs: number;
	readonly #nowMs: () => number;
	readonly #snapshots = new SnapshotMaker();
	readonly #connections = new Set<Connection>();
	/** Connections that have not been sent the newest publication. */
	readonly #due = new Set<Connection>();
	#pumping = false;
	readonly #onAcknowledged = new Set<AcknowledgedListener>();
	readonly #proxiesChanged = new Set<() => void>();
	readonly #loads: LoadReports;
	/** Disconnected clients by node id, newest last. */
	readonly #remembered = new Map<string, Remembered>();
	#newest: Publication | null = null;
	#acknowledged = { revision: -1, closed: [] as readonly string[] };
	#noticing = false;
	#closing = false;

	constructor(options: XdsServerOptions = {}) {
		const { log, ackTimeoutMs, connectionIdleMs, nowMs, secure, gatewaysOf, onRefused, loads } = options;
		this.#log = log ?? (() => {});
		this.#ackTimeoutMs = ackTimeoutMs ?? XDS_ACK_TIMEOUT_MS;
		this.#nowMs = nowMs ?? Date.now;
		this.#gatewaysOf = gatewaysOf ?? (() => []);
		this.#onRefused = onRefused ?? (() => {});
		this.#loads = new LoadReports({ onRefused: this.#onRefused, ...loads });
		this.#listeners = new GrpcListeners({
			secure: secure ?? null,
			connectionIdleMs: connectionIdleMs ?? XDS_CONNECTION_IDLE_MS,
			onStream: (call, peer) => this.#connect(call, peer),
			onLoads: (call, peer) => this.#takeLoads(call, peer),
			onProbe: (call, peer, answer) =>
				answerProbe(
					{ probes: options.probes ?? null, gatewaysOf: this.#gatewaysOf, onRefused: this.#onRefused },
					call,
					peer,
					answer,
				),
			onRefused: this.#onRefused,
			onHandshakeFault: options.onHandshakeFault ?? (() => {}),
		});
	}

	/** Like GrpcListeners.listen. */
	listen(address: XdsAddress): Promise<XdsAddress> {
		return this.#listeners.listen(address);
	}

	/**
	 * Publishes a plan to all Envoys and sidecars. Nothing is sent before the first one.
	 * @param revision of the state that the plan was compiled from; never decreases
	 * @throws WeirError like SnapshotMaker.make; the previous publication stays
	 */
	publish(plan: Published, revision: number): void {
		finish(this.#publish(plan, revision));
	}

	/** The same in slices, one plan at a time: to encode the first one of many Services takes seconds. */
	async publishInSlices(plan: Published, revision: number): Promise<void> {
		await inSlices(this.#publish(plan, revision), Number.POSITIVE_INFINITY);
	}

	*#publish(plan: Published, revision: number): Steps<void> {
		if (this.#newest !== null && revision < this.#newest.revision) {
			throw new WeirError(
				"invalid-argument",
				`revision ${revision} is older than ${this.#newest.revision}, which is published`,
			);
		}
		this.#newest = new Publication(plan, yield* this.#snapshots.steps(plan, revision), this.#snapshots);
		this.#loads.follow([...this.#newest.whole.views.clusters.keys()]);
		// Sidecars first, because the new routes name the new table.
		for (const connection of this.#connections) if (connection.asksForTables) connection.pump();
		for (const connection of this.#connections) if (!connection.asksForTables) this.#due.add(connection);
		void this.#pumpDue();
	}

	/** One client at a time, and requests are handled in between: a large plan for many Envoys takes seconds. */
	async #pumpDue(): Promise<void> {
		if (this.#pumping) return;
		this.#pumping = true;
		for (const connection of this.#due) {
			this.#due.delete(connection);
			connection.pump();
			await new Promise((resolve) => setImmediate(resolve));
		}
		this.#pumping = false;
		this.#notice();
	}

	/**
	 * Calls the listener when every connected client has acknowledged a revision: Envoys all of it, removals included,
	 * and sidecars their table. Exceptions are endpoints that wait for their replacement's health check and Services
	 * that are closed at a client. It is called again when fewer are closed. A revision that was replaced earlier is
	 * skipped. Sidecars alone are enough, since a mesh may run its own Envoys. Without any client nothing is
	 * acknowledged.
	 * @returns unsubscribes
	 */
	onAcknowledged(listener: AcknowledgedListener): () => void {
		this.#onAcknowledged.add(listener);
		return () => this.#onAcknowledged.delete(listener);
	}

	/** Restores what `proxies` reported in an earlier process: a rejected Service is not sent again unchanged. */
	remember(proxies: readonly ProxyStatus[]): void {
		for (const { node, types, closed = [] } of proxies)
			if (types.tables === undefined && closed.length > 0)
				setNewest(this.#remembered, node, { isolation: { accepted: null, closed }, stream: null });
	}

	/** Calls the listener soon after an Envoy or a sidecar connects, disconnects or changes its status in proxies(). */
	onProxiesChanged(listener: () => void): () => void {
		this.#proxiesChanged.add(listener);
		return () => this.#proxiesChanged.delete(listener);
	}

	/**
	 * One per open stream, in the order of connection. A Service that several sidecars closed is reported for the first
	 * one.
	 */
	proxies(): ProxyStatus[] {
		return withClosures([...this.#connections].filter(({ identified }) => identified));
	}

	async close(): Promise<void> {
		// The last report stays until the next process makes one: an Envoy rejects the same then.
		this.#closing = true;
		this.#loads.close();
		for (const connection of this.#connections) connection.refuse(status.UNAVAILABLE, "the server is shutting down");
		await this.#listeners.close();
	}

	#connect(call: Call, peer: Peer | RefusedPeer): void {
		const id = "id" in peer ? peer.id : null;
		const refuse = (reason: RefusedFor, code: status, details: string): void => {
			this.#onRefused(reason, id);
			call.emit("error", { code, details });
		};
		if ("refusedFor" in peer) {
			refuse(peer.refusedFor, status.UNAUTHENTICATED, "only Envoys and sidecars of this trust domain are served");
			return;
		}
		if (isFull(this.#connections, peer)) {
			refuse("too-many", status.RESOURCE_EXHAUSTED, "too many streams are open");
			return;
		}
		const gateways = peer.kind === "envoy" ? this.#gatewaysOf(peer.id) : null;
		if (gateways?.length === 0) {
			refuse("no-gateway", status.PERMISSION_DENIED, "no Gateway is this Envoy's: name them in --envoy-gateways");
			return;
		}
		const connection: Connection = new Connection(call, {
			peer,
			ackTimeoutMs: this.#ackTimeoutMs,
			server: `weir ${process.pid}`,
			nowMs: this.#nowMs,
			publication: () => this.#newest,
			restrict: (snapshot) => this.#gatewayViews.of(snapshot, gateways),
			recall: (node) => this.#recall(node, connection),
			onChange: () => {
				if (connection.closed && this.#connections.delete(connection)) this.#leave(connection);
				this.#notice();
			},
			onFault: (node, error) => this.#log(`${node}: a request could not be handled: ${WeirError.from(error).message}`),
			onNack: (node, proxy) => this.#reportNack(node, proxy),
			onRefused: (reason) => this.#onRefused(reason, id),
		});
		this.#connections.add(connection);
	}

	/**
	 * State of the client's last stream, which may still be open: a client can reconnect before a dead connection is
	 * noticed.
	 */
	#recall(node: string, comes: Connection): Remembered | undefined {
		const open = [...this.#connections].findLast((one) => one !== comes && one.node === node);
		return open?.memory ?? this.#remembered.get(node);
	}

	#takeLoads(call: LoadCall, peer: Peer | RefusedPeer): void {
		if ("refusedFor" in peer) {
			this.#onRefused(peer.refusedFor, peer.id);
			call.emit("error", { code: status.UNAUTHENTICATED, details: "only Envoys of this trust domain report loads" });
		} else this.#loads.connect(call, peer, peer.kind === "envoy" ? this.#gatewaysOf(peer.id) : null);
	}

	#reportNack(node: string, proxy: ProxyStatus): void {
		for (const [type, { state, source, error }] of Object.entries(proxy.types)) {
			if (state === "ERROR") this.#log(`${node} rejects ${type} of ${source}: ${error}`);
		}
	}

	/** One notification per burst of requests. */
	#notice(): void {
		// A publication is acknowledged only after it has been sent to all.
		if (this.#noticing || this.#pumping || this.#closing) return;
		this.#noticing = true;
		setImmediate(() => {
			this.#noticing = false;
			if (this.#closing) return;
			for (const listener of this.#proxiesChanged) listener();
			this.#acknowledge();
		});
	}

	#acknowledge(): void {
		const revision = this.#newest?.revision;
		const known = [...this.#connections].filter(({ identified }) => identified);
		if (revision === undefined || revision < this.#acknowledged.revision || known.length === 0) return;
		if (!known.every(({ rested }) => rested?.revision === revision)) return;
		const closed = [...new Set(known.flatMap(({ rested }) => rested?.closed ?? []))].sort();
		const opened = this.#acknowledged.closed.some((one) => !closed.includes(one));
		if (revision === this.#acknowledged.revision && !opened) return;
		this.#acknowledged = { revision, closed };
		for (const listener of this.#onAcknowledged) listener(revision, this.#nowMs(), closed);
	}

	#leave({ memory, node }: Connection): void {
		if (node !== null) setNewest(this.#remembered, node, memory);
	}
}

/** Moves the entry to the end, and removes the oldest above the limit. */
function setNewest<Value>(of: Map<string, Value>, node: string, value: Value): void {
	of.delete(node);
	of.set(node, value);
	const oldest = of.keys().next().value;
	if (of.size > XDS_NODES_REMEMBERED_MAX && oldest !== undefined) of.delete(oldest);
}
