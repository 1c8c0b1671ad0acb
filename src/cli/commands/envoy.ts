/** `weir envoy`: runs a real Envoy that takes everything from control, in the same directory or on another machine. */
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { resolve } from "node:path";
import { connect as connectTls } from "node:tls";
import { dynamicBootstrap, type RemoteListener } from "../../compile/envoy/bootstrap.js";
import { WeirError } from "../../error.js";
import { type AccessLogWatch, watchAccessLog } from "../../observe/agent/accessLogLosses.js";
import { envoyAdmin } from "../../observe/agent/envoyAdmin.js";
import type { Identity } from "../../trust/identity/svid.js";
import { reportReady, stopOnSignal } from "../stack/child.js";
import { EnvoyAgent } from "../stack/envoyAgent.js";
import { findEnvoy } from "../stack/envoyBinary.js";
import { startEnvoy } from "../stack/envoyProcess.js";
import { collectorsOf, type Places, places } from "../stack/places.js";
import type { ProbeAgentOptions } from "../stack/probeAgent.js";
import { type ControlEndpointArguments, controlEndpoint } from "./controlEndpoint.js";

export interface EnvoyArguments extends ControlEndpointArguments {
	readonly data: string;
	readonly run?: string;
	readonly traceSampling: string;
	readonly node: string;
	/** ADDRESS:PORT of that control's access log; false = none, by a flag. */
	readonly accessLog?: string | false;
}

export async function envoy(options: EnvoyArguments): Promise<void> {
	const { data, run, traceSampling, node, identity } = options;
	const control = options.control === undefined ? null : controlEndpoint(options.control, options);
	const accessLog = accessLogOf(options);
	const at = places(data, run);
	const binary = await findEnvoy({
		environment: process.env,
		notice,
	});
	let stopping = false;
	let stop = async (): Promise<void> => undefined;
	let log: AccessLogWatch | null = null;
	let agent: { close(): void } | null = null;
	// Set before Envoy starts: a starting Envoy would outlive this process and hold its ports.
	stopOnSignal(() => {
		stopping = true;
		// A probe of a draining Envoy would raise an alarm.
		agent?.close();
		return stop();
	});
	const instance = randomUUID();
	const own = identity === undefined ? null : whoItIs(identity);
	const logAgent = await accessLogAgent({ node, instance }, accessLog, at, own);
	const running = await startEnvoy({
		binary: binary.path,
		bootstrap: dynamicBootstrap(control ?? at.adsSocket, {
			collectors: collectorsOf(at, Number(traceSampling)),
			adminSocket: at.envoyAdminSocket,
			nodeId: node,
			instance,
			sidecarSocket: at.sidecarSocket,
			identitySocket: identity === undefined ? null : resolve(identity),
			...(accessLog === null ? {} : { remote: { accessLog } }),
		}),
		directory: at.runDirectory,
		adminSocket: at.envoyAdminSocket,
		ended: async (drained) => {
			// Entries that still wait for a connection are lost when Envoy ends.
			const written = (await log?.last()) ?? true;
			await logAgent.ended(drained && written);
		},
		spawned: (how) => {
			stop = how;
			if (accessLog !== null)
				log = watchAccessLog({ admin: envoyAdmin(at.envoyAdminSocket), clock: passedMs, fresh: true }, logAgent);
			if (stopping) void stop();
		},
	}).catch((error: unknown) => {
		if (stopping) return null;
		throw error;
	});
	if (running === null || stopping) return;
	running.process.once("exit", (code, signal) => {
		if (stopping) return;
		process.stderr.write(`weir: Envoy ended (${signal ?? `exit ${code}`})\n`);
		process.exit(1);
	});
	void probing({ node, adminSocket: at.envoyAdminSocket, control: control ?? at.adsSocket }, own).then((one) => {
		agent = one;
		if (stopping) one.close();
	});
	reportReady({ version: binary.version, ports: Object.fromEntries(running.ports) });
	if (running.ports.size === 0) {
		process.stderr.write(
			"weir: nothing listens yet: control has published no listener, or Envoy refused it (weir status)\n",
		);
	}
}

const notice = (line: string): void => void process.stderr.write(`weir: ${line}\n`);

const passedMs = (): number => performance.now();

/** Waits without a limit, as Envoy does for its own SVID. */
async function whoItIs(socket: string): Promise<Identity> {
	const { ownIdentity } = await import("../stack/identity.js");
	for (;;) {
		const identity = await ownIdentity(socket, { warn: notice }).catch(() => null);
		if (identity !== null) return identity;
	}
}

/** Loaded only now, so that Envoy starts sooner. */
async function probing(
	envoy: Pick<ProbeAgentOptions, "node" | "adminSocket" | "control">,
	own: Promise<Identity> | null,
): Promise<{ close(): void }> {
	const { startProbeAgent } = await import("../stack/probeAgent.js");
	return startProbeAgent({ ...envoy, identity: await own, notice });
}

/** Connects to the access-log listener: the local socket, or another machine with the Envoy's identity. */
async function accessLogAgent(
	which: { readonly node: string; readonly instance: string },
	listener: RemoteListener | null,
	at: Places,
	own: Promise<Identity> | null,
): Promise<EnvoyAgent> {
	if (listener === null) return new EnvoyAgent({ ...which, passedMs, open: () => connect(at.accessLogSocket) });
	const { clientTls } = await import("../../trust/identity/nodeTls.js");
	const { address: host, port, spiffeId } = listener;
	let identity: Identity | null = null;
	const logAgent = new EnvoyAgent({
		...which,
		passedMs,
		notice: (line) => process.stderr.write(`weir: ${host}:${port}: ${line}\n`),
		open: () => {
			if (identity === null) throw new WeirError("unavailable", "there is no identity yet");
			return connectTls({ host, port, ALPNProtocols: ["h2"], ...clientTls(identity, (id) => id === spiffeId) });
		},
	});
	void own?.then((one) => {
		identity = one;
		logAgent.watch();
	});
	return logAgent;
}

/** With a remote control, the local socket has no listener, and the access log would be lost without notice. */
function accessLogOf(options: EnvoyArguments): RemoteListener | null {
	const { control, accessLog } = options;
	if (accessLog === undefined && control !== undefined)
		throw new WeirError(
			"invalid-argument",
			"this Envoy has no address for its access log: no denial would be recorded, and no exposure counted",
			"add --access-log ADDRESS:PORT (control's --access-log-listen), or --no-access-log to go without",
		);
	return accessLog === undefined || accessLog === false ? null : controlEndpoint(accessLog, options);
}
