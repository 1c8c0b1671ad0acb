/** How the built-in probe reaches the Envoy of its own machine: its admin's UNIX socket, and connections of its own. */
import type { EnvoyReach, ListenerWay } from "../../access/bypass/reach.js";
import { WeirError } from "../../error.js";
import { clientTls } from "../../identity/nodeTls.js";
import type { Identity } from "../../identity/svid.js";
import { localAdmin } from "../../probe/envoyPage.js";
import { type ProbeTls, probe } from "../../probe/probe.js";

/**
 * @param identity null = Gateways that demand a certificate cannot be probed
 * @param isEnvoy whether that SPIFFE id is one of whom a Gateway of the mesh may be
 */
export function localReach(
	adminSocket: string,
	identity: Identity | null,
	isEnvoy: (spiffeId: string) => boolean = (id) => /\/weir\/envoy\/[^/]+$/.test(id),
): EnvoyReach {
	const tlsOf = (tls: ListenerWay["tls"]): (() => ProbeTls) | null => {
		if (tls === "none") return null;
		// Its certificate is of whatever CA, and for the names of Services. Nothing secret is sent, and who could answer
		// in Envoy's place on this machine can read Envoy's key too.
		if (tls === "unproved") return () => ({ rejectUnauthorized: false });
		return () => {
			if (identity === null) throw new WeirError("unavailable", "there is no identity yet");
			const { cert, key, ca, servername, checkServerIdentity } = clientTls(identity, isEnvoy);
			return {
				cert,
				key,
				ca,
				...(servername === undefined ? {} : { servername }),
				...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
			};
		};
	};
	return {
		admin: localAdmin(adminSocket),
		meshless: identity === null ? "it demands a client certificate, and control has no identity" : null,
		through: ({ address, port, tls }) => {
			const target = { address, port, tls: tlsOf(tls) };
			return (host, guard) => probe(target, host, guard);
		},
	};
}
