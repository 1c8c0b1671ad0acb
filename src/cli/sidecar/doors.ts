/** Who the sidecar is and whom it answers: its SVID from the SPIFFE agent of the machine, for the TCP door and for signing. */
import type { SignDecision } from "../../access/signedDecision.js";
import { WeirError } from "../../error.js";
import type { Validity } from "../../identity/validity.js";
import type { Workload } from "../../identity/workloadClient.js";
import type { GrpcTls } from "../../sidecar/grpc/server.js";

export interface DoorOptions {
	/** UNIX socket of the SPIFFE agent; null = this process has no identity. */
	readonly identity: string | null;
	/** SPIFFE ids of the peers that a TCP door answers, exact or `PREFIX/*`; empty = the Envoys of the own trust domain. */
	readonly peers: readonly string[];
	/** It listens on TCP. */
	readonly tcp: boolean;
}

export interface Doors {
	readonly tls: GrpcTls | undefined;
	/** null = there is no identity to sign with. */
	readonly sign: SignDecision | null;
	/** Of the newest SVID; null = there is no identity. */
	validity(): Validity | null;
	close(): void;
}

/**
 * @throws WeirError `invalid-argument` for a TCP door without an identity, `unavailable` where the agent gives none
 */
export async function openDoors(
	{ identity, peers, tcp }: DoorOptions,
	log: { warn(message: string, fields?: Readonly<Record<string, string>>): void },
): Promise<Doors> {
	if (identity === null) {
		if (tcp) {
			throw new WeirError(
				"invalid-argument",
				"--listen needs an identity: the sidecar listens on TCP only with mutual TLS",
				"add --identity SOCKET (weir ca or SPIRE), or use --socket",
			);
		}
		return { tls: undefined, sign: null, validity: () => null, close: () => {} };
	}
	// What an identity needs is loaded only where there is one.
	const [{ ownIdentity }, { decisionSigner }] = await Promise.all([
		import("../stack/identity.js"),
		import("../../tokens/decision.js"),
	]);
	const workload = await ownIdentity(identity, log);
	return {
		tls: tcp ? await mutualTls(workload, peers, log) : undefined,
		sign: decisionSigner(() => workload.current()),
		validity: () => workload.validity(),
		close: () => workload.close(),
	};
}

async function mutualTls(
	workload: Workload,
	peers: readonly string[],
	log: { warn(message: string, fields?: Readonly<Record<string, string>>): void },
): Promise<GrpcTls> {
	const [nodeTls, { isForwardedRequest }, { trustDomainOf }, { matchesPrincipal }] = await Promise.all([
		import("../../identity/nodeTls.js"),
		import("../../identity/forwarded.js"),
		import("../../resources/spiffe.js"),
		import("../../access/requests/principal.js"),
	]);
	const { admitPeers, followRotation, serverTls } = nodeTls;
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
