/**
 * The HTTP filters that ask the sidecar, and what switches them per Service. The one that carries a verdict is on
 * unless a virtual host switches it off, so a host that was forgotten is asked about, not passed; the others are off
 * unless a virtual host asks for them. What must not pass unanswered must also prove its answer: see calloutProof.ts.
 */

import { CALLOUT_TIMEOUT_MS } from "../../limits/index.js";
import { DECISION_HEADER } from "../access/signedDecision.js";
import type { CalloutProtocol } from "../table/execution.js";
import type { CalloutTable } from "../table/plan.js";
import { ASSIGN_FILTER, CONTEXT, METADATA_NAMESPACE, PROCESS_FILTER, VERDICT_FILTER } from "./calloutContext.js";
import { noProof, processProof, proofFilter } from "./calloutProof.js";
import { protoDuration } from "./duration.js";
import { ARM_HEADER, FORWARDED_CERT_HEADER, VARIANT_HEADER, WEIR_HEADER_PREFIX } from "./headers.js";

/** Static clusters of the bootstrap that lead to the sidecar: calls of ext_authz, and streams of ext_proc, which live longer. */
export const SIDECAR_CLUSTER = "weir_sidecar";
export const SIDECAR_STREAMS_CLUSTER = "weir_sidecar_streams";

const EXT_AUTHZ = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
const EXT_AUTHZ_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";
const EXT_PROC = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor";
const EXT_PROC_PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
const FILTER_CONFIG = "type.googleapis.com/envoy.config.route.v3.FilterConfig";

export interface CalloutFilters {
	/** How long Envoy waits: it has one time for all Services of a listener, so the longest. */
	readonly timeoutMs: number | null;
	/** Headers in which units lie. */
	readonly unitHeaders: readonly string[];
	/** What the sidecar must see of end users: nothing, their tokens, or the caller's certificate too. */
	readonly tokens: "none" | "shown" | "bound";
	/** The Gateway has trusted proxies: what they said of their client is for the sidecar, which takes it away. */
	readonly proxied: boolean;
}

/** All three filters, in the order of asking; at most one is on for a request. Then the one that looks for the answer. */
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

/** What the sidecar may change of a request, and nothing else: it cannot be used to forge an identity upstream. */
const requestHeaders = `${VARIANT_HEADER}|${ARM_HEADER}|${DECISION_HEADER}|${WEIR_HEADER_PREFIX}param-[a-z0-9-]+`;

const changeable = ({ proxied }: CalloutFilters): string =>
	proxied ? `${requestHeaders}|${FORWARDED_CERT_HEADER}` : requestHeaders;

const mutationRules = (names: string): object => ({
	disallow_all: true,
	allow_expression: { regex: `^(${names})$` },
	disallow_is_error: true,
});

/** In which tokens and proofs of possession come (RFC 6750 2.1, RFC 9449 4.3). */
const TOKEN_HEADERS = ["authorization", "dpop"];

/** Only what decisions need leaves Envoy: no body, no other header, and no token where it judges no user. */
const shownHeaders = ({ unitHeaders, tokens }: CalloutFilters, ...more: readonly object[]): object => ({
	patterns: [
		...unitHeaders.map((name) => ({ exact: name })),
		...(tokens === "none" ? [] : TOKEN_HEADERS.map((name) => ({ exact: name }))),
		{ prefix: WEIR_HEADER_PREFIX },
		{ exact: "x-forwarded-proto" },
		...more,
	],
});

/** @param passes without an answer the request goes on, to the default Variant. */
function extAuthz(context: CalloutFilters, statPrefix: string, passes: boolean): object {
	return {
		"@type": EXT_AUTHZ,
		grpc_service: grpcService(context, SIDECAR_CLUSTER),
		transport_api_version: "V3",
		stat_prefix: statPrefix,
		failure_mode_allow: passes,
		status_on_error: { code: "ServiceUnavailable" },
		// The Variant's header chooses the route. No access filter comes after this one.
		clear_route_cache: true,
		encode_raw_headers: true,
		validate_mutations: true,
		allowed_headers: shownHeaders(context),
		// RFC 8705: a token bound to a certificate is compared with the very one.
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
		// The sidecar asks for the response only where it has something to change there.
		allow_mode_override: true,
		request_attributes: [
			"connection.uri_san_peer_certificate",
			// Who pays for the verification of a token where no identity is proved.
			...(context.tokens === "none" ? [] : ["source.address"]),
			...(context.tokens === "bound" ? ["connection.sha256_peer_certificate_digest"] : []),
		],
		forward_rules: { allowed_headers: shownHeaders(context, { prefix: ":" }) },
		mutation_rules: mutationRules(`${changeable(context)}|set-cookie|www-authenticate`),
		metadata_options: { receiving_namespaces: { untyped: [METADATA_NAMESPACE] } },
	};
}

/** typed_per_filter_config of a Service that the sidecar is never asked about. */
export const noCallout = (): Record<string, object> => ({
	[VERDICT_FILTER]: { "@type": FILTER_CONFIG, disabled: true },
	...noProof(),
});

/** What one of our routes says of a request; see calloutContext.ts. */
export type RouteFacts = Partial<Record<keyof typeof CONTEXT, string>>;

/** typed_per_filter_config of a Service in callout: exactly one filter is on. */
export function calloutPerRoute(
	callout: CalloutTable,
	protocol: CalloutProtocol,
	facts: RouteFacts,
): Record<string, object> {
	const said = Object.entries(facts).map(([fact, value]) => [CONTEXT[fact as keyof typeof CONTEXT], value] as const);
	if (protocol === "ext_proc") {
		return {
			...noCallout(),
			[PROCESS_FILTER]: {
				"@type": EXT_PROC_PER_ROUTE,
				overrides: {
					grpc_initial_metadata: said.map(([key, value]) => ({ key, value })),
					...(callout.onFailure === "default-variant" ? { failure_mode_allow: true } : {}),
				},
			},
			...(callout.onFailure === "deny" ? processProof() : {}),
		};
	}
	const asked = { "@type": EXT_AUTHZ_PER_ROUTE, check_settings: { context_extensions: Object.fromEntries(said) } };
	if (callout.onFailure === "deny") return { [VERDICT_FILTER]: asked };
	return { ...noCallout(), [ASSIGN_FILTER]: asked };
}
