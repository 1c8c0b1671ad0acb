/**
 * An Envoy whose clusters warm: it acknowledges clusters only when it has the endpoints of each new or changed one, and
 * reads on meanwhile. Messages of both sides are queued until the test reads them.
 */
import type { Request, Response } from "../../../src/publish/xds/channel.js";
import type { EncodedResource, TypeName } from "../../../src/publish/xds/resource.js";
import type { Snapshot } from "../../../src/publish/xds/snapshot.js";
import { ClientStream } from "../../../src/publish/xds/stream.js";
import { TIMEOUT_MS } from "./script.js";

export class WarmingEnvoy {
	readonly stream = new ClientStream(TIMEOUT_MS);
	nowMs = 0;
	readonly #inbox: Response[] = [];
	readonly #outbox: Request[] = [];
	readonly #nonces = new Map<TypeName, Response>();
	#clusters: ReadonlyMap<string, EncodedResource> = new Map();
	readonly #cold = new Set<string>();
	/** Of clusters, that wait until all are warm. */
	#owesAck = false;
	#named: ReadonlySet<string> = new Set();
	readonly #endpoints = new Map<string, EncodedResource>();
	/** Clusters that a message left without endpoints while routes use them. */
	readonly emptied: string[] = [];

	constructor(public target: Snapshot) {
		for (const type of ["clusters", "listeners", "routes"] as const)
			this.#ask(type, type === "routes" ? ["weir/edge"] : []);
	}

	publish(target: Snapshot): void {
		this.target = target;
		this.#pump();
	}

	/** The server reads one request. @returns whether there was one */
	serverReads(): boolean {
		const request = this.#outbox.shift();
		if (request === undefined) return false;
		this.stream.take(request);
		this.#pump();
		return true;
	}

	/** The client reads one response. @returns whether there was one */
	reads(): boolean {
		const response = this.#inbox.shift();
		if (response === undefined) return false;
		this.#nonces.set(response.type, response);
		if (response.type === "clusters") this.#takeClusters(response.resources);
		else {
			if (response.type === "endpoints") this.#takeEndpoints(response.resources);
			if (response.type === "routes") this.#named = new Set(response.resources.flatMap(({ clusters }) => clusters));
			this.#ask(response.type, this.#namesOf(response.type));
		}
		if (this.#owesAck && this.#cold.size === 0) {
			this.#owesAck = false;
			this.#ask("clusters", []);
		}
		return true;
	}

	/** Reads all queued messages and those that follow from them, up to `ms` later. */
	rests(ms = 0): void {
		this.nowMs += ms;
		this.#pump();
		while (this.serverReads() || this.reads());
	}

	#pump(): void {
		this.#inbox.push(...this.stream.next(this.target, this.nowMs));
	}

	#ask(type: TypeName, names: readonly string[]): void {
		const { version = "", nonce = "" } = this.#nonces.get(type) ?? {};
		this.#outbox.push({ type, names, version, nonce, error: null });
	}

	#namesOf(type: TypeName): readonly string[] {
		if (type === "endpoints") return [...this.#clusters.values()].flatMap(({ endpoints }) => endpoints ?? []);
		return type === "routes" ? ["weir/edge"] : [];
	}

	#takeClusters(resources: readonly EncodedResource[]): void {
		const before = this.#clusters;
		const names = this.#namesOf("endpoints").join();
		this.#clusters = new Map(resources.map((one) => [one.name, one]));
		for (const { name, hash, endpoints } of resources) {
			if (endpoints === null) this.#cold.delete(name);
			else if (before.get(name)?.hash !== hash) this.#cold.add(name);
		}
		for (const name of this.#cold) if (!this.#clusters.has(name)) this.#cold.delete(name);
		for (const name of this.#endpoints.keys())
			if ((this.#clusters.get(name)?.endpoints ?? null) === null) this.#endpoints.delete(name);
		this.#owesAck = true;
		if (this.#namesOf("endpoints").join() !== names) this.#ask("endpoints", this.#namesOf("endpoints"));
	}

	#takeEndpoints(resources: readonly EncodedResource[]): void {
		const names = this.#namesOf("endpoints");
		for (const one of resources) {
			// It ignores resources that it did not request.
			if (!names.includes(one.name)) continue;
			const had = this.#endpoints.get(one.name)?.hosts.length ?? 0;
			if (had > 0 && one.hosts.length === 0 && this.#named.has(one.name)) this.emptied.push(one.name);
			this.#endpoints.set(one.name, one);
			this.#cold.delete(one.name);
		}
	}
}
