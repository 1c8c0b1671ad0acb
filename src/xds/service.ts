/** The aggregated discovery service as grpc-js needs it, with protobuf-es codecs. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, anyIs, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { MethodDefinition } from "@grpc/grpc-js";
import {
	type DiscoveryRequest,
	DiscoveryRequestSchema,
	type DiscoveryResponse,
	DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import type { Status } from "../gen/google/rpc/status_pb.js";
import { ClosedServiceSchema } from "../gen/weir/sidecar/v1/table_pb.js";
import type { ClosedThere, Request, Response } from "./channel.js";
import { TYPE_URLS, TYPES, type TypeName } from "./resource.js";

const method: MethodDefinition<DiscoveryRequest, DiscoveryResponse> = {
	path: "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
	requestStream: true,
	responseStream: true,
	requestSerialize: (request) => Buffer.from(toBinary(DiscoveryRequestSchema, request)),
	requestDeserialize: (bytes) => fromBinary(DiscoveryRequestSchema, bytes),
	responseSerialize: (response) => Buffer.from(toBinary(DiscoveryResponseSchema, response)),
	responseDeserialize: (bytes) => fromBinary(DiscoveryResponseSchema, bytes),
};

export const AggregatedDiscoveryServiceDefinition = { streamAggregatedResources: method };

const TYPE_NAMES: ReadonlyMap<string, TypeName> = new Map(TYPES.map((type) => [TYPE_URLS[type], type]));

/** @returns null for a type that is not published here: silence, as for any name that does not exist (G3). */
export function readRequest(message: DiscoveryRequest): Request | null {
	const type = TYPE_NAMES.get(message.typeUrl);
	if (type === undefined) return null;
	const { versionInfo: version, responseNonce: nonce, resourceNames: names, errorDetail } = message;
	const request = { type, version, nonce, names };
	const closed = type === "tables" ? closedBy(errorDetail) : [];
	if (closed.length > 0) return { ...request, error: null, closed };
	// N1: its presence alone makes a NACK, even with an empty message.
	return {
		...request,
		error: errorDetail === undefined ? null : errorDetail.message || `gRPC code ${errorDetail.code}`,
	};
}

/** By these a sidecar takes a table but for some Services (table.proto). */
function closedBy(errorDetail: Status | undefined): readonly ClosedThere[] {
	return (errorDetail?.details ?? []).flatMap((detail) => {
		const one = anyIs(detail, ClosedServiceSchema) ? anyUnpack(detail, ClosedServiceSchema) : undefined;
		return one === undefined ? [] : [{ service: one.name, why: one.why }];
	});
}

/** @param server identifies this server to people (S8). */
export function writeResponse(response: Response, server: string): DiscoveryResponse {
	return create(DiscoveryResponseSchema, {
		versionInfo: response.version,
		typeUrl: TYPE_URLS[response.type],
		nonce: response.nonce,
		controlPlane: { identifier: server },
		resources: response.resources.map(({ typeUrl, bytes }) => create(AnySchema, { typeUrl, value: bytes })),
	});
}
