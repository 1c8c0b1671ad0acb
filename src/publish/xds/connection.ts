/**
 * One open ADS call: feeds a ClientStream and writes what it says. Responses are made only when the call can take
 * them, so a slow reader costs one response per type and then sees the newest state, never a queue of old ones.
 */
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { ClosedService, ProxyStatus } from "../../decide/rollout/ports.js";
import type { DiscoveryRequest, DiscoveryResponse } from "../../gen/envoy/service/discovery/v3/discovery_pb.js";
import { XDS_NAME_CHARS_MAX, XDS_NAMES_MAX } from "../../limits/index.js";
import type { ClosedThere } from "./channel.js";
import { Isolation, type Memory } from "./isolation.js";
import { isNode, mayAsk, mayBeNode, type Peer, type RefusedFor } from "./peer.js";
import type { Publication } from "./publication.js";
import { readRequest, typeOf, writeResponse } from "./service.js";
import type { Snapshot } from "./snapshot.js";
import { ClientStream, type StreamMemory } from "./stream.js";
import { toldWords } from "./words.js";

export interface ConnectionOptions {
	readonly peer: Peer;
	readonly ackTimeoutMs: number;
	readonly server: string;
	readonly nowMs: () => number;
	/** The newest publication; null until the first one: until then nothing is ever sent. */
	readonly publication: () => Publication | null;
	/** What of a snapshot is for this client. */
	readonly restrict: (snapshot: Snapshot) => Snapshot;
	/** What is known of a node from before. */
	readonly recall: (node: string) => Remembered | undefined;
	/** Something that status() or synced() shows may have changed. */
	readonly onChange: () => void;
	readonly onNack: (node: string, status: ProxyStatus) => void;
	/** What it sent could not be taken, by a fault of ours; the stream is ended. */
	readonly onFault: (node: string, error: unknown) => void;
	/** The client is not who it says it is, or asks for what is not its own or too much; the stream is ended. */
	readonly onRefused: (reason: RefusedFor) => void;
}

/** What a client had on its last stream. */
export interface Remembered {
	readonly isolation: Memory;
	/** null = only what another process reported is known. */
	readonly stream: StreamMemory | null;
}

const NO_NODE = "the first request of a stream must carry node.id: printable ASCII characters, at most 256";

export type Call = ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

export class Connection {
	readonly #stream: ClientStream;
	readonly #connectedAtMs: number;
	/** Null until the first request has said it (S2). */
	#node: string | null = null;
	/** By type, until the client serves what is published: in between it is given something, and refuses that too. */
	readonly #refusedSinceMs = new Map<string, number>();
	/** Since when it owes an answer to a table, whatever it was sent after that one; null = it does not. */
	#unansweredSinceMs: number | null = null;
	#isolation = new Isolation();
	#closedThere: ReadonlyMap<string, ClosedService> = new Map();
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
		call.on("data", (message: DiscoveryRequest) => this.#guarded(() => this.#receive(message)));
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

	/** The newest revision that the client serves wholly, and the Services that are closed there instead; null = none yet. */
	get rested(): Isolation["rested"] {
		const { rested } = this.#isolation;
		if (rested === null || this.#closedThere.size === 0) return rested;
		return { ...rested, closed: [...rested.closed, ...this.#closedThere.keys()] };
	}

	/** Services that a sidecar has closed by itself: it cannot execute them, and takes the rest. By name. */
	get closedThere(): ReadonlyMap<string, ClosedService> {
		return this.#closedThere;
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

	/** What is known of the client, for when it comes back. */
	get memory(): Remembered {
		return { isolation: this.#isolation.memory, stream: this.#stream.memory };
	}

	/** What this client should have; null until the first publication. */
	#target(): Snapshot | null {
		const { target } = this.#isolation;
		return target === null ? null : this.options.restrict(target.publication.snapshot(target.closed));
	}

	/** Remembers since when something has been refused. */
	#note(): void {
		for (const [type, { state }] of Object.entries(this.#stream.status(this.#target()))) {
			if (state === "ERROR" && !this.#refusedSinceMs.has(type)) this.#refusedSinceMs.set(type, this.options.nowMs());
			if (state === "SYNCED") this.#refusedSinceMs.delete(type);
		}
	}

	/** What the client refuses of the target may make it be given something else. */
	#judgeRefusals(): void {
		for (;;) {
			const { errors } = this.#refusals();
			const more = { nowMs: this.options.nowMs(), isFresh: !this.#stream.cameWithState };
			if (errors.length === 0 || !this.#isolation.refuse(errors, more)) return;
		}
	}

	/** Own: of a Gateway, whose last good listener and filters stay. No Service is closed for them. */
	#refusals() {
		const target = this.#target();
		const refusals = target === null ? [] : this.#stream.refusals(target);
		const own = refusals.filter(({ type }) => type === "listeners" || type === "extensions");
		return { own, errors: refusals.filter((one) => !own.includes(one)) };
	}

	/** Whether the client has taken the target, and should have another one now. */
	#taken(target: Snapshot): boolean {
		const { own, errors } = this.#refusals();
		if (errors.length > 0 || this.#blocked) return false;
		const names = new Set(own.map(({ name }) => name));
		return this.#stream.syncedBut(target, names) && this.#isolation.take(own.length === 0);
	}

	/** Writes what is due, and sets the timer for what becomes due by waiting. */
	pump(): void {
		this.#guarded(() => this.#pump());
	}

	/** A fault with one client ends its own stream, and nobody else's. */
	#guarded(run: () => void): void {
		try {
			run();
		} catch (error) {
			this.options.onFault(this.#node ?? "", error);
			this.refuse(status.INTERNAL, "the request could not be taken");
		}
	}

	#pump(): void {
		const publication = this.options.publication();
		if (publication === null || this.#closed || this.#node === null) return;
		this.#isolation.offer(publication);
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		// Waiting has an end by a clock that nobody sets.
		const steadyMs = performance.now();
		let target: Snapshot | null;
		do {
			this.#judgeRefusals();
			target = this.#target();
			if (target === null) return;
			this.#say(target, steadyMs);
		} while (this.#taken(target));
		const saysAtMs = this.#stream.deadlineMs(steadyMs);
		this.#note();
		// A client that does not read gets nothing, however long one waits.
		if (saysAtMs !== null && !this.#blocked)
			this.#timer = setTimeout(() => this.pump(), Math.max(1, saysAtMs - steadyMs)).unref();
		this.options.onChange();
	}

	#say(target: Snapshot, steadyMs: number): void {
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
		if (!mayAsk(this.options.peer, type)) {
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
		// By a rejection it goes on with what it had before, and what is closed in that.
		if (verdict === "ack" && type === "tables") this.#noteClosed(request.closed ?? []);
		this.#note();
		if (verdict === "nack") this.options.onNack(this.#node ?? "", this.status());
		this.#pump();
		this.options.onChange();
	}

	/**
	 * Of what is published alone, for the words go to the namespace that a name is of; and of that where the sidecar is asked:
	 * a Service that needs none serves.
	 */
	#noteClosed(closed: readonly ClosedThere[]): void {
		const before = this.#closedThere;
		const { services = [] } = this.options.publication()?.published.table ?? {};
		const asks = new Set(
			closed.length === 0 ? [] : services.flatMap(({ name, callout }) => (callout === null ? [] : name)),
		);
		this.#closedThere = new Map(
			closed
				.filter(({ service }) => asks.has(service))
				.map(({ service, why }) => {
					const sinceMs = before.get(service)?.sinceMs ?? this.options.nowMs();
					return [service, { service, form: "", why: toldWords(why), sinceMs }];
				}),
		);
	}

	/** S2: the first request names the node; a later one may name it again, never another. */
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

	/** @param holds it has a configuration; one without has been started anew, and may be another version */
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
