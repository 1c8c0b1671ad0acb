/** The aggregated discovery service as grpc-js needs it, with protobuf-es codecs. */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { MethodDefinition } from "@grpc/grpc-js";
import {
	type DiscoveryRequest,
	DiscoveryRequestSchema,
	type DiscoveryResponse,
	DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.js";
import type { Request, Response } from "./channel.js";
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
	return {
		type,
		version: message.versionInfo,
		nonce: message.responseNonce,
		names: message.resourceNames,
		// N1: its presence alone makes a NACK, even with an empty message.
		error:
			message.errorDetail === undefined ? null : message.errorDetail.message || `gRPC code ${message.errorDetail.code}`,
	};
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
