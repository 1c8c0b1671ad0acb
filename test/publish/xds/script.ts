/** Two services, and the client's side of a conversation with a ClientStream at a clock of its own. */
import type { Response } from "../../../src/publish/xds/channel.js";
import type { TypeName } from "../../../src/publish/xds/resource.js";
import { type Snapshot, SnapshotMaker } from "../../../src/publish/xds/snapshot.js";
import { ClientStream, type TypeStatus } from "../../../src/publish/xds/stream.js";
import { published, type TinyService, tinyPlan } from "./tinyPlan.js";

export const TIMEOUT_MS = 5_000;

export const A: TinyService = { host: "a", variants: { v1: 1001, v2: 1002 }, weights: { v1: 9, v2: 1 } };
export const B: TinyService = { host: "b", variants: { v1: 2001 }, weights: { v1: 1 } };

export const snapshot = (services: Record<string, TinyService>, revision = 1): Snapshot =>
	new SnapshotMaker().make(published(tinyPlan({ gatewayPort: 8080, services })), revision);

/** Service a on a Variant that it never had before. */
export const MOVED: TinyService = { host: "a", variants: { v3: 1003 }, weights: { v3: 1 } };

/** An Envoy's part of the conversation: sends what the test asks for and keeps the responses, at a clock of its own. */
export class Script {
	readonly stream: ClientStream;
	readonly received: Response[] = [];
	nowMs = 0;
	#last = new Map<TypeName, Response>();
	#names = new Map<TypeName, readonly string[]>();

	/** @param before its previous stream, if known */
	constructor(
		public target: Snapshot,
		before?: Script,
	) {
		this.stream = new ClientStream(TIMEOUT_MS);
		if (before !== undefined) this.stream.resume(before.stream.memory);
	}

	/** @returns the responses that the request brought, as `type:name,name`. */
	ask(
		type: TypeName,
		names: readonly string[],
		more: { nonce?: string; version?: string; error?: string } = {},
	): string[] {
		this.#names.set(type, names);
		this.stream.take({
			type,
			names,
			version: more.version ?? "",
			nonce: more.nonce ?? this.#last.get(type)?.nonce ?? "",
			error: more.error ?? null,
		});
		return this.pump();
	}

	ack(type: TypeName, names = this.#names.get(type) ?? []): string[] {
		return this.ask(type, names, { version: this.#last.get(type)?.version ?? "" });
	}

	nack(type: TypeName, error: string): string[] {
		return this.ask(type, this.#names.get(type) ?? [], { error });
	}

	publish(target: Snapshot): string[] {
		this.target = target;
		return this.pump();
	}

	pump(): string[] {
		const responses = this.stream.next(this.target, this.nowMs);
		for (const response of responses) this.#last.set(response.type, response);
		this.received.push(...responses);
		return responses.map(({ type, resources }) => `${type}:${resources.map(({ name }) => name).join(",")}`);
	}

	/** ACKs everything, as an Envoy without errors does, until the server sends no more. */
	agree(responses: readonly string[]): string[] {
		const sent = [...responses];
		for (let pending = sent; pending.length > 0; ) {
			pending = pending.flatMap((one) => this.ack(one.split(":")[0] as TypeName));
			sent.push(...pending);
		}
		return sent;
	}

	/** Sends all subscriptions of a starting Envoy. */
	start(eds: readonly string[] = ["a/v1", "a/v2"]): string[] {
		const sent = this.agree(this.ask("clusters", []));
		sent.push(...this.agree(this.ask("endpoints", eds)));
		sent.push(...this.agree(this.ask("listeners", [])));
		sent.push(...this.agree(this.ask("routes", ["weir/edge"])));
		return sent;
	}

	status(type: TypeName): TypeStatus {
		const status = this.stream.status(this.target)[type];
		if (status === undefined) throw new Error(`${type} are not for this client`);
		return status;
	}
}

/**
 * A client of Service a that reconnects when the Service has moved, and ACKs every response.
 * @returns the responses to its first request, before it had new clusters, and after that
 */
export function comesBack(before: Snapshot): readonly (readonly string[])[] {
	const gone = new Script(before);
	gone.start();
	const envoy = new Script(snapshot({ a: MOVED }, 2), gone);
	const first = envoy.ask("clusters", [], { version: before.versions.clusters });
	envoy.ask("endpoints", ["a/v1", "a/v2"], { version: before.versions.endpoints });
	const meanwhile = [
		...envoy.ask("listeners", [], { version: before.versions.listeners }),
		...envoy.ask("routes", ["weir/edge"], { version: before.versions.routes }),
	];
	envoy.ack("clusters");
	return [first, meanwhile, envoy.agree(envoy.ask("endpoints", ["a/v1", "a/v2", "a/v3"]))];
}

/** Its routes wait for a/v3, and its old clusters are removed after the routes. */
export const KEEPS_CLUSTERS = [
	["clusters:a/v1,a/v2,a/v3"],
	[],
	["endpoints:a/v3", "listeners:edge", "routes:weir/edge", "clusters:a/v3"],
];
