/** One ADS stream to control for the plan's table (state of the world). */
import { create, fromBinary, type JsonObject, toBinary } from "@bufbuild/protobuf";
import { type Any, anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import {
	type ChannelCredentials,
	type ClientDuplexStream,
	connectivityState,
	credentials,
	type MethodDefinition,
	makeClientConstructor,
	type ServiceError,
	status,
} from "@grpc/grpc-js";
import { INSTANCE_KEY } from "../../compile/envoy/envoyInstance.js";
import { WeirError } from "../../error.js";
import {
	type DiscoveryRequest,
	DiscoveryRequestSchema,
	type DiscoveryResponse,
	DiscoveryResponseSchema,
} from "../../gen/envoy/service/discovery/v3/discovery_pb.js";
import { ClosedServicesSchema, TableSchema } from "../../gen/weir/sidecar/v1/table_pb.js";
import { readTable } from "./tableReader.js";
import type { ClosedService, VersionedTable } from "./tables.js";

/** Closed Services that a sidecar reports with a reason; the others with their name only. */
export const TABLE_CLOSED_REASONS_MAX = 100;

/** gRPC message limit: above the largest xDS response and access-log batch. */
const GRPC_MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

const TYPE_URL = `type.googleapis.com/${TableSchema.typeName}`;
/** The type's only resource (xds/table.ts). */
const RESOURCE_NAME = "plan";

const method: MethodDefinition<DiscoveryRequest, DiscoveryResponse> = {
	path: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
	requestStream: true,
	responseStream: true,
	requestSerialize: (request) => Buffer.from(toBinary(DiscoveryRequestSchema, request)),
	requestDeserialize: (bytes) => fromBinary(DiscoveryRequestSchema, bytes),
	responseSerialize: (response) => Buffer.from(toBinary(DiscoveryResponseSchema, response)),
	responseDeserialize: (bytes) => fromBinary(DiscoveryResponseSchema, bytes),
};

const Client = makeClientConstructor({ streamAggregatedResources: method }, "AggregatedDiscoveryService");

/** An unparsed response of control, to be answered by accept() or reject(). */
export interface Offer {
	readonly nonce: string;
	readonly version: string;
	/**
	 * @param known a parsed table, returned if it has the same version
	 * @returns null if the response has no table, which has no meaning
	 * @throws WeirError `invalid-argument`: reject with its message
	 */
	read(known: VersionedTable | null): VersionedTable | null;
}

/** Control's ADS, on its UNIX socket or over mTLS. */
export type ControlAddress =
	| { readonly socketPath: string }
	/** `target`: ADDRESS:PORT. */
	| { readonly target: string; readonly credentials: ChannelCredentials };

export interface TableStreamOptions {
	readonly control: ControlAddress;
	/** Node id by which control knows this sidecar. */
	readonly node: string;
	/** Id of the sidecar that this process belongs to; undefined = none. */
	readonly instance: string | undefined;
	/** Version of the table in use; empty = none. */
	readonly held: string;
	readonly keepaliveMs: { readonly every: number; readonly answer: number };
	/** Timeout of a peer that accepts the connection and sends nothing. */
	readonly connectMs: number;
	/** Neither this nor onEnd is called after close(). */
	readonly onOffer: (offer: Offer) => void;
	/** Called once, with a reason for the operator. */
	readonly onEnd: (reason: string) => void;
}

export class TableStream {
	readonly #client: InstanceType<typeof Client>;
	readonly #call: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
	readonly #watchdog: NodeJS.Timeout;
	#over = false;

	constructor({ control, node, instance, held, keepaliveMs, connectMs, onOffer, onEnd }: TableStreamOptions) {
		const [target, who] =
			"socketPath" in control
				? [`unix:${control.socketPath}`, credentials.createInsecure()]
				: [control.target, control.credentials];
		this.#client = new Client(target, who, {
			"grpc.keepalive_time_ms": keepaliveMs.every,
			"grpc.keepalive_timeout_ms": keepaliveMs.answer,
			// Control's limit, so that a table that is too large gets a NACK instead of a stream error.
			"grpc.max_receive_message_length": GRPC_MESSAGE_BYTES_MAX,
			// A shared subchannel would wait in its backoff after a failed try.
			"grpc.use_local_subchannel_pool": 1,
			"grpc.enable_http_proxy": 0,
			// The SPIFFE id identifies control. SNI must be a name (RFC 6066); Node warns for an address.
			...("socketPath" in control ? {} : { "grpc.ssl_target_name_override": "control" }),
		});
		this.#call = this.#client.streamAggregatedResources?.() as ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
		const end = (reason: string): void => {
			if (this.#over) return;
			this.close();
			onEnd(reason);
		};
		this.#call.on("data", (response: DiscoveryResponse) => {
			if (this.#over || response.typeUrl !== TYPE_URL) return;
			onOffer({ nonce: response.nonce, version: response.versionInfo, read: (known) => read(response, known) });
		});
		this.#call.on("error", (error: ServiceError) => end(error.details || error.message));
		this.#call.on("end", () => end("control ended the stream"));
		this.#watchdog = setTimeout(() => {
			const state = this.#client.getChannel().getConnectivityState(false);
			if (state !== connectivityState.READY) end(`no answer within ${connectMs} ms`);
		}, connectMs).unref();
		const metadata = instance === undefined ? {} : { metadata: { [INSTANCE_KEY]: instance } };
		this.#ask("", held, { node: { id: node, ...metadata } });
	}

	/** @param closed invalid Services; the rest of the version is in use */
	accept(offer: Offer, closed: readonly ClosedService[] = []): void {
		this.#ask(offer.nonce, offer.version, closed.length === 0 ? {} : { errorDetail: closedDetail(closed) });
	}

	/**
	 * Sends a NACK: error_detail and the version of the last good table.
	 * @param held that version; empty = none
	 */
	reject(offer: Offer, reason: string, held: string): void {
		this.#ask(offer.nonce, held, { errorDetail: { code: status.INVALID_ARGUMENT, message: reason } });
	}

	/** Ends the call. onEnd is not called. */
	close(): void {
		if (this.#over) return;
		this.#over = true;
		clearTimeout(this.#watchdog);
		this.#call.cancel();
		this.#client.close();
	}

	#ask(
		responseNonce: string,
		versionInfo: string,
		more: {
			node?: { id: string; metadata?: JsonObject };
			errorDetail?: { code: number; message: string; details?: Any[] };
		} = {},
	): void {
		if (this.#over) return;
		const request = { typeUrl: TYPE_URL, resourceNames: [RESOURCE_NAME], responseNonce, versionInfo, ...more };
		this.#call.write(create(DiscoveryRequestSchema, request));
	}
}

function closedDetail(closed: readonly ClosedService[]): { code: number; message: string; details: Any[] } {
	const message = `${closed.length} of the Services cannot be executed, and are closed`;
	const services = closed.map(({ name, why }, index) => ({ name, why: index < TABLE_CLOSED_REASONS_MAX ? why : "" }));
	const details = [anyPack(ClosedServicesSchema, create(ClosedServicesSchema, { services }))];
	return { code: status.INVALID_ARGUMENT, message, details };
}

function read({ resources }: DiscoveryResponse, known: VersionedTable | null): VersionedTable | null {
	const [resource] = resources;
	if (resource === undefined) return null;
	if (resources.length > 1) throw new WeirError("invalid-argument", `${resources.length} tables came at once`);
	let version: string;
	let json: string;
	try {
		const message = anyUnpack(resource, TableSchema);
		if (message === undefined) throw new WeirError("invalid-argument", `${resource.typeUrl} is no table`);
		version = message.version;
		if (known?.version === version) return known;
		json = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(message.json);
	} catch (error) {
		if (error instanceof WeirError) throw error;
		throw new WeirError("invalid-argument", "the table cannot be decoded", "", { cause: error });
	}
	return readTable(version, json);
}
