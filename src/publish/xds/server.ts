/**
 * The ADS server: publishes plans to any number of Envoys and sidecars, and knows which of them serve which. Control may die
 * at any time: all of them keep what they have.
 */
import { status } from "@grpc/grpc-js";
import type { ProxyStatus } from "../../decide/rollout/ports.js";
import { WeirError } from "../../error.js";
import { XDS_ACK_TIMEOUT_MS, XDS_CONNECTION_IDLE_MS, XDS_NODES_REMEMBERED_MAX } from "../../limits/index.js";
import type { HandshakeFault } from "../../trust/tls/handshake.js";
import { type Call, Connection, type Remembered } from "./connection.js";
import { type XdsAddress, XdsDoors, type XdsSecurity } from "./doors.js";
import { type LoadCall, LoadReports, type LoadReportsOptions } from "./loadReports.js";
import { isFull, type Peer, type RefusedFor, type Stranger } from "./peer.js";
import { answerProbe, type Probes } from "./probes.js";
import { Publication, type Published } from "./publication.js";
import { withClosures } from "./sidecarClosures.js";
import { GatewayViews, SnapshotMaker } from "./snapshot.js";

export interface XdsServerOptions {
	/** One line for a person; never a unit, a token or a payload. */
	readonly log?: (line: string) => void;
	readonly ackTimeoutMs?: number;
	/** How long a TCP connection may have no stream. */
	readonly connectionIdleMs?: number;
	readonly nowMs?: () => number;
	/** Identity for TCP; left out: the UNIX socket only. */
	readonly secure?: XdsSecurity;
	/** Gateways of an Envoy by its SPIFFE id, asked on the TCP door; null = all, none = it is refused. By default none. */
	readonly gatewaysOf?: (spiffeId: string) => readonly string[] | null;
	/** Of the load reporting service. */
	readonly loads?: Pick<LoadReportsOptions, "intervalMs" | "onReport">;
	/** Takes what agents of Envoys report of their probes; left out: they are refused. */
	readonly probes?: Probes;
	/** Told of every stream, and every connection, that was refused for who its client is or has too much. `id`: proved by mTLS; null = none was. */
	readonly onRefused?: (reason: RefusedFor, id: string | null) => void;
	/** Told of every TLS handshake at the TCP door that failed; anybody may cause it, as often as they like. */
	readonly onHandshakeFault?: (fault: HandshakeFault) => void;
}

/** @param closed qualified names of Services that some Envoy has refused and is not given */
export type AcknowledgedListener = (revision: number, atMs: number, closed: readonly string[]) => void;

export class XdsServer {
	readonly #doors: XdsDoors;
	readonly #gatewaysOf: (spiffeId: string) => readonly string[] | null;
	readonly #onRefused: (reason: RefusedFor, id: string | null) => void;
	readonly #gatewayViews = new GatewayViews();
	readonly #log: (line: string) => void;
	readonly #ackTimeoutMs: number;
	readonly #nowMs: () => number;
	readonly #snapshots = new SnapshotMaker();
	readonly #connections = new Set<Connection>();
	/** Those that are to be told of the newest. */
	readonly #due = new Set<Connection>();
	#pumping = false;
	readonly #onAcknowledged = new Set<AcknowledgedListener>();
	readonly #proxiesChanged = new Set<() => void>();
	readonly #loads: LoadReports;
	/** Clients that have gone, by node id, the youngest last. */
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
		this.#doors = new XdsDoors({
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

	/** As XdsDoors.listen. */
	listen(address: XdsAddress): Promise<XdsAddress> {
		return this.#doors.listen(address);
	}

	/**
	 * Makes a plan what every Envoy and sidecar should serve. Nothing is sent before the first one.
	 * @param revision of the state that the plan was compiled from; never falls.
	 * @throws WeirError as SnapshotMaker.make does; what was published before then stays.
	 */
	publish(plan: Published, revision: number): void {
		if (this.#newest !== null && revision < this.#newest.revision) {
			throw new WeirError(
				"invalid-argument",
				`revision ${revision} is older than ${this.#newest.revision}, which is published`,
			);
		}
		this.#newest = new Publication(plan, revision, this.#snapshots);
		this.#loads.follow([...this.#newest.whole.views.clusters.keys()]);
		// Sidecars first: the new routes name the new table to them.
		for (const connection of this.#connections) if (connection.asksForTables) connection.pump();
		for (const connection of this.#connections) if (!connection.asksForTables) this.#due.add(connection);
		void this.#pumpDue();
	}

	/** One after the other, and what others say is heard in between: a large plan for many Envoys takes seconds. */
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
	 * Called for a revision, when every connected Envoy has acknowledged all of it, removals included, but for endpoints that
	 * wait until those that replace them are checked (leaving.ts) and for Services that it has refused and that are closed
	 * there, and every connected sidecar its table; and again when fewer are closed. A revision that was replaced before is
	 * skipped. Sidecars alone can acknowledge it too: their Envoys may be other people's. With nobody connected nothing is
	 * acknowledged.
	 * @returns stops it.
	 */
	onAcknowledged(listener: AcknowledgedListener): () => void {
		this.#onAcknowledged.add(listener);
		return () => this.#onAcknowledged.delete(listener);
	}

	/** What `proxies` reported in an earlier process: a Service that a client refused is not sent to it again as it was. */
	remember(proxies: readonly ProxyStatus[]): void {
		for (const { node, types, closed = [] } of proxies)
			if (types.tables === undefined && closed.length > 0)
				setYoungest(this.#remembered, node, { isolation: { taken: null, closed }, stream: null });
	}

	/** Called, soon after, when an Envoy or a sidecar comes or goes or what proxies() says of it changes. */
	onProxiesChanged(listener: () => void): () => void {
		this.#proxiesChanged.add(listener);
		return () => this.#proxiesChanged.delete(listener);
	}

	/** One for each open stream, in the order of connecting. What several sidecars have closed is told of the first alone. */
	proxies(): ProxyStatus[] {
		return withClosures([...this.#connections].filter(({ identified }) => identified));
	}

	async close(): Promise<void> {
		// The last report stands until the next process makes one: an Envoy refuses the same then.
		this.#closing = true;
		this.#loads.close();
		for (const connection of this.#connections) connection.refuse(status.UNAVAILABLE, "the server is shutting down");
		await this.#doors.close();
	}

	#connect(call: Call, peer: Peer | Stranger): void {
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
			refuse("no-gateway", status.PERMISSION_DENIED, "no Gateway is this Envoy's: control must be told which are");
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
			onFault: (node, error) => this.#log(`${node}: a request could not be taken: ${WeirError.from(error).message}`),
			onNack: (node, proxy) => this.#reportNack(node, proxy),
			onRefused: (reason) => this.#onRefused(reason, id),
		});
		this.#connections.add(connection);
	}

	/** Of its last stream, which may be open still: a connection is opened anew before the old one is noticed to be dead. */
	#recall(node: string, comes: Connection): Remembered | undefined {
		const open = [...this.#connections].findLast((one) => one !== comes && one.node === node);
		return open?.memory ?? this.#remembered.get(node);
	}

	#takeLoads(call: LoadCall, peer: Peer | Stranger): void {
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

	/** Coalesced: a burst of requests is one notice. */
	#notice(): void {
		// Before all are told nothing is acknowledged by all.
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
		if (node !== null) setYoungest(this.#remembered, node, memory);
	}
}

/** Set again, so that the youngest is the last; beyond the bound the oldest goes. */
function setYoungest<Value>(of: Map<string, Value>, node: string, value: Value): void {
	of.delete(node);
	of.set(node, value);
	const oldest = of.keys().next().value;
	if (of.size > XDS_NODES_REMEMBERED_MAX && oldest !== undefined) of.delete(oldest);
}
