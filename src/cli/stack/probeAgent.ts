/** Probes this machine's Envoy while it runs, whenever control announces a round. */
import { setTimeout as pause } from "node:timers/promises";
import type { ProbeReport } from "../../compile/access/bypass/probe.js";
import type { RemoteListener } from "../../compile/envoy/bootstrap.js";
import { hostPort } from "../../declare/resources/address.js";
import { WeirError } from "../../error.js";
import { envoyAdmin } from "../../observe/agent/envoyAdmin.js";
import { Prober } from "../../observe/agent/prober.js";
import type { ProbeTls } from "../../observe/agent/sendProbe.js";
import { probeClient } from "../../publish/xds/probes.js";
import { grpcChannelCredentials } from "../../trust/identity/grpcTls.js";
import { clientTls } from "../../trust/identity/nodeTls.js";
import type { Identity } from "../../trust/identity/svid.js";

/** Pause before an agent reconnects to control. */
const PROBE_RETRY_MS = 1_000;

export interface ProbeAgentOptions {
	/** `node.id` of the Envoy. */
	readonly node: string;
	readonly adminSocket: string;
	/** Control's xDS: its UNIX socket, or a TCP address. */
	readonly control: string | RemoteListener;
	/** Identity of the Envoy; null = only on the UNIX socket, and Gateways of the mesh are not probed. */
	readonly identity: Identity | null;
	readonly notice: (line: string) => void;
}

export function startProbeAgent({ node, adminSocket, control, identity, notice }: ProbeAgentOptions): {
	close(): void;
} {
	const client =
		typeof control === "string"
			? probeClient(`unix:${control}`, null)
			: probeClient(hostPort(control.address, control.port), credentialsFor(control, identity));
	const prober = new Prober({
		admin: envoyAdmin(adminSocket),
		meshTls: identity === null ? null : () => meshTls(identity),
	});
	let closed = false;
	let refused = "";
	const run = async (): Promise<void> => {
		let report: ProbeReport | null = null;
		while (!closed) {
			try {
				const targets = await client.next(node, report);
				if (closed) return;
				refused = "";
				report = await prober.round(targets);
			} catch (error) {
				report = null;
				const why = WeirError.from(error).message;
				if (!closed && why !== refused) notice(`control refused the probe report of this Envoy: ${why}`);
				refused = why;
				await pause(PROBE_RETRY_MS, undefined, { ref: false });
			}
		}
	};
	void run();
	return {
		close: () => {
			closed = true;
			client.close();
		},
	};
}

function credentialsFor({ spiffeId }: RemoteListener, identity: Identity | null) {
	if (identity === null) throw new WeirError("invalid-argument", "control on another machine is mTLS only");
	return grpcChannelCredentials(identity, (id) => id === spiffeId);
}

/** Envoy shows the identity that its agent has. */
function meshTls(identity: Identity): ProbeTls {
	const { cert, key, ca, servername, checkServerIdentity } = clientTls(
		identity,
		(id) => id === identity.current().spiffeId,
	);
	return {
		cert,
		key,
		ca,
		...(servername === undefined ? {} : { servername }),
		...(checkServerIdentity === undefined ? {} : { checkServerIdentity }),
	};
}
