/**
 * TLS by SPIFFE identity: Envoy's own SVID and the trust bundle come over SDS from an agent on this machine (`weir ca`,
 * or SPIRE's) and are rotated under way. Peers are known by the exact URI in their certificate, never by host name.
 */
import { WORKLOAD_PATH } from "../../declare/resources/spiffe.js";
import { protoDuration } from "./duration.js";

/** Static cluster of the bootstrap that leads to the agent's socket. */
export const IDENTITY_CLUSTER = "weir_identity";

/** Names under which SPIRE's agent serves them; `weir ca` does so too. */
const OWN_SVID = "default";
const TRUST_BUNDLE = "ROOTCA";

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

/**
 * For every listener that demands client certificates: a session that is resumed has been proved by a certificate at some
 * time, and Envoy does not look again whether that has ended (RFC 8446 2.2). Tickets (stateless), and TLS 1.2's own ids.
 */
export const NO_RESUMPTION = {
	disable_stateless_session_resumption: true,
	disable_stateful_session_resumption: true,
} as const;

/**
 * Ids of these trust domains and of no other: a CA may sign for several, and so does a root that two of them share (SPIRE's
 * UpstreamAuthority). What is no id is left out with them, such as the domain alone.
 */
export const ofTrustDomains = (domains: readonly string[]): readonly object[] =>
	domains.map((domain) => ({
		safe_regex: { regex: `spiffe://${domain.replaceAll(".", "\\.")}${WORKLOAD_PATH}` },
	}));

/** No certificate has it for a name: nobody. */
const NOBODY = [{ exact: "spiffe://" }];

/** Envoy's matchers of a certificate's URI names, one of which must hold. */
export const uriNames = (matchers: readonly object[]): object => ({
	match_typed_subject_alt_names: matchers.map((matcher) => ({ san_type: "URI", matcher })),
});

/**
 * Every client must show an SVID of the trust domain; who may call what is not decided here.
 * @param trustDomain of the mesh; null = nobody has said, and nobody is taken
 */
export const downstreamIdentity = (trustDomain: string | null): object => ({
	name: "envoy.transport_sockets.tls",
	typed_config: {
		"@type": `${TLS}.DownstreamTlsContext`,
		require_client_certificate: true,
		...NO_RESUMPTION,
		common_tls_context: {
			alpn_protocols: ["h2", "http/1.1"],
			...svid(trustDomain === null ? NOBODY : ofTrustDomains([trustDomain])),
		},
	},
});

/**
 * Shows our SVID, and speaks with nobody but these.
 * @param spiffeIds exact; at least one
 */
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
	// Envoy as a client offers no more than TLS 1.2 unless it is told.
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
