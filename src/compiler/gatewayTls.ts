/**
 * TLS of a Gateway's listener. Certificate, key and client CA in files come apart from it, by SDS with their names alone: Envoy
 * watches the directories, and takes what is renamed into them for the next connection.
 */
import { GATEWAY_HANDSHAKE_MS } from "../limits.js";
import { type Gateway, qualifiedName, tlsFiles } from "../resources/resource.js";
import { protoDuration } from "./duration.js";
import { downstreamIdentity, NO_RESUMPTION } from "./identityTls.js";
import { type EnvoyResource, partName } from "./plan.js";

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

const CERTIFICATE = "weir.certificate";
const CLIENT_CA = "weir.client-ca";

/** Fields of the filter chain. */
export function gatewayTls(gateway: Gateway): object {
	const handshake = { transport_socket_connect_timeout: protoDuration(GATEWAY_HANDSHAKE_MS) };
	if (gateway.spec.tls?.from === "identity") return { ...handshake, transport_socket: downstreamIdentity() };
	const tls = tlsFiles(gateway);
	if (tls === null) return {};
	const demands = tls.clientCaFile !== null;
	const secret = (part: string) => ({
		name: partName(part, qualifiedName(gateway.metadata)),
		// Without an end: after one Envoy would take connections that it can only close.
		sds_config: { ads: {}, initial_fetch_timeout: "0s", resource_api_version: "V3" },
	});
	return {
		...handshake,
		transport_socket: {
			name: "envoy.transport_sockets.tls",
			typed_config: {
				"@type": `${TLS}.DownstreamTlsContext`,
				require_client_certificate: demands,
				...(demands ? NO_RESUMPTION : {}),
				common_tls_context: {
					alpn_protocols: ["h2", "http/1.1"],
					tls_certificate_sds_secret_configs: [secret(CERTIFICATE)],
					...(demands ? { validation_context_sds_secret_config: secret(CLIENT_CA) } : {}),
				},
			},
		},
	};
}

/** The names of its files; what is in them nobody but Envoy reads. */
export function gatewaySecrets(gateway: Gateway): readonly EnvoyResource[] {
	const tls = tlsFiles(gateway);
	if (tls === null) return [];
	const secret = (part: string, fields: object): EnvoyResource => ({
		"@type": `${TLS}.Secret`,
		name: partName(part, qualifiedName(gateway.metadata)),
		...fields,
	});
	const { certificateFile, privateKeyFile, clientCaFile } = tls;
	const pair = { certificate_chain: { filename: certificateFile }, private_key: { filename: privateKeyFile } };
	return [
		secret(CERTIFICATE, { tls_certificate: pair }),
		...(clientCaFile === null
			? []
			: [secret(CLIENT_CA, { validation_context: { trusted_ca: { filename: clientCaFile } } })]),
	];
}
