/** `weir envoy`: runs a real Envoy that takes everything from control in the same directory. */
import { connect } from "node:net";
import { resolve } from "node:path";
import { connect as connectTls } from "node:tls";
import { dynamicBootstrap, type RemoteDoor } from "../../compiler/bootstrap.js";
import { WeirError } from "../../error.js";
import type { Identity } from "../../identity/svid.js";
import { watchDroppedEntries } from "../../probe/droppedEntries.js";
import { endWhenTold, tellReady } from "../stack/child.js";
import { findEnvoy } from "../stack/envoyBinary.js";
import { EnvoyKeeper } from "../stack/envoyKeeper.js";
import { startEnvoy } from "../stack/envoyProcess.js";
import { collectorsOf, type Places, places } from "../stack/places.js";
import { hostAndPort } from "./control.js";

export interface EnvoyArguments {
	readonly data: string;
	readonly run?: string;
	readonly traceSampling: string;
	readonly node: string;
	/** UNIX socket of a SPIFFE agent, for Gateways and Services with an identity. */
	readonly identity?: string;
	/** xDS over TCP instead of the UNIX socket: ADDRESS:PORT of control. */
	readonly control?: string;
	/** SPIFFE id of that control. */
	readonly controlId?: string;
	/** ADDRESS:PORT of that control's access log. */
	readonly accessLog?: string;
}

export async function envoy(options: EnvoyArguments): Promise<void> {
	const { data, run, traceSampling, node, identity } = options;
	const accessLog = doorOf(options.accessLog, options);
	const at = places(data, run);
	const binary = await findEnvoy({
		environment: process.env,
		notice: (line) => process.stderr.write(`weir: ${line}\n`),
	});
	let told = false;
	let stop = async (): Promise<void> => undefined;
	// Before there is an Envoy: one that is still starting would outlive its keeper, and hold its ports.
	endWhenTold(() => {
		told = true;
		return stop();
	});
	const keeper = await keeperOf(options, accessLog, at);
	const running = await startEnvoy({
		binary: binary.path,
		bootstrap: dynamicBootstrap(doorOf(options.control, options) ?? at.adsSocket, {
			collectors: collectorsOf(at, Number(traceSampling)),
			adminSocket: at.envoyAdminSocket,
			nodeId: node,
			sidecarSocket: at.sidecarSocket,
			identitySocket: identity === undefined ? null : resolve(identity),
			...(accessLog === null ? {} : { remote: { accessLog } }),
		}),
		directory: at.runDirectory,
		adminSocket: at.envoyAdminSocket,
		drained: () => keeper.drained(),
		spawned: (how) => {
			stop = how;
			if (told) void stop();
		},
	}).catch((error: unknown) => {
		if (told) return null;
		throw error;
	});
	if (running === null || told) return;
	running.process.once("exit", (code, signal) => {
		if (told) return;
		process.stderr.write(`weir: Envoy ended (${signal ?? `exit ${code}`})\n`);
		process.exit(1);
	});
	tellReady({ version: binary.version, ports: Object.fromEntries(running.ports) });
	if (running.ports.size === 0) {
		process.stderr.write(
			"weir: nothing listens yet: control has published no listener, or Envoy refused it (weir status)\n",
		);
	}
}

/** By the access log's own door. That of another machine is watched, by the Envoy's identity. */
async function keeperOf(
	{ node, identity: socket }: EnvoyArguments,
	door: RemoteDoor | null,
	at: Places,
): Promise<EnvoyKeeper> {
	const passedMs = (): number => performance.now();
	if (door === null) return new EnvoyKeeper({ node, passedMs, open: () => connect(at.accessLogSocket) });
	const [{ ownIdentity }, { clientTls }] = await Promise.all([
		import("../stack/identity.js"),
		import("../../identity/nodeTls.js"),
	]);
	const { address: host, port, spiffeId } = door;
	let identity: Identity | null = null;
	const keeper = new EnvoyKeeper({
		...{ node, passedMs },
		open: () => {
			if (identity === null) throw new WeirError("unavailable", "there is no identity yet");
			return connectTls({ host, port, ALPNProtocols: ["h2"], ...clientTls(identity, (id) => id === spiffeId) });
		},
	});
	// Envoy waits for its own as long.
	const follow = async (): Promise<void> => {
		while (identity === null) identity = await ownIdentity(socket).catch(() => null);
		keeper.watch();
	};
	void follow();
	watchDroppedEntries(at.envoyAdminSocket, passedMs, (entries, sinceMs) =>
		keeper.dropped(entries, passedMs() - sinceMs),
	);
	return keeper;
}

/** A door of control on another machine: mTLS, and only to it. null = the UNIX socket. */
function doorOf(door: string | undefined, { controlId, identity }: EnvoyArguments): RemoteDoor | null {
	if (door === undefined) return null;
	if (identity === undefined || controlId === undefined)
		throw new WeirError(
			"invalid-argument",
			"control on another machine is mTLS only",
			"add --identity SOCKET and --control-id SPIFFE-ID",
		);
	const { host, port } = hostAndPort(door);
	return { address: host, port, spiffeId: controlId };
}
