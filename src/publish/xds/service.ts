/** The aggregated discovery service as grpc-js needs it, with protobuf-es codecs. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, anyIs } from "@bufbuild/protobuf/wkt";
import type { MethodDefinition } from "@grpc/grpc-js";
import {
	type DiscoveryRequest,
	DiscoveryRequestSchema,
	type DiscoveryResponse,
	DiscoveryResponseSchema,
} from "../../gen/envoy/service/discovery/v3/discovery_pb.js";
import type { Status } from "../../gen/google/rpc/status_pb.js";
import { ClosedServicesSchema } from "../../gen/weir/sidecar/v1/table_pb.js";
import type { Request, Response, SidecarClosure } from "./channel.js";
import { TYPE_URLS, TYPES, type TypeName } from "./resource.js";

/** Length of a client's version: Weir's own are hashes. */
const XDS_VERSION_CHARS_MAX = 128;

/** How much of a NACK's error is searched for names; less of it is reported (TABLE_ERROR_CHARS_MAX). */
const XDS_ERROR_READ_CHARS_MAX = 64 * 1024;

const method: MethodDefinition<DiscoveryRequest, DiscoveryResponse> = {
	path: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
	requestStream: true,
	responseStream: true,
	requestSerialize: (request) => Buffer.from(toBinary(DiscoveryRequestSchema, request)),
	requestDeserialize: (bytes) => fromBinary(DiscoveryRequestSchema, bytes, { readUnknownFields: false }),
	responseSerialize: (response) => Buffer.from(toBinary(DiscoveryResponseSchema, response)),
	responseDeserialize: (bytes) => fromBinary(DiscoveryResponseSchema, bytes),
};

export const AggregatedDiscoveryServiceDefinition = { streamAggregatedResources: method };

const TYPE_NAMES: ReadonlyMap<string, TypeName> = new Map(TYPES.map((type) => [TYPE_URLS[type], type]));

/** null for a type that is not published here. Such a request gets no answer, like an unknown name. */
export const typeOf = ({ typeUrl }: DiscoveryRequest): TypeName | null => TYPE_NAMES.get(typeUrl) ?? null;

export function readRequest(message: DiscoveryRequest, type: TypeName): Request {
	const { versionInfo, responseNonce: nonce, resourceNames: names, errorDetail } = message;
	// Reports show it. A longer version was never sent by this server.
	const version = versionInfo.slice(0, XDS_VERSION_CHARS_MAX);
	const request = { type, version, nonce, names };
	const closed = type === "tables" ? closedBy(errorDetail) : [];
	if (closed.length > 0) return { ...request, error: null, closed };
	// N1: its presence alone makes a NACK, even with an empty message.
	return {
		...request,
		error: errorDetail === undefined ? null : errorText(errorDetail),
	};
}

/**
 * Envoy prints the whole message before the error, with declarations of other namespaces. Only the resource's name is
 * kept.
 */
const PRINTED =
	/^(Error adding\S* \S+ [^:]+: )?(?:goo\.gle\/debug\w+\s+)?((?:cluster_)?name: "[^"]*"\s)?.*\s: (?=Proto constraint)/s;

const errorText = ({ code, message }: Status): string =>
	message.replace(PRINTED, "$1$2").slice(0, XDS_ERROR_READ_CHARS_MAX) || `gRPC code ${code}`;

/** A sidecar accepts a table except for these Services (table.proto). An unreadable list counts as a rejected table. */
function closedBy(errorDetail: Status | undefined): readonly SidecarClosure[] {
	const [detail] = errorDetail?.details ?? [];
	if (detail === undefined || !anyIs(detail, ClosedServicesSchema)) return [];
	try {
		const { services } = fromBinary(ClosedServicesSchema, detail.value);
		return services.map(({ name, why }) => ({ service: name, why }));
	} catch {
		return [];
	}
}

/** @param server identifier that operators see (S8) */
export function writeResponse(response: Response, server: string): DiscoveryResponse {
	return create(DiscoveryResponseSchema, {
		versionInfo: response.version,
		typeUrl: TYPE_URLS[response.type],
		nonce: response.nonce,
		controlPlane: { identifier: server },
		resources: response.resources.map(({ typeUrl, bytes }) => create(AnySchema, { typeUrl, value: bytes })),
	});
}
