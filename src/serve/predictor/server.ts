/**
 * `weir predictor`: a server of the Open Inference Protocol v2 (REST) for ONNX models. It listens after all models are
 * loaded. Running requests are answered before it closes.
 */
import { constants, promises as files } from "node:fs";
import type { Server } from "node:http";
import { availableParallelism } from "node:os";
import type { Tracer } from "@opentelemetry/api";
import { WeirError } from "../../error.js";
import { PREDICTOR_DRAIN_MS } from "../../limits/index.js";
import { claimSocket, restrictSocket } from "../../trust/local/socket.js";
import { ADMISSION_BOUNDS, type AdmissionBounds } from "./admission.js";
import { BODY_BOUNDS, type BodyBounds } from "./body.js";
import { type Catalog, CatalogModels } from "./catalog.js";
import type { ClientRule } from "./clients.js";
import type { DecisionDemand } from "./demand.js";
import type { Engine } from "./engine.js";
import { createHttpServer, type HttpServer } from "./httpServer.js";
import { listen, listenAddress } from "./listen.js";
import { OnnxEngine } from "./onnxEngine.js";
import type { Log, Meter, ServerIdentity } from "./ports.js";
import { PredictorService } from "./service.js";
import { predictorTracer } from "./span.js";
import type { ModelSource } from "./tensor.js";

export interface PredictorOptions {
	/** A request without a version gets the last model of that name. */
	readonly models: readonly { readonly name: string; readonly path: string; readonly version?: string | undefined }[];
	/** Store of the models that requests name by digest; default: none. */
	readonly catalog?: Catalog | undefined;
	/** An address or `unix:/path`; without a guard only of the loopback. */
	readonly address: string;
	/** 0 = any free port; not used for a socket. */
	readonly port: number;
	/** Session workers, each with its own copy of the models. Default: the cores, at most 2. */
	readonly workers?: number | undefined;
	/** mTLS and the allowed clients. Without it: plain HTTP on the loopback (development). */
	readonly guard?: { readonly identity: ServerIdentity; readonly clients: readonly ClientRule[] } | undefined;
	/** Requires a signed decision in each request. */
	readonly decision?: DecisionDemand | undefined;
	readonly meter?: Meter | undefined;
	readonly log?: Log | undefined;
	/** Default: the global tracer, a no-op until telemetry sets up an SDK. */
	readonly tracer?: Tracer | undefined;
	/** Other limits, for tests. */
	readonly bodies?: Partial<BodyBounds> | undefined;
	readonly admission?: Partial<AdmissionBounds> | undefined;
	readonly nowMs?: (() => number) | undefined;
	/** Another worker file, for tests. */
	readonly workerUrl?: URL | undefined;
}

export interface Predictor {
	/** `http://127.0.0.1:PORT`, `https://ADDRESS:PORT` with a guard, or `unix:/path`. */
	readonly url: string;
	/**
	 * Serves a model of the catalog to requests without a version; those that run are answered by the one before.
	 * @throws WeirError if it cannot be loaded: the one before stays
	 */
	takeOver(name: string, digest: string): Promise<void>;
	/** Becomes not ready at once, answers running requests, then closes. */
	close(): Promise<void>;
}

const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** @throws WeirError for invalid names, addresses and model files; nothing keeps running then */
export async function startPredictor(options: PredictorOptions): Promise<Predictor> {
	const guard = options.guard ?? null;
	const address = listenAddress(options.address, options.port, guard !== null);
	if (guard !== null && guard.clients.length === 0)
		throw new WeirError("invalid-argument", "no clients are allowed", "name the Envoys with --clients");
	const models = await checkModels(options.models, options.catalog !== undefined);
	const workers = options.workers ?? Math.min(availableParallelism(), 2);
	if (!Number.isInteger(workers) || workers < 1) throw new WeirError("invalid-argument", `${workers} workers`);
	const { meter, log, workerUrl } = options;
	const engine = new OnnxEngine({ workers, meter, log, workerUrl });
	const catalog = options.catalog === undefined ? null : new CatalogModels(engine, options.catalog, log);
	try {
		await loadAll(engine, models, log);
	} catch (error) {
		await engine.close();
		throw error;
	}
	const service = new PredictorService({
		engine,
		catalog,
		bodies: { ...BODY_BOUNDS, ...options.bodies },
		admission: { ...ADMISSION_BOUNDS, ...options.admission },
		tracer: options.tracer ?? predictorTracer(),
		decision: options.decision ?? null,
		meter,
		log,
	});
	let http: HttpServer | null = null;
	try {
		http = createHttpServer({
			guard,
			handle: (request, response) => void service.handle(request, response),
			meter,
			log,
			nowMs: options.nowMs ?? Date.now,
		});
		const { server } = http;
		if (address.kind === "socket") await claimSocket(address.path);
		const url = await listen(server, address, guard === null ? "http" : "https");
		if (address.kind === "socket") await restrictSocket(address.path);
		const stopRotation = http.close;
		if (guard === null) log?.warn("no identity: anyone on this machine may ask, through the mesh or not (development)");
		return {
			url,
			takeOver: async (name, digest) => catalog?.takeOver(name, digest),
			close: () => {
				stopRotation();
				return close(server, service, engine).then(() => catalog?.close());
			},
		};
	} catch (error) {
		http?.close();
		await engine.close();
		throw error;
	}
}

/** A model that cannot be loaded leaves the others serving. @throws WeirError if none can */
async function loadAll(engine: OnnxEngine, models: readonly ModelSource[], log: Log | undefined): Promise<void> {
	const faults: unknown[] = [];
	for (const model of models) {
		await engine.load(model, { takeOver: true }).catch((error: unknown) => {
			faults.push(error);
			log?.error("a model was not loaded", { model: model.name, why: WeirError.from(error).message });
		});
	}
	if (faults.length > 0 && faults.length === models.length) throw faults[0];
}

async function checkModels(given: PredictorOptions["models"], hasCatalog: boolean): Promise<ModelSource[]> {
	if (given.length === 0 && !hasCatalog) throw new WeirError("invalid-argument", "no model", "give --model NAME=PATH");
	const models = given.map(({ name, path, version }) => ({ name, path, version: version ?? "1" }));
	const seen = new Set<string>();
	for (const { name, version, path } of models) {
		if (!MODEL_NAME.test(name) || !MODEL_NAME.test(version)) {
			throw new WeirError(
				"invalid-argument",
				`'${name}' version '${version}' is no model name`,
				"letters, digits, '.', '_' and '-', at most 128",
			);
		}
		if (seen.has(`${name}/${version}`)) throw new WeirError("invalid-argument", `model '${name}' is given twice`);
		seen.add(`${name}/${version}`);
		try {
			await files.access(path, constants.R_OK);
		} catch (error) {
			throw new WeirError("not-found", `model '${name}': cannot read ${path}`, "give the path of an ONNX file", {
				cause: error,
			});
		}
	}
	return models;
}

async function close(server: Server, service: PredictorService, engine: Engine): Promise<void> {
	service.closing = true;
	const closed = new Promise<void>((resolve) => server.close(() => resolve()));
	server.closeIdleConnections();
	const timer = setTimeout(() => server.closeAllConnections(), PREDICTOR_DRAIN_MS);
	await closed;
	clearTimeout(timer);
	await engine.close();
}
