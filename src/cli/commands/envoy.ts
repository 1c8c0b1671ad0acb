/** `weir envoy`: runs a real Envoy that takes everything from control in the same directory. */
import { resolve } from "node:path";
import { dynamicBootstrap, type RemoteDoor } from "../../compiler/bootstrap.js";
import { WeirError } from "../../error.js";
import { endWhenTold, tellReady } from "../stack/child.js";
import { findEnvoy } from "../stack/envoyBinary.js";
import { startEnvoy } from "../stack/envoyProcess.js";
import { collectorsOf, places } from "../stack/places.js";
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
