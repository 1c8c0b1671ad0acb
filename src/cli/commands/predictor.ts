/** `weir predictor`: ONNX models behind the Open Inference Protocol v2, for the Envoys of the mesh only. */

import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { createLog, type Log } from "../../observe/telemetry/log.js";
import { createMeter } from "../../observe/telemetry/meter.js";
import { startTracing } from "../../observe/telemetry/tracing.js";
import { clientRule, isSidecar } from "../../serve/predictor/clients.js";
import type { DecisionDemand } from "../../serve/predictor/demand.js";
import { startPredictor } from "../../serve/predictor/server.js";
import type { Identity } from "../../trust/identity/svid.js";
import type { Workload } from "../../trust/identity/workloadClient.js";
import { serveUntilStopped } from "../stack/child.js";
import { watchRenewal } from "../stack/renewal.js";
import { port } from "./control.js";

export interface PredictorArguments {
	readonly model: readonly string[];
	readonly address: string;
	readonly port: string;
	readonly workers?: string;
	/** UNIX socket of a SPIFFE agent. */
	readonly identity?: string;
	readonly clients: readonly string[];
	readonly decision: "none" | "demand";
	/** SERVICE/VARIANT */
	readonly as?: string;
}

export async function predictor(options: PredictorArguments): Promise<void> {
	const models = options.model.map((pair) => {
		const [name, path, ...rest] = pair.split("=");
		if (!name || !path || rest.length > 0) throw new WeirError("invalid-argument", `--model ${pair} is not NAME=PATH`);
		return { name, path };
	});
	const log = createLog({ role: "predictor" });
	const clients = options.clients.map(clientRule);
	const served = servedAs(options);
	if (options.identity === undefined && clients.length > 0)
		throw new WeirError("invalid-argument", "--clients needs an identity", "add --identity SOCKET");
	const identity = options.identity === undefined ? null : await identityOf(options.identity, log);
	const renewal = watchRenewal(createMeter({ role: "predictor" }), log, () => identity?.validity() ?? null);
	const tracing = startTracing({ environment: process.env, serviceName: "weir-predictor" });
	const running = await startPredictor({
		models,
		address: options.address,
		port: port(options.port),
		workers: options.workers === undefined ? undefined : Number(options.workers),
		// A bundle has no worker file beside the pool.
		workerUrl: new URL("../../serve/predictor/session.worker.js", import.meta.url),
		guard: identity === null ? undefined : { identity, clients },
		decision: served === null || identity === null ? undefined : await demandOf(served, identity),
		meter: renewal.meter,
		log,
	}).catch((error: unknown) => {
		renewal.close();
		identity?.close();
		throw error;
	});
	serveUntilStopped({ url: running.url }, async () => {
		await running.close();
		renewal.close();
		identity?.close();
		await tracing.shutdown();
	});
}

/** Service and Variant whose decisions are accepted; null = none required. @throws WeirError `invalid-argument` */
function servedAs({ decision, as, identity }: PredictorArguments): { service: string; variant: string } | null {
	if (decision === "none") return null;
	if (identity === undefined)
		throw new WeirError("invalid-argument", "--decision demand needs an identity", "add --identity SOCKET");
	const cut = as?.lastIndexOf("/") ?? -1;
	if (as === undefined || cut < 1 || cut === as.length - 1)
		throw new WeirError(
			"invalid-argument",
			"--decision demand needs to know whose decisions count",
			"add --as SERVICE/VARIANT (or NAMESPACE/SERVICE/VARIANT)",
		);
	return { service: as.slice(0, cut), variant: as.slice(cut + 1) };
}

/** Loaded only where it is used: the client of the Workload API takes memory. */
async function identityOf(socketPath: string, log: Log): Promise<Workload> {
	const { ownIdentity } = await import("../stack/identity.js");
	return ownIdentity(socketPath, log);
}

/** Accepts decisions of the trust domain's sidecars only. */
async function demandOf(served: { service: string; variant: string }, identity: Identity): Promise<DecisionDemand> {
	const { DecisionVerifier } = await import("../../trust/tokens/decision.js");
	const trustDomain = trustDomainOf(identity.current().spiffeId);
	const verifier = new DecisionVerifier({
		trustBundle: () => identity.current().trustBundle,
		admits: (id) => isSidecar(trustDomain, id),
	});
	return {
		...served,
		check: ({ decisions, ...bound }) => {
			const answer = verifier.examine(decisions, bound);
			return "refused" in answer ? answer.refused : answer;
		},
	};
}
