/** `weir predictor`: ONNX models behind the Open Inference Protocol v2, for the Envoys of the mesh only. */

import { trustDomainOf } from "../../declare/resources/spiffe.js";
import { WeirError } from "../../error.js";
import { createLog, type Log } from "../../observe/telemetry/log.js";
import { createMeter } from "../../observe/telemetry/meter.js";
import { startTracing } from "../../observe/telemetry/tracing.js";
import { clientRule, isSidecar } from "../../serve/predictor/clients.js";
import type { DecisionDemand } from "../../serve/predictor/demand.js";
import { type Predictor, startPredictor } from "../../serve/predictor/server.js";
import { ModelStore } from "../../serve/registry/store.js";
import { watchStore } from "../../serve/registry/watch.js";
import type { Identity } from "../../trust/identity/svid.js";
import type { Workload } from "../../trust/identity/workloadClient.js";
import { serveUntilStopped } from "../stack/child.js";
import { modelCatalog } from "../stack/modelCatalog.js";
import { watchRenewal } from "../stack/renewal.js";
import { port } from "./control.js";

export interface PredictorArguments {
	readonly model: readonly string[];
	/** Directory of a store of models. */
	readonly store?: string;
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
	const { files, stored } = modelsOf(options);
	const log = createLog({ role: "predictor" });
	const clients = options.clients.map(clientRule);
	const served = servedAs(options);
	if (options.identity === undefined && clients.length > 0)
		throw new WeirError("invalid-argument", "--clients needs an identity", "add --identity SOCKET");
	const identity = options.identity === undefined ? null : await identityOf(options.identity, log);
	const renewal = watchRenewal(createMeter({ role: "predictor" }), log, () => identity?.validity() ?? null);
	const tracing = startTracing({ environment: process.env, serviceName: "weir-predictor" });
	const running = await startPredictor({
		models: files,
		catalog: options.store === undefined ? undefined : modelCatalog(new ModelStore(options.store)),
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
	const following =
		options.store === undefined ? null : await followModels(stored, new ModelStore(options.store), running, log);
	serveUntilStopped({ url: running.url }, async () => {
		following?.();
		await running.close();
		renewal.close();
		identity?.close();
		await tracing.shutdown();
	});
}

/** @throws WeirError `invalid-argument` */
function modelsOf({ model, store }: PredictorArguments): {
	readonly files: readonly { name: string; path: string }[];
	readonly stored: readonly string[];
} {
	const files: { name: string; path: string }[] = [];
	const stored: string[] = [];
	for (const text of model) {
		const [name, path, ...rest] = text.split("=");
		if (name && path && rest.length === 0) files.push({ name, path });
		else if (store !== undefined && path === undefined) stored.push(text);
		else
			throw new WeirError(
				"invalid-argument",
				`--model ${text} is not NAME=PATH`,
				store === undefined
					? "for a model of a store, add --store DIRECTORY"
					: "or NAME@ALIAS, NAME:VERSION, NAME@sha256:…",
			);
	}
	return { files, stored };
}

/**
 * Serves models of a store, and what their aliases name after each move. A model that cannot be loaded leaves the one before.
 * @returns stops it
 * @throws WeirError if one cannot be loaded at the start
 */
async function followModels(
	references: readonly string[],
	store: ModelStore,
	predictor: Pick<Predictor, "takeOver">,
	log: Log,
): Promise<() => void> {
	const takeOver = async (reference: string): Promise<void> => {
		const { name, digest } = await store.resolve(reference);
		await predictor.takeOver(name, digest);
	};
	for (const reference of references) await takeOver(reference);
	let moving = Promise.resolve();
	return watchStore(store.directory, () => {
		for (const reference of references) {
			moving = moving
				.then(() => takeOver(reference))
				.catch((error: unknown) =>
					log.error("a model is not served; the one before is", {
						model: reference,
						why: WeirError.from(error).message,
					}),
				);
		}
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
