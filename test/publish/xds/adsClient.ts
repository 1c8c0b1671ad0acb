/** A grpc-js ADS client that keeps the responses and answers only when the test calls it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import {
	type ChannelCredentials,
	type ClientDuplexStream,
	credentials,
	makeClientConstructor,
	type ServiceError,
} from "@grpc/grpc-js";
import type { Test } from "tap";
import {
	type DiscoveryRequest,
	DiscoveryRequestSchema,
	type DiscoveryResponse,
} from "../../../src/gen/envoy/service/discovery/v3/discovery_pb.js";
import { ClosedServicesSchema } from "../../../src/gen/weir/sidecar/v1/table_pb.js";
import { TYPE_URLS, type TypeName } from "../../../src/publish/xds/resource.js";
import { XdsServer, type XdsServerOptions } from "../../../src/publish/xds/server.js";
import { AggregatedDiscoveryServiceDefinition } from "../../../src/publish/xds/service.js";

const Client = makeClientConstructor(AggregatedDiscoveryServiceDefinition, "AggregatedDiscoveryService");

/** The error detail of a sidecar that accepts a table except some closed Services. */
export const closedServices = (message: MessageInitShape<typeof ClosedServicesSchema>): Any =>
	anyPack(ClosedServicesSchema, create(ClosedServicesSchema, message));

export class AdsClient {
	readonly #client: InstanceType<typeof Client>;
	readonly #call: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
	readonly #unread: DiscoveryResponse[] = [];
	#waiting: ((response: DiscoveryResponse) => void) | null = null;
	/** Resolves with the error that ended the stream. */
	readonly ended: Promise<ServiceError>;

	/** @param authority the server's name; by default that of grpc-js for the target */
	constructor(target: string, channel: ChannelCredentials = credentials.createInsecure(), authority?: string) {
		const named = authority === undefined ? {} : { "grpc.default_authority": authority };
		this.#client = new Client(target, channel, named);
		this.#call = this.#client.streamAggregatedResources?.() as ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
		this.#call.on("data", (response: DiscoveryResponse) => {
			if (this.#waiting === null) this.#unread.push(response);
			else this.#waiting(response);
			this.#waiting = null;
		});
		this.ended = new Promise((resolve) => this.#call.on("error", resolve));
	}

	get unread(): number {
		return this.#unread.length;
	}

	/** @param answers the response that this acknowledges or, with an error, rejects */
	ask(
		type: TypeName,
		names: readonly string[],
		answers?: DiscoveryResponse,
		more: { node?: string; metadata?: JsonObject; error?: string; details?: Any[] } = {},
	): void {
		this.#call.write(
			create(DiscoveryRequestSchema, {
				typeUrl: TYPE_URLS[type],
				resourceNames: [...names],
				versionInfo: answers?.versionInfo ?? "",
				responseNonce: answers?.nonce ?? "",
				...(more.node === undefined
					? {}
					: { node: { id: more.node, ...(more.metadata === undefined ? {} : { metadata: more.metadata }) } }),
				...(more.error === undefined ? {} : { errorDetail: { code: 3, message: more.error } }),
				...(more.details === undefined ? {} : { errorDetail: { code: 3, details: more.details } }),
			}),
		);
	}

	send(request: DiscoveryRequest): void {
		this.#call.write(request);
	}

	next(): Promise<DiscoveryResponse> {
		const first = this.#unread.shift();
		if (first !== undefined) return Promise.resolve(first);
		return new Promise((resolve) => {
			this.#waiting = resolve;
		});
	}

	/** Subscribes to all of a tiny plan and acknowledges it. */
	async follow(node: string, clusters: readonly string[]): Promise<void> {
		const subscriptions: [TypeName, readonly string[]][] = [
			["clusters", []],
			["endpoints", clusters],
			["listeners", []],
			["routes", ["weir/edge"]],
		];
		for (const [type, names] of subscriptions) {
			this.ask(type, names, undefined, { node });
			this.ask(type, names, await this.next());
		}
	}

	close(): void {
		this.#call.cancel();
		this.#client.close();
	}
}

/** An ADS server on a socket of its own, and clients of it, until the test ends. */
export async function startServer(t: Test, options: XdsServerOptions = {}) {
	const directory = await mkdtemp(join(tmpdir(), "weir-xds-"));
	const socketPath = join(directory, "ads.sock");
	const server = new XdsServer(options);
	await server.listen({ socketPath });
	const clients: AdsClient[] = [];
	t.teardown(async () => {
		for (const client of clients) client.close();
		await server.close();
		await rm(directory, { recursive: true, force: true });
	});
	const connect = (): AdsClient => {
		const client = new AdsClient(`unix:${socketPath}`);
		clients.push(client);
		return client;
	};
	return { server, connect, socketPath };
}
