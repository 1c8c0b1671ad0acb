/** How the built-in probe reaches a listener. */
import type { Bound } from "../../access/bypass/foreignListeners.js";
import { clientTls } from "../../identity/nodeTls.js";
import type { Identity } from "../../identity/svid.js";
import type { ProbeTarget } from "../../probe/prober.js";
import { type Gateway, tlsFiles } from "../../resources/resource.js";

/**
 * @param bound where Envoy says that it listens; null = it does not say
 * @returns why it cannot be probed, in words
 */
export function wayTo(gateway: Gateway, bound: Bound | null, identity: Identity | null): ProbeTarget | string {
	const { tls } = gateway.spec;
	const { address, port } = bound ?? gateway.spec;
	if (port === 0) return "its port is not known";
	const host = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
	if (tls === null) return { address: host, port, tls: null };
	const files = tlsFiles(gateway);
	if (files !== null) {
		if (files.clientCaFile !== null) return "it demands a client certificate of its own CA";
		// Its certificate is of whatever CA, and for the names of Services. Nothing secret is sent, and who could answer
		// in Envoy's place on this machine can read Envoy's key too.
		return { address: host, port, tls: () => ({ rejectUnauthorized: false }) };
	}
	if (identity === null) return "it demands a client certificate, and control has no identity";
	return {
		address: host,
		port,
		tls: () => {
			const { cert, key, ca, servername, checkServerIdentity } = clientTls(identity, (id) =>
				/\/weir\/envoy\/[^/]+$/.test(id),
			);
			return {
				cert,
				key,
				ca,
				...(servername === undefined ? {} : { servername }),
				...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
			};
		},
	};
}
