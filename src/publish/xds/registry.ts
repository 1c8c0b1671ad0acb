/**
 * Converts the compiler's proto3 JSON to Envoy's wire format. The registry lists every message that may be in an Any.
 * Unknown fields, unknown `@type`s and wrong value types are errors, so a mismatch with proto/ fails here, not in an
 * Envoy.
 */
import { createRegistry, type DescMessage, fromJson, type JsonValue, type Message, toBinary } from "@bufbuild/protobuf";
import type { EnvoyResource } from "../../compile/plan/compiledPlan.js";
import { WeirError } from "../../error.js";
import { BootstrapSchema } from "../../gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { ClusterSchema } from "../../gen/envoy/config/cluster/v3/cluster_pb.js";
import { TypedExtensionConfigSchema } from "../../gen/envoy/config/core/v3/extension_pb.js";
import { ClusterLoadAssignmentSchema } from "../../gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.js";
import { FilterConfigSchema, RouteSchema } from "../../gen/envoy/config/route/v3/route_components_pb.js";
import { RouteConfigurationSchema } from "../../gen/envoy/config/route/v3/route_pb.js";
import { OpenTelemetryConfigSchema } from "../../gen/envoy/config/trace/v3/opentelemetry_pb.js";
import { FileAccessLogSchema } from "../../gen/envoy/extensions/access_loggers/file/v3/file_pb.js";
import { ExpressionFilterSchema } from "../../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.js";
import { HttpGrpcAccessLogConfigSchema } from "../../gen/envoy/extensions/access_loggers/grpc/v3/als_pb.js";
import {
	ExtAuthzPerRouteSchema,
	ExtAuthzSchema,
} from "../../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.js";
import {
	ExternalProcessorSchema,
	ExtProcPerRouteSchema,
} from "../../gen/envoy/extensions/filters/http/ext_proc/v3/ext_proc_pb.js";
import {
	HeaderMutationSchema as HeaderMutationFilterSchema,
	HeaderMutationPerRouteSchema,
} from "../../gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.js";
import {
	JwtAuthenticationSchema,
	PerRouteConfigSchema,
} from "../../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { LocalRateLimitSchema } from "../../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.js";
import { LuaSchema } from "../../gen/envoy/extensions/filters/http/lua/v3/lua_pb.js";
import { RBACPerRouteSchema, RBACSchema } from "../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { RouterSchema } from "../../gen/envoy/extensions/filters/http/router/v3/router_pb.js";
import { ConnectionLimitSchema } from "../../gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.js";
import { HttpConnectionManagerSchema } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";
import { HeaderMutationSchema } from "../../gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.js";
import { ConsistentHashingSchema } from "../../gen/envoy/extensions/matching/input_matchers/consistent_hashing/v3/consistent_hashing_pb.js";
import { CaresDnsResolverConfigSchema } from "../../gen/envoy/extensions/network/dns_resolver/cares/v3/cares_dns_resolver_pb.js";
import { DescriptorSchema } from "../../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.js";
import { UuidRequestIdConfigSchema } from "../../gen/envoy/extensions/request_id/uuid/v3/uuid_pb.js";
import { DownstreamConnectionsConfigSchema } from "../../gen/envoy/extensions/resource_monitors/downstream_connections/v3/downstream_connections_pb.js";
import { ParentBasedSamplerConfigSchema } from "../../gen/envoy/extensions/tracers/opentelemetry/samplers/v3/parent_based_sampler_pb.js";
import { TraceIdRatioBasedSamplerConfigSchema } from "../../gen/envoy/extensions/tracers/opentelemetry/samplers/v3/trace_id_ratio_based_sampler_pb.js";
import {
	DownstreamTlsContextSchema,
	UpstreamTlsContextSchema,
} from "../../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js";
import { HttpProtocolOptionsSchema } from "../../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.js";
import { HttpRequestHeaderMatchInputSchema } from "../../gen/envoy/type/matcher/v3/http_inputs_pb.js";

export const registry = createRegistry(
	ClusterSchema,
	ClusterLoadAssignmentSchema,
	TypedExtensionConfigSchema,
	ListenerSchema,
	RouteConfigurationSchema,
	RouteSchema,
	OpenTelemetryConfigSchema,
	ParentBasedSamplerConfigSchema,
	TraceIdRatioBasedSamplerConfigSchema,
	UuidRequestIdConfigSchema,
	FileAccessLogSchema,
	ExpressionFilterSchema,
	HttpGrpcAccessLogConfigSchema,
	FilterConfigSchema,
	ExtAuthzSchema,
	ExtAuthzPerRouteSchema,
	ExternalProcessorSchema,
	ExtProcPerRouteSchema,
	JwtAuthenticationSchema,
	PerRouteConfigSchema,
	LuaSchema,
	RBACSchema,
	RBACPerRouteSchema,
	LocalRateLimitSchema,
	CaresDnsResolverConfigSchema,
	DescriptorSchema,
	RouterSchema,
	ConnectionLimitSchema,
	HttpConnectionManagerSchema,
	HeaderMutationSchema,
	HeaderMutationFilterSchema,
	HeaderMutationPerRouteSchema,
	ConsistentHashingSchema,
	DownstreamConnectionsConfigSchema,
	DownstreamTlsContextSchema,
	UpstreamTlsContextSchema,
	HttpProtocolOptionsSchema,
	HttpRequestHeaderMatchInputSchema,
);

const TYPE_PREFIX = "type.googleapis.com/";

export interface DecodedResource {
	readonly typeUrl: string;
	readonly schema: DescMessage;
	readonly message: Message;
}

/** @throws WeirError `internal` for an unknown type or field: the compiler and proto/ differ */
export function decodeEnvoyResource(resource: EnvoyResource): DecodedResource {
	const { "@type": typeUrl, ...fields } = resource;
	const schema = registry.getMessage(typeUrl.slice(TYPE_PREFIX.length));
	if (schema === undefined || !typeUrl.startsWith(TYPE_PREFIX)) {
		throw new WeirError(
			"internal",
			`no Envoy message ${typeUrl}`,
			"add it to proto/ and to src/publish/xds/registry.ts",
		);
	}
	return { typeUrl, schema, message: read(schema, fields) };
}

/** @returns the bytes of the message itself, without an Any around it; the same for any order of keys */
export function encodeEnvoyResource(resource: EnvoyResource): Uint8Array {
	const { schema, message } = decodeEnvoyResource(resource);
	return toBinary(schema, message);
}

/** Throws like decodeEnvoyResource if a bootstrap, in proto3 JSON, does not match proto/. */
export function checkBootstrap(bootstrap: object): void {
	read(BootstrapSchema, bootstrap);
}

function read(schema: DescMessage, json: object): Message {
	try {
		return fromJson(schema, sorted(json), { registry });
	} catch (error) {
		const message = error instanceof Error ? error.message : String(error);
		throw new WeirError("internal", message, "add the field to proto/ and generate the code again", {
			cause: error,
		});
	}
}

/** Sorts map keys, so that equal content has equal bytes and an equal version. */
function sorted(value: unknown): JsonValue {
	if (Array.isArray(value)) return value.map(sorted);
	if (typeof value !== "object" || value === null) return value as JsonValue;
	return Object.fromEntries(
		Object.entries(value)
			.filter(([, inner]) => inner !== undefined)
			.sort(([a], [b]) => (a < b ? -1 : 1))
			.map(([key, inner]) => [key, sorted(inner)]),
	);
}
