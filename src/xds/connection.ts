/**
 * One open ADS call: feeds a ClientStream and writes what it says. Responses are made only when the call can take
 * them, so a slow reader costs one response per type and then sees the newest state, never a queue of old ones.
 */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { DiscoveryRequest, DiscoveryResponse } from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import type { ProxyStatus } from "../rollout/ports.js";
import { mayAsk, mayBeNode, type Peer, type RefusedFor } from "./peer.js";
import { readRequest, writeResponse } from "./service.js";
import type { Snapshot } from "./snapshot.js";
import { ClientStream, type SentViews } from "./stream.js";

export interface ConnectionOptions {
	readonly peer: Peer;
	readonly ackTimeoutMs: number;
	readonly views: SentViews;
	readonly server: string;
	readonly nowMs: () => number;
	/** What this client should have; null until the first publication: until then nothing is ever sent. */
	readonly target: () => Snapshot | null;
	/** Something that status() or synced() shows may have changed. */
	readonly onChange: () => void;
	readonly onNack: (node: string, status: ProxyStatus) => void;
	/** The client is not who it says it is, or asks for what is not its own; the stream is ended. */
	readonly onRefused: (reason: RefusedFor) => void;
}

export type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

export class Connection {
	readonly #stream: ClientStream;
	readonly #connectedAtMs: number;
	/** Null until the first request has said it (S2). */
	#node: string | null = null;
	/** By type, until the client serves what is published: in between it is given something, and refuses that too. */
	readonly #refusedSinceMs = new Map<string, number>();
	#syncedRevision: number | null = null;
	#blocked = false;
	#closed = false;
	#timer: NodeJS.Timeout | null = null;

	constructor(
		readonly call: Call,
		readonly options: ConnectionOptions,
	) {
		this.#stream = new ClientStream(options.ackTimeoutMs, options.views);
		this.#connectedAtMs = options.nowMs();
		call.on("data", (message: DiscoveryRequest) => this.#receive(message));
		call.on("drain", () => {
			this.#blocked = false;
			this.pump();
		});
		call.on("end", () => this.#end());
		call.on("error", () => this.#end());
		call.on("cancelled", () => this.#end());
		call.on("close", () => this.#end());
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

	/** The client serves exactly what it should have of the newest publication. */
	get synced(): boolean {
		const target = this.options.target();
		return target !== null && this.#stream.synced(target);
	}

	status(): ProxyStatus {
		const types = Object.entries(this.#stream.status(this.options.target())).map(([type, status]) => {
			const refusedSinceMs = this.#refusedSinceMs.get(type);
			return [type, { ...status, ...(refusedSinceMs === undefined ? {} : { refusedSinceMs }) }];
		});
		return {
			node: this.#node ?? "",
			connectedAtMs: this.#connectedAtMs,
			revision: this.#syncedRevision,
			types: Object.fromEntries(types),
		};
	}

	/** Remembers since when something has been refused, and what was taken last. */
	#note(): void {
		const target = this.options.target();
		for (const [type, { state }] of Object.entries(this.#stream.status(target))) {
			if (state === "ERROR" && !this.#refusedSinceMs.has(type)) this.#refusedSinceMs.set(type, this.options.nowMs());
			if (state === "SYNCED") this.#refusedSinceMs.delete(type);
		}
		if (target !== null && this.#stream.synced(target)) this.#syncedRevision = target.revision;
	}

	/** Writes what is due, and sets the timer for what becomes due by waiting. */
	pump(): void {
		const target = this.options.target();
		if (target === null || this.#closed || this.#node === null) return;
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		const nowMs = this.options.nowMs();
		if (!this.#blocked) {
			for (const response of this.#stream.next(target, nowMs)) {
				if (!this.call.write(writeResponse(response, this.options.server))) this.#blocked = true;
			}
		}
		const deadlineMs = this.#stream.deadlineMs(nowMs);
		this.#note();
		if (deadlineMs !== null) this.#timer = setTimeout(() => this.pump(), Math.max(1, deadlineMs - nowMs)).unref();
		this.options.onChange();
	}

	refuse(code: status, details: string): void {
		this.call.emit("error", { code, details });
		this.#end();
	}

	#receive(message: DiscoveryRequest): void {
		if (this.#closed || !this.#identify(message)) return;
		const request = readRequest(message);
		if (request === null) return;
		if (!mayAsk(this.options.peer, request.type)) {
			this.options.onRefused("type");
			this.refuse(status.PERMISSION_DENIED, `${request.type} are not for a client with this SPIFFE id`);
			return;
		}
		const verdict = this.#stream.take(request);
		this.#note();
		if (verdict === "nack") this.options.onNack(this.#node ?? "", this.status());
		this.pump();
		this.options.onChange();
	}

	/** S2: the first request names the node; a later one may name it again, never another. */
	#identify(message: DiscoveryRequest): boolean {
		const id = message.node?.id ?? "";
		if (this.#node === null) {
			if (id === "") this.refuse(status.INVALID_ARGUMENT, "the first request of a stream must carry node.id");
			else if (!mayBeNode(this.options.peer, id)) {
				this.options.onRefused("another-node");
				this.refuse(status.PERMISSION_DENIED, "node.id is not the last segment of the client's SPIFFE id");
			} else this.#node = id;
		} else if (id !== "" && id !== this.#node) {
			this.refuse(status.INVALID_ARGUMENT, `the stream is of node ${this.#node}, this request is of node ${id}`);
		}
		return !this.#closed;
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
