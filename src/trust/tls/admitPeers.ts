/** TLS servers that authorize peers by SPIFFE id right after the handshake. */
import type { Server } from "node:tls";
import type { MutualTls } from "./connectionLimits.js";

/**
 * Closes every connection whose peer is not admitted, before a byte is read and before it counts as a connection.
 * @param refused called for each; null = its certificate has no SPIFFE id of the own trust domain
 */
export type AdmitPeers = (
	server: Server,
	admit: (spiffeId: string) => boolean,
	refused: (spiffeId: string | null) => void,
) => void;

/** The same TLS settings, for admitted peers only. */
export const admitting = (
	{ tls, admitPeers }: { readonly tls: MutualTls; readonly admitPeers: AdmitPeers },
	...[admit, refused]: [admit: (spiffeId: string) => boolean, refused: (spiffeId: string | null) => void]
): MutualTls => ({
	...tls,
	follow: (server) => {
		admitPeers(server, admit, refused);
		return tls.follow(server);
	},
});
