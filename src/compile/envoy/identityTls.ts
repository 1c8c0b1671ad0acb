/**
 * TLS by SPIFFE identity. An agent on this machine (`weir ca` or SPIRE) serves and rotates Envoy's SVID and trust bundle by
 * SDS. Peers are checked by the exact URI in their certificate, never by host name.
 */
import { WORKLOAD_PATH } from "../../declare/resources/spiffe.js";
import { protoDuration } from "./duration.js";

/** Static bootstrap cluster of the agent's socket. */
export const IDENTITY_CLUSTER = "weir_identity";

/** SDS resource names of SPIRE's agent, and of `weir ca`. */
const OWN_SVID = "default";
const TRUST_BUNDLE = "ROOTCA";

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

/**
 * For listeners that require client certificates: Envoy does not check the certificate's expiry when a session is resumed
 * (RFC 8446 2.2). So no tickets (stateless) and no TLS 1.2 session ids.
 */
export const NO_RESUMPTION = {
	disable_stateless_session_resumption: true,
	disable_stateful_session_resumption: true,
} as const;

/**
 * Only ids of these trust domains: one CA, or a shared root (SPIRE's UpstreamAuthority), may sign for several. An invalid id,
 * such as the trust domain alone, does not match.
 */
export const ofTrustDomains = (domains: readonly string[]): readonly object[] =>
	domains.map((domain) => ({
		safe_regex: { regex: `spiffe://${domain.replaceAll(".", "\\.")}${WORKLOAD_PATH}` },
	}));

/** Matches no certificate. */
const NO_CERTIFICATE = [{ exact: "spiffe://" }];

/** Envoy's matchers of a certificate's URI SANs, one of which must match. */
export const uriNames = (matchers: readonly object[]): object => ({
	match_typed_subject_alt_names: matchers.map((matcher) => ({ san_type: "URI", matcher })),
});

/**
 * Every client must show an SVID of the trust domain. Access is decided elsewhere.
 * @param trustDomain of the mesh; null = unknown, and no client is accepted
 */
export const downstreamIdentity = (trustDomain: string | null): object => ({
	name: "envoy.transport_sockets.tls",
	typed_config: {
		"@type": `${TLS}.DownstreamTlsContext`,
		require_client_certificate: true,
		...NO_RESUMPTION,
		common_tls_context: {
			alpn_protocols: ["h2", "http/1.1"],
			...svid(trustDomain === null ? NO_CERTIFICATE : ofTrustDomains([trustDomain])),
		},
	},
});

/** Shows our SVID, and accepts only these peers. @param spiffeIds exact; at least one */
export const upstreamIdentity = (spiffeIds: readonly string[], http2: boolean): object => ({
	name: "envoy.transport_sockets.tls",
	typed_config: {
		"@type": `${TLS}.UpstreamTlsContext`,
		common_tls_context: {
			alpn_protocols: http2 ? ["h2"] : ["http/1.1"],
			...svid(spiffeIds.map((exact) => ({ exact }))),
		},
	},
});

const svid = (ids: readonly object[]): object => ({
	// As a client Envoy offers at most TLS 1.2 by default.
	tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
	tls_certificate_sds_secret_configs: [{ name: OWN_SVID, sds_config: overSds() }],
	combined_validation_context: {
		default_validation_context: uriNames(ids),
		validation_context_sds_secret_config: { name: TRUST_BUNDLE, sds_config: overSds() },
	},
});

const overSds = (): object => ({
	resource_api_version: "V3",
	api_config_source: {
		api_type: "GRPC",
		transport_api_version: "V3",
		grpc_services: [{ envoy_grpc: { cluster_name: IDENTITY_CLUSTER }, timeout: protoDuration(5_000) }],
	},
});
