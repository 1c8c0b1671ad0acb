/** The sidecar's server over TCP: mutual TLS, for Envoys of certain SPIFFE ids alone. */
import { matchesPrincipal } from "../../compile/access/requests/principal.js";
import { trustDomainOf } from "../../declare/resources/spiffe.js";
import type { GrpcTls } from "../../publish/sidecar/grpc/server.js";
import type { TableLog } from "../../publish/sidecar/tables.js";
import { isForwardedRequest } from "../../trust/identity/forwarded.js";
import { admitPeers, followRotation, serverTls } from "../../trust/identity/nodeTls.js";
import type { Workload } from "../../trust/identity/workloadClient.js";

/** @param peers SPIFFE ids, exact or `PREFIX/*`; empty = the Envoys of the own trust domain */
export function mutualTls(workload: Workload, peers: readonly string[], log: Pick<TableLog, "warn">): GrpcTls {
	const admitted = peers.length > 0 ? peers : [`spiffe://${trustDomainOf(workload.current().spiffeId)}/weir/envoy/*`];
	const admit = (id: string): boolean => admitted.some((pattern) => matchesPrincipal(id, pattern));
	return {
		options: serverTls(workload),
		guard: (server) => {
			admitPeers(server, workload, admit, (reason, id) =>
				log.warn("a connection was refused", { reason, peer: id ?? "-" }),
			);
			return followRotation(server, workload);
		},
		isForwarded: isForwardedRequest,
	};
}
