/** `weir envoy`: runs a real Envoy that takes everything from control in the same directory. */
import { dynamicBootstrap } from "../../compiler/bootstrap.js";
import { WeirError } from "../../error.js";
import { serveUntilStopped } from "../stack/child.js";
import { findEnvoy } from "../stack/envoyBinary.js";
import { startEnvoy } from "../stack/envoyProcess.js";
import { collectorsOf, places } from "../stack/places.js";

export interface EnvoyArguments {
	readonly data: string;
	readonly run?: string;
	readonly traceSampling: string;
	readonly node: string;
}

export async function envoy({ data, run, traceSampling, node }: EnvoyArguments): Promise<void> {
	const at = places(data, run);
	const binary = await findEnvoy({
		environment: process.env,
		notice: (line) => process.stderr.write(`weir: ${line}\n`),
	});
	const running = await startEnvoy({
		binary: binary.path,
		bootstrap: dynamicBootstrap(at.adsSocket, {
			collectors: collectorsOf(at, Number(traceSampling)),
			adminSocket: at.envoyAdminSocket,
			nodeId: node,
			sidecarSocket: at.sidecarSocket,
		}),
		directory: at.runDirectory,
		adminSocket: at.envoyAdminSocket,
	});
	running.process.once("exit", (code, signal) => {
		process.stderr.write(`weir: Envoy ended (${signal ?? `exit ${code}`})\n`);
		process.exit(1);
	});
	serveUntilStopped({ version: binary.version, ports: Object.fromEntries(running.ports) }, async () => {
		running.process.removeAllListeners("exit");
		await running.stop();
	});
	if (running.ports.size === 0) {
		throw new WeirError("failed-precondition", "control has published no listener", "declare a Gateway");
	}
}
