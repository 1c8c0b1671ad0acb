/** Clusters that fetch the keys of issuers: TLS, with a certificate of that host. */

import { isIp } from "../../declare/resources/address.js";
import type { Gateway, KeySource } from "../../declare/resources/resource.js";
import { contentHash } from "../assignment/hash.js";
import type { EnvoyResource } from "../plan/compiledPlan.js";
import { type KeySets, keySetName } from "./keySet.js";

type FetchedKeys = Extract<KeySource, { readonly from: "url" }>;

/** Path of the system's CA certificates on Debian and its derivatives; Envoy has no default. */
const SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt";

/** Name of the cluster: one per URL and trust anchor. */
export const keysCluster = ({ url, caFile }: FetchedKeys): string =>
	`weir_keys/${contentHash(JSON.stringify([url, caFile]))}`;

/** One per URL of all Gateways whose keys Envoy fetches itself. */
export function keysClusters(gateways: readonly Gateway[], keySets: KeySets): readonly EnvoyResource[] {
	const sources = gateways.flatMap(({ spec }) =>
		spec.tokens.flatMap(({ keys }) =>
			keys.from === "url" && !Object.hasOwn(keySets, keySetName(keys)) ? [[keysCluster(keys), keys] as const] : [],
		),
	);
	return [...new Map(sources)].map(([name, keys]) => cluster(name, keys));
}

function cluster(name: string, { url, caFile }: FetchedKeys): EnvoyResource {
	const { hostname, port } = new URL(url);
	const address = hostname.replace(/^\[|\]$/g, "");
	return {
		"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
		name,
		type: "STRICT_DNS",
		dns_lookup_family: "V4_PREFERRED",
		connect_timeout: "2s",
		load_assignment: {
			cluster_name: name,
			endpoints: [
				{
					lb_endpoints: [
						{ endpoint: { address: { socket_address: { address, port_value: port === "" ? 443 : Number(port) } } } },
					],
				},
			],
		},
		transport_socket: {
			name: "envoy.transport_sockets.tls",
			typed_config: {
				"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
				...(isIp(address) ? {} : { sni: address }),
				common_tls_context: {
					tls_params: { tls_minimum_protocol_version: "TLSv1_2" },
					validation_context: {
						trusted_ca: { filename: caFile ?? SYSTEM_TRUST },
						match_typed_subject_alt_names: [
							{ san_type: isIp(address) ? "IP_ADDRESS" : "DNS", matcher: { exact: address } },
						],
					},
				},
			},
		},
	};
}
