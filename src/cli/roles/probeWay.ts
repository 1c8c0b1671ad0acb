/** How the built-in probe gets through a listener. */
import type { Bound } from "../../access/bypass/foreignListeners.js";
import { asReached, type ListenerWay } from "../../access/bypass/reach.js";
import { type Gateway, tlsFiles } from "../../resources/resource.js";

/**
 * @param bound where Envoy says that it listens; null = it does not say
 * @param meshless why no Gateway of the mesh can be asked; null = it can
 * @returns why it cannot be probed, in words
 */
export function wayTo(gateway: Gateway, bound: Bound | null, meshless: string | null): ListenerWay | string {
	const { tls } = gateway.spec;
	const at = asReached(bound ?? gateway.spec);
	if (at.port === 0) return "its port is not known";
	if (tls === null) return { ...at, tls: "none" };
	const files = tlsFiles(gateway);
	if (files !== null) {
		if (files.clientCaFile !== null) return "it demands a client certificate of its own CA";
		return { ...at, tls: "unproved" };
	}
	return meshless ?? { ...at, tls: "mesh" };
}
