/**
 * One ADS call to control that asks for the plan's table, in the state-of-the-world protocol. The file of the room
 * in which xDS messages become tables.
 */
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
import { GRPC_MESSAGE_BYTES_MAX, TABLE_CLOSED_REASONS_MAX } from "../../limits/index.js";
import { readTable } from "./tableReader.js";
import type { ClosedService, VersionedTable } from "./tables.js";

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

/** What control sent, unread: it must be answered by accept() or reject(). */
export interface Offer {
	readonly nonce: string;
	readonly version: string;
	/**
	 * @param known one that was read before, which is returned where it is of the same version: nothing is read again
	 * @returns null where there is no table in it, which says nothing (controlplane reference G1)
	 * @throws WeirError `invalid-argument`: it must be rejected with these words
	 */
	read(known: VersionedTable | null): VersionedTable | null;
}

/** Control's ADS, on its UNIX socket or over mTLS. */
export type ControlDoor =
	| { readonly socketPath: string }
	/** `target`: ADDRESS:PORT. */
	| { readonly target: string; readonly credentials: ChannelCredentials };

export interface TableStreamOptions {
	readonly door: ControlDoor;
	/** Node id by which control knows this sidecar. */
	readonly node: string;
	/** Of the sidecar that this process belongs to; undefined = it has none. */
	readonly instance: string | undefined;
	/** Version of the table that the sidecar already has; empty = none. */
	readonly held: string;
	readonly keepaliveMs: { readonly every: number; readonly answer: number };
	/** A peer that accepts connections and says nothing is given up after this. */
	readonly connectMs: number;
	/** Not called after close(), nor is onEnd. */
	readonly onOffer: (offer: Offer) => void;
	/** Called once, with the reason in words for the operator. */
	readonly onEnd: (reason: string) => void;
}

export class TableStream {
	readonly #client: InstanceType<typeof Client>;
	readonly #call: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
	readonly #watchdog: NodeJS.Timeout;
	#over = false;

	constructor({ door, node, instance, held, keepaliveMs, connectMs, onOffer, onEnd }: TableStreamOptions) {
		const [target, who] =
			"socketPath" in door
				? [`unix:${door.socketPath}`, credentials.createInsecure()]
				: [door.target, door.credentials];
		this.#client = new Client(target, who, {
			"grpc.keepalive_time_ms": keepaliveMs.every,
			"grpc.keepalive_timeout_ms": keepaliveMs.answer,
			// As large as control can send: a table that is too large is refused in words, not by the end of the stream.
			"grpc.max_receive_message_length": GRPC_MESSAGE_BYTES_MAX,
			// One that was shared with the last try, which failed, would wait a second or more before it tries at all.
			"grpc.use_local_subchannel_pool": 1,
			// Control is asked directly.
			"grpc.enable_http_proxy": 0,
			// Who it is says its SPIFFE id: SNI is a name (RFC 6066), and Node warns of an address.
			...("socketPath" in door ? {} : { "grpc.ssl_target_name_override": "control" }),
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

	/** @param closed Services of it that cannot be executed: the version is served without them */
	accept(offer: Offer, closed: readonly ClosedService[] = []): void {
		this.#ask(offer.nonce, offer.version, closed.length === 0 ? {} : { errorDetail: closedDetail(closed) });
	}

	/**
	 * Of all of it. N1: the words make it a rejection; the version stays that of the last good one.
	 * @param held version of that; empty = there is none
	 */
	reject(offer: Offer, words: string, held: string): void {
		this.#ask(offer.nonce, held, { errorDetail: { code: status.INVALID_ARGUMENT, message: words } });
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
