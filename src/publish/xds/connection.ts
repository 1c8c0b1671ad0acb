/**
 * One open ADS call: connects a ClientStream to gRPC. Responses are made only when the call can accept them, so a
 * slow client gets at most one response per type and then the newest state, never a queue of old ones.
 */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { ClosedService, ProxyStatus } from "../../decide/rollout/ports.js";
import type { DiscoveryRequest, DiscoveryResponse } from "../../gen/envoy/service/discovery/v3/discovery_pb.js";
import type { SidecarClosure } from "./channel.js";
import { Isolation, type Memory } from "./isolation.js";
import { isNode, mayBeNode, maySubscribe, type Peer, type RefusedFor } from "./peer.js";
import { printableText } from "./printableText.js";
import type { Publication } from "./publication.js";
import { readRequest, typeOf, writeResponse } from "./service.js";
import type { Snapshot } from "./snapshot.js";
import { ClientStream, type StreamMemory } from "./stream.js";

/** Resource names in one request: far more than there are Variants. */
export const XDS_NAMES_MAX = 100_000;

/** Length of one such name: three names of 63 characters and separators. */
export const XDS_NAME_CHARS_MAX = 256;

export interface ConnectionOptions {
	readonly peer: Peer;
	readonly ackTimeoutMs: number;
	readonly server: string;
	readonly nowMs: () => number;
	/** The newest publication; null = none yet, and nothing is sent. */
	readonly publication: () => Publication | null;
	/** Restricts a snapshot to this client. */
	readonly restrict: (snapshot: Snapshot) => Snapshot;
	/** State of a node's previous stream. */
	readonly recall: (node: string) => Remembered | undefined;
	/** The result of status() or synced() may have changed. */
	readonly onChange: () => void;
	readonly onNack: (node: string, status: ProxyStatus) => void;
	/** An internal error with a request. The stream is ended. */
	readonly onFault: (node: string, error: unknown) => void;
	/** The client's node id, type or request size is not allowed. The stream is ended. */
	readonly onRefused: (reason: RefusedFor) => void;
}

/** State of a client's last stream. */
export interface Remembered {
	readonly isolation: Memory;
	/** null = only the report of another process is known. */
	readonly stream: StreamMemory | null;
}

const NO_NODE = "the first request of a stream must carry node.id: printable ASCII characters, at most 256";

export type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

export class Connection {
	readonly #stream: ClientStream;
	readonly #connectedAtMs: number;
	/** null until the first request (S2). */
	#node: string | null = null;
	/**
	 * Start of the rejection per type. It ends only when the client serves what is published, not when it gets an
	 * interim version.
	 */
	readonly #refusedSinceMs = new Map<string, number>();
	/** Time of the first table that the sidecar has not answered; null = none. */
	#unansweredSinceMs: number | null = null;
	#isolation = new Isolation();
	#closedBySidecar: ReadonlyMap<string, ClosedService> = new Map();
	#blocked = false;
	#closed = false;
	#timer: NodeJS.Timeout | null = null;

	constructor(
		readonly call: Call,
		readonly options: ConnectionOptions,
	) {
		this.#stream = new ClientStream(options.ackTimeoutMs, (type, version) => {
			const publication = options.publication();
			const newest = publication === null ? null : options.restrict(publication.whole);
			return newest?.versions[type] === version ? newest.views[type] : null;
		});
		this.#connectedAtMs = options.nowMs();
		call.on("data", (message: DiscoveryRequest) => this.#catching(() => this.#receive(message)));
		call.on("drain", () => {
			this.#blocked = false;
			this.pump();
		});
		call.on("end", () => this.#end());
		call.on("error", () => this.#end());
		call.on("cancelled", () => this.#end());
		call.on("close", () => this.#end());
	}

	get peer(): Peer {
		return this.options.peer;
	}

	get node(): string | null {
		return this.#node;
	}

	get identified(): boolean {
		return this.#node !== null;
	}

	get closed(): boolean {
		return this.#closed;
	}

	get asksForTables(): boolean {
		return this.#stream.asksForTables;
	}

	/** The newest revision that the client serves, and the Services that are closed there; null = none yet. */
	get rested(): Isolation["rested"] {
		const { rested } = this.#isolation;
		if (rested === null || this.#closedBySidecar.size === 0) return rested;
		return { ...rested, closed: [...rested.closed, ...this.#closedBySidecar.keys()] };
	}

	/** Services, by name, that a sidecar has closed because it cannot execute them. */
	get closedBySidecar(): ReadonlyMap<string, ClosedService> {
		return this.#closedBySidecar;
	}

	status(): ProxyStatus {
		const types = Object.entries(this.#stream.status(this.#target())).map(([type, status]) => {
			const refusedSinceMs = this.#refusedSinceMs.get(type);
			const unansweredSinceMs = type === "tables" ? this.#unansweredSinceMs : null;
			return [
				type,
				{
					...status,
					...(refusedSinceMs === undefined ? {} : { refusedSinceMs }),
					...(unansweredSinceMs === null ? {} : { unansweredSinceMs }),
				},
			];
		});
		const { closed } = this.#isolation;
		return {
			node: this.#node ?? "",
			connectedAtMs: this.#connectedAtMs,
			revision: this.rested?.revision ?? null,
			...(closed.length === 0 ? {} : { closed }),
			types: Object.fromEntries(types),
		};
	}

	/** State for the client's next stream. */
	get memory(): Remembered {
		return { isolation: this.#isolation.memory, stream: this.#stream.memory };
	}

	/** What this client should hold; null until the first publication. */
	#target(): Snapshot | null {
		const { target } = this.#isolation;
		return target === null ? null : this.options.restrict(target.publication.snapshot(target.closed));
	}

	/** Records when rejections begin and end. */
	#note(): void {
		for (const [type, { state }] of Object.entries(this.#stream.status(this.#target()))) {
			if (state === "ERROR" && !this.#refusedSinceMs.has(type)) this.#refusedSinceMs.set(type, this.options.nowMs());
			if (state === "SYNCED") this.#refusedSinceMs.delete(type);
		}
	}

	/** Rejections may change the target. */
	#judgeRefusals(): void {
		for (;;) {
			const { errors } = this.#refusals();
			const more = { nowMs: this.options.nowMs(), isFresh: !this.#stream.cameWithState };
			if (errors.length === 0 || !this.#isolation.refuse(errors, more)) return;
		}
	}

	/**
	 * `own`: rejected listeners and filters of a Gateway. Their last good version stays, and no Service is closed for
	 * them.
	 */
	#refusals() {
		const target = this.#target();
		const refusals = target === null ? [] : this.#stream.refusals(target);
		const own = refusals.filter(({ type }) => type === "listeners" || type === "extensions");
		return { own, errors: refusals.filter((one) => !own.includes(one)) };
	}

	/** Whether the client has accepted the target and needs another one now. */
	#isAccepted(target: Snapshot): boolean {
		const { own, errors } = this.#refusals();
		if (errors.length > 0 || this.#blocked) return false;
		const names = new Set(own.map(({ name }) => name));
		return this.#stream.syncedBut(target, names) && this.#isolation.take(own.length === 0);
	}

	/** Sends what is due, and sets the timer for delayed responses. */
	pump(): void {
		this.#catching(() => this.#pump());
	}

	/** An error with one client ends only its own stream. */
	#catching(run: () => void): void {
		try {
			run();
		} catch (error) {
			this.options.onFault(this.#node ?? "", error);
			this.refuse(status.INTERNAL, "the request could not be handled");
		}
	}

	#pump(): void {
		const publication = this.options.publication();
		if (publication === null || this.#closed || this.#node === null) return;
		this.#isolation.offer(publication);
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		// Deadlines use a monotonic clock.
		const steadyMs = performance.now();
		let target: Snapshot | null;
		do {
			this.#judgeRefusals();
			target = this.#target();
			if (target === null) return;
			this.#send(target, steadyMs);
		} while (this.#isAccepted(target));
		const dueAtMs = this.#stream.deadlineMs(steadyMs);
		this.#note();
		// A client that does not read gets nothing, so no timer is needed.
		if (dueAtMs !== null && !this.#blocked)
			this.#timer = setTimeout(() => this.pump(), Math.max(1, dueAtMs - steadyMs)).unref();
		this.options.onChange();
	}

	#send(target: Snapshot, steadyMs: number): void {
		if (this.#blocked) return;
		for (const response of this.#stream.next(target, steadyMs)) {
			if (response.type === "tables") this.#unansweredSinceMs ??= this.options.nowMs();
			if (!this.call.write(writeResponse(response, this.options.server))) this.#blocked = true;
		}
	}

	refuse(code: status, details: string): void {
		this.call.emit("error", { code, details });
		this.#end();
	}

	#receive(message: DiscoveryRequest): void {
		if (this.#closed || !this.#identify(message)) return;
		const type = typeOf(message);
		if (type === null) return;
		if (!maySubscribe(this.options.peer, type)) {
			this.options.onRefused("type");
			this.refuse(status.PERMISSION_DENIED, `${type} are not for a client with this SPIFFE id`);
			return;
		}
		const { resourceNames: names } = message;
		if (names.length > XDS_NAMES_MAX || names.some(({ length }) => length > XDS_NAME_CHARS_MAX)) {
			this.options.onRefused("too-many");
			this.refuse(status.RESOURCE_EXHAUSTED, "the request names too many resources, or one with too long a name");
			return;
		}
		const request = readRequest(message, type);
		const verdict = this.#stream.take(request);
		if (verdict !== "none" && type === "tables") this.#unansweredSinceMs = null;
		// After a rejection the sidecar keeps its previous table and closed Services.
		if (verdict === "ack" && type === "tables") this.#recordClosed(request.closed ?? []);
		this.#note();
		if (verdict === "nack") this.options.onNack(this.#node ?? "", this.status());
		this.#pump();
		this.options.onChange();
	}

	/** Only published Services that use the sidecar count, because the message goes to the Service's namespace. */
	#recordClosed(closed: readonly SidecarClosure[]): void {
		const before = this.#closedBySidecar;
		const { services = [] } = this.options.publication()?.published.table ?? {};
		const asks = new Set(
			closed.length === 0 ? [] : services.flatMap(({ name, callout }) => (callout === null ? [] : name)),
		);
		this.#closedBySidecar = new Map(
			closed
				.filter(({ service }) => asks.has(service))
				.map(({ service, why }) => {
					const sinceMs = before.get(service)?.sinceMs ?? this.options.nowMs();
					return [service, { service, form: "", why: printableText(why), sinceMs }];
				}),
		);
	}

	/** S2: the first request names the node. Later requests may repeat it, but not name another. */
	#identify(message: DiscoveryRequest): boolean {
		const id = message.node?.id ?? "";
		if (this.#node === null) {
			if (!isNode(id)) this.refuse(status.INVALID_ARGUMENT, NO_NODE);
			else if (!mayBeNode(this.options.peer, id)) {
				this.options.onRefused("another-node");
				this.refuse(status.PERMISSION_DENIED, "node.id is not the last segment of the client's SPIFFE id");
			} else this.#begin(id, message.versionInfo !== "");
		} else if (id !== "" && id !== this.#node) {
			this.options.onRefused("another-node");
			this.refuse(status.INVALID_ARGUMENT, `the stream is of node ${this.#node}, this request is of another`);
		}
		return !this.#closed;
	}

	/** @param holds the client has a configuration; one without has been restarted, maybe as another version */
	#begin(node: string, holds: boolean): void {
		this.#node = node;
		const before = holds ? this.options.recall(node) : undefined;
		this.#isolation = new Isolation(before?.isolation);
		if (before?.stream != null) this.#stream.resume(before.stream);
	}

	#end(): void {
		if (this.#closed) return;
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		this.call.end();
		this.options.onChange();
	}
}
