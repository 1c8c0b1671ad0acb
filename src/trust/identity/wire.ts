/** Service definitions of SDS and the SPIFFE Workload API for grpc-js, with protobuf-es codecs. */
import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import type { MethodDefinition } from "@grpc/grpc-js";
import { SecretSchema } from "../../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import {
	DiscoveryRequestSchema,
	type DiscoveryResponse,
	DiscoveryResponseSchema,
} from "../../gen/envoy/service/discovery/v3/discovery_pb.js";
import {
	X509BundlesRequestSchema,
	X509BundlesResponseSchema,
	X509SVIDRequestSchema,
	X509SVIDResponseSchema,
} from "../../gen/spiffe/workload_pb.js";

export const SECRET_TYPE_URL = `type.googleapis.com/${SecretSchema.typeName}`;

/** Required by the Workload API against SSRF: a browser cannot send it (SPIFFE Workload Endpoint, 4.1). */
export const SECURITY_HEADER = "workload.spiffe.io";

function method<Request extends DescMessage, Response extends DescMessage>(
	path: string,
	[request, requestStream]: readonly [Request, boolean],
	[response, responseStream]: readonly [Response, boolean],
): MethodDefinition<MessageShape<Request>, MessageShape<Response>> {
	return {
		path,
		requestStream,
		responseStream,
		requestSerialize: (message) => Buffer.from(toBinary(request, message)),
		requestDeserialize: (bytes) => fromBinary(request, bytes),
		responseSerialize: (message) => Buffer.from(toBinary(response, message)),
		responseDeserialize: (bytes) => fromBinary(response, bytes),
	};
}

const SDS = "/envoy.service.secret.v3.SecretDiscoveryService";

export const SecretDiscoveryServiceDefinition = {
	streamSecrets: method(`${SDS}/StreamSecrets`, [DiscoveryRequestSchema, true], [DiscoveryResponseSchema, true]),
	fetchSecrets: method(`${SDS}/FetchSecrets`, [DiscoveryRequestSchema, false], [DiscoveryResponseSchema, false]),
};

export const WorkloadApiDefinition = {
	fetchX509Svid: method(
		"/SpiffeWorkloadAPI/FetchX509SVID",
		[X509SVIDRequestSchema, false],
		[X509SVIDResponseSchema, true],
	),
	fetchX509Bundles: method(
		"/SpiffeWorkloadAPI/FetchX509Bundles",
		[X509BundlesRequestSchema, false],
		[X509BundlesResponseSchema, true],
	),
};

/** A certificate with its key, or a trust bundle; PEM. */
export type Secret =
	| { readonly name: string; readonly certificate: string; readonly privateKey: string }
	| { readonly name: string; readonly trustBundle: string };

export function secretsResponse(secrets: readonly Secret[], version: string, nonce: string): DiscoveryResponse {
	const inline = (text: string) => ({ specifier: { case: "inlineBytes" as const, value: Buffer.from(text) } });
	return create(DiscoveryResponseSchema, {
		versionInfo: version,
		nonce,
		typeUrl: SECRET_TYPE_URL,
		resources: secrets.map((secret) => {
			const message = create(SecretSchema, {
				name: secret.name,
				type:
					"trustBundle" in secret
						? { case: "validationContext", value: { trustedCa: inline(secret.trustBundle) } }
						: {
								case: "tlsCertificate",
								value: { certificateChain: inline(secret.certificate), privateKey: inline(secret.privateKey) },
							},
			});
			return create(AnySchema, { typeUrl: SECRET_TYPE_URL, value: toBinary(SecretSchema, message) });
		}),
	});
}
