/**
 * `weir ca`: the embedded certificate authority. Issues short-lived SVIDs and serves each on a socket of its own, like a
 * SPIRE agent (SDS and the Workload API). SIGHUP makes a new root.
 */
import { join } from "node:path";
import { parseDuration } from "../../declare/resources/fields/units.js";
import { WeirError } from "../../error.js";
import { createLog } from "../../observe/telemetry/log.js";
import { startCa } from "../../trust/identity/ca.js";
import { serveUntilStopped } from "../stack/child.js";
import { identitySocket, stackIds, workloadIds } from "../stack/identity.js";
import { places } from "../stack/places.js";

export interface CaArguments {
	readonly data: string;
	readonly run?: string;
	readonly trustDomain: string;
	/** NAME=/PATH or NAME=spiffe://… */
	readonly workload: readonly string[];
	/** None of the parts of a stack. */
	readonly workloadsOnly?: boolean;
	readonly svidLifetime?: string;
	readonly rootLifetime?: string;
}

export async function ca(options: CaArguments): Promise<void> {
	const at = places(options.data, options.run);
	const log = createLog({ role: "ca" });
	const named = workloadIds(options.workload, options.trustDomain);
	const only = options.workloadsOnly === true;
	if (only && options.workload.length === 0)
		throw new WeirError("invalid-argument", "--workloads-only leaves nothing to serve", "add --workload NAME=/PATH");
	const workloads = only ? named : { ...stackIds(options.trustDomain), ...named };
	const running = await startCa({
		directory: join(at.dataDirectory, "ca"),
		trustDomain: options.trustDomain,
		...lifetime("svidLifetimeMs", options.svidLifetime),
		...lifetime("rootLifetimeMs", options.rootLifetime),
		log: (line) => log.info(line),
	});
	const ready: Record<string, { readonly id: string; readonly socket: string }> = {};
	try {
		for (const [name, id] of Object.entries(workloads)) {
			const socket = identitySocket(at.runDirectory, name);
			await running.workload(id, socket);
			ready[name] = { id, socket };
		}
	} catch (error) {
		await running.close();
		throw error;
	}
	process.on("SIGHUP", () => {
		running.rotateRoot().catch((error: Error) => log.error(`no new root: ${error.message}`));
	});
	serveUntilStopped({ trustDomain: options.trustDomain, workloads: ready }, () => running.close());
}

function lifetime<Name extends string>(name: Name, text: string | undefined): { readonly [name in Name]?: number } {
	if (text === undefined) return {};
	const ms = parseDuration(text);
	if (ms === null) throw new WeirError("invalid-argument", `'${text}' is no duration`, "write one like 1h or 90s");
	return { [name]: ms } as { readonly [name in Name]?: number };
}
