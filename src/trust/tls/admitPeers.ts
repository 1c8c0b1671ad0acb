/** Doors over TCP that take peers by their SPIFFE id right after the handshake: others of the trust domain are many. */
import type { Server } from "node:tls";
import type { MutualTls } from "./tlsDoor.js";

/**
 * Ends every connection whose peer is not one of those admitted, before a byte of it is read and before it counts as one of
 * the door's.
 * @param refused told of each; null = its certificate has no id of the own trust domain
 */
export type AdmitPeers = (
	server: Server,
	admit: (spiffeId: string) => boolean,
	refused: (spiffeId: string | null) => void,
) => void;

/** The same door for those alone. */
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
