/**
 * HTTP filters that call the sidecar, and their configuration per Service. The verdict filter is on unless a virtual host
 * turns it off, so a host without configuration is checked and not open. The others are off unless a virtual host turns them
 * on. A verdict also needs a proof of the answer: see calloutProof.ts.
 */

import { DECISION_HEADER } from "../access/signedDecision.js";
import type { CalloutProtocol, CalloutTable } from "../plan/compiledPlan.js";
import { ARM_HEADER, FORWARDED_CERT_HEADER, VARIANT_HEADER, WEIR_HEADER_PREFIX } from "../plan/headers.js";
import { ASSIGN_FILTER, CONTEXT, METADATA_NAMESPACE, PROCESS_FILTER, VERDICT_FILTER } from "./calloutContext.js";
import { noProof, processProof, proofFilter } from "./calloutProof.js";
import { protoDuration } from "./duration.js";

/** Default timeout of a callout: Envoy's own default for ext_authz and ext_proc. */
export const CALLOUT_TIMEOUT_MS = 200;

/** Static bootstrap clusters of the sidecar: for ext_authz calls, and for ext_proc streams, which live longer. */
export const SIDECAR_CLUSTER = "weir_sidecar";
export const SIDECAR_STREAMS_CLUSTER = "weir_sidecar_streams";

const EXT_AUTHZ = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
const EXT_AUTHZ_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";
const EXT_PROC = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor";
const EXT_PROC_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
const FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

export interface CalloutFilters {
	/** Envoy's timeout. A filter has one for all Services of a listener, so it is the longest. */
	readonly timeoutMs: number | null;
	/** Headers that contain units. */
	readonly unitHeaders: readonly string[];
	/** What the sidecar needs of end users: nothing, their tokens, or also the caller's certificate. */
	readonly tokens: "none" | "shown" | "bound";
	/** The Gateway has trusted proxies. The sidecar needs what they reported about their client, and removes it. */
	readonly proxied: boolean;
}

/** The three callout filters in order, at most one of which is on for a request, then the filter that checks the proof. */
export function calloutFilters(context: CalloutFilters): readonly object[] {
	return [
		{ name: VERDICT_FILTER, typed_config: extAuthz(context, "weir_verdict", false) },
		{ name: ASSIGN_FILTER, disabled: true, typed_config: extAuthz(context, "weir_assign", true) },
		{ name: PROCESS_FILTER, disabled: true, typed_config: extProc(context) },
		proofFilter(),
	];
}

const grpcService = ({ timeoutMs }: CalloutFilters, cluster: string): object => ({
	envoy_grpc: { cluster_name: cluster },
	timeout: protoDuration(timeoutMs ?? CALLOUT_TIMEOUT_MS),
});

/** The sidecar may change only these headers, so it cannot be used to forge an identity upstream. */
const requestHeaders = `${VARIANT_HEADER}|${ARM_HEADER}|${DECISION_HEADER}|${WEIR_HEADER_PREFIX}param-[a-z0-9-]+`;

const changeable = ({ proxied }: CalloutFilters): string =>
	proxied ? `${requestHeaders}|${FORWARDED_CERT_HEADER}` : requestHeaders;

const mutationRules = (names: string): object => ({
	disallow_all: true,
	allow_expression: { regex: `^(${names})$` },
	disallow_is_error: true,
});

/** Headers of tokens and proofs of possession (RFC 6750 2.1, RFC 9449 4.3). */
const TOKEN_HEADERS = ["authorization", "dpop"];

/** Only headers that decisions need are sent: no body, and no token if no user is judged. */
const shownHeaders = ({ unitHeaders, tokens }: CalloutFilters, ...more: readonly object[]): object => ({
	patterns: [
		...unitHeaders.map((name) => ({ exact: name })),
		...(tokens === "none" ? [] : TOKEN_HEADERS.map((name) => ({ exact: name }))),
		{ prefix: WEIR_HEADER_PREFIX },
		{ exact: "x-forwarded-proto" },
		...more,
	],
});

/** @param passes without an answer the request goes to the default Variant */
function extAuthz(context: CalloutFilters, statPrefix: string, passes: boolean): object {
	return {
		"@type": EXT_AUTHZ,
		grpc_service: grpcService(context, SIDECAR_CLUSTER),
		transport_api_version: "V3",
		stat_prefix: statPrefix,
		failure_mode_allow: passes,
		status_on_error: { code: "ServiceUnavailable" },
		// The Variant's header chooses the route. No access filter follows this one.
		clear_route_cache: true,
		encode_raw_headers: true,
		validate_mutations: true,
		allowed_headers: shownHeaders(context),
		// RFC 8705: a certificate-bound token is compared with the certificate.
		...(context.tokens === "bound" ? { include_peer_certificate: true } : {}),
		decoder_header_mutation_rules: mutationRules(changeable(context)),
	};
}

function extProc(context: CalloutFilters): object {
	return {
		"@type": EXT_PROC,
		grpc_service: grpcService(context, SIDECAR_STREAMS_CLUSTER),
		stat_prefix: "weir_process",
		failure_mode_allow: false,
		status_on_error: { code: "ServiceUnavailable" },
		message_timeout: protoDuration(context.timeoutMs ?? CALLOUT_TIMEOUT_MS),
		processing_mode: { request_header_mode: "SEND", response_header_mode: "SKIP" },
		// The sidecar requests the response only if it changes it.
		allow_mode_override: true,
		request_attributes: [
			"connection.uri_san_peer_certificate",
			// Rate limits of token verification need a caller address if no identity is proved.
			...(context.tokens === "none" ? [] : ["source.address"]),
			...(context.tokens === "bound" ? ["connection.sha256_peer_certificate_digest"] : []),
		],
		forward_rules: { allowed_headers: shownHeaders(context, { prefix: ":" }) },
		mutation_rules: mutationRules(`${changeable(context)}|set-cookie|www-authenticate`),
		metadata_options: { receiving_namespaces: { untyped: [METADATA_NAMESPACE] } },
	};
}

/** typed_per_filter_config of a Service that never uses the sidecar. */
export const noCallout = (): Record<string, object> => ({
	[VERDICT_FILTER]: { "@type": FILTER_CONFIG, disabled: true },
	...noProof(),
});

/** Context that our routes add to a request; see calloutContext.ts. */
export type RouteFacts = Partial<Record<keyof typeof CONTEXT, string>>;

/** typed_per_filter_config of a Service that uses the sidecar: exactly one filter is on. */
export function calloutPerRoute(
	callout: CalloutTable,
	protocol: CalloutProtocol,
	facts: RouteFacts,
): Record<string, object> {
	const entries = Object.entries(facts).map(([fact, value]) => [CONTEXT[fact as keyof typeof CONTEXT], value] as const);
	if (protocol === "ext_proc") {
		return {
			...noCallout(),
			[PROCESS_FILTER]: {
				"@type": EXT_PROC_PER_ROUTE,
				overrides: {
					grpc_initial_metadata: entries.map(([key, value]) => ({ key, value })),
					...(callout.onFailure === "default-variant" ? { failure_mode_allow: true } : {}),
				},
			},
			...(callout.onFailure === "deny" ? processProof() : {}),
		};
	}
	const asked = { "@type": EXT_AUTHZ_PER_ROUTE, check_settings: { context_extensions: Object.fromEntries(entries) } };
	if (callout.onFailure === "deny") return { [VERDICT_FILTER]: asked };
	return { ...noCallout(), [ASSIGN_FILTER]: asked };
}
