/**
 * Handles the requests of a predictor. Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md;
 * errors are `{"error": "…"}`. The HTTP thread parses and responds; sessions run in worker threads (engine.ts). Overload is
 * 503 with Retry-After, never a queue.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { performance } from "node:perf_hooks";
import type { Tracer } from "@opentelemetry/api";
import { WeirError } from "../../error.js";
import { Admission, type AdmissionBounds } from "./admission.js";
import { answer } from "./answer.js";
import { Bodies, type BodyBounds, type BodyResult } from "./body.js";
import type { CatalogModels } from "./catalog.js";
import { type DecisionDemand, decisionFor } from "./demand.js";
import { type Endpoint, endpointOf, methodOf, routeTemplate } from "./endpoint.js";
import type { Engine, EngineResult, ServedModel } from "./engine.js";
import type { GoodDecision, Log, Meter } from "./ports.js";
import { formatInferResponse, parseInferRequest } from "./protocol.js";
import { OVERLOAD, type Refusal, refusal, refusalOf, refusalOfBody, refusalOfHeaders, TOO_LARGE } from "./refusal.js";
import { endInferSpan, startInferSpan } from "./span.js";

const SERVER_VERSION = "0.1.0";
/** OIP platform name: framework, then format. */
const PLATFORM = "onnx_onnxv1";

export interface ServiceParts {
	readonly engine: Engine;
	/** Models that requests name by digest; null = only those of the engine. */
	readonly catalog: CatalogModels | null;
	readonly bodies: BodyBounds;
	readonly admission: AdmissionBounds;
	readonly tracer: Tracer;
	/** null = not required. */
	readonly decision: DecisionDemand | null;
	readonly meter: Meter | undefined;
	readonly log: Log | undefined;
}

/** A requested inference. */
interface InferTarget {
	readonly endpoint: Endpoint;
	readonly path: string;
	/** null = not required. */
	readonly decision: GoodDecision | null;
}

type InferOutcome =
	| { readonly kind: "answered"; readonly json: string; readonly result: EngineResult }
	| { readonly kind: "refused"; readonly refusal: Refusal }
	/** The client disconnected; `begun` = after the inference had started. */
	| { readonly kind: "gone"; readonly begun: boolean };

/** As in nginx: the client closed the request. For spans and metrics, never sent. */
const CLIENT_GONE = 499;

export class PredictorService {
	/** Set when the predictor starts to close: not ready, and each response closes its connection. */
	closing = false;
	readonly #parts: ServiceParts;
	readonly #bodies: Bodies;
	readonly #admission: Admission;

	constructor(parts: ServiceParts) {
		this.#parts = parts;
		this.#bodies = new Bodies(parts.bodies);
		this.#admission = new Admission(parts.admission);
	}

	/** Never rejects. */
	async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const target = request.url ?? "/";
		const query = target.indexOf("?");
		const path = query < 0 ? target : target.slice(0, query);
		const endpoint = endpointOf(path);
		if (endpoint === null) {
			this.#refuse(response, refusal(404, "no such endpoint"));
			return;
		}
		const method = methodOf(endpoint);
		if ((request.method === "HEAD" ? "GET" : request.method) !== method) {
			const allow = method === "GET" ? "GET, HEAD" : "POST";
			this.#refuse(response, refusal(405, `use ${method}`, { allow }));
			return;
		}
		const demand = isHealth(endpoint) ? null : this.#parts.decision;
		// Verified first, and used only after admission, because a retry sends the same decision.
		const decision = demand === null ? null : await decisionFor(demand, request, target);
		if (typeof decision === "string") {
			this.#refuseDecision(response, decision);
			return;
		}
		const found = "model" in endpoint ? await this.#find(endpoint, request) : null;
		if (endpoint.kind === "infer" && found !== null && !("refused" in found)) {
			await this.#infer(request, response, found, { endpoint, path, decision });
			return;
		}
		const why = decision?.use() ?? null;
		if (why !== null) {
			this.#refuseDecision(response, why);
			return;
		}
		if (!("model" in endpoint)) {
			this.#describeServer(endpoint, response);
			return;
		}
		if (found === null) {
			const what = endpoint.version === null ? "model" : "model version";
			this.#refuse(response, refusal(404, `no such ${what}`));
		} else if ("refused" in found) this.#refuse(response, found.refused);
		else if (endpoint.kind !== "infer") this.#describeModel(endpoint.kind, found, response);
	}

	/** Envoy names the digest that the Variant serves (x-weir-model), unless the path names a version. */
	async #find(
		{ model, version }: { readonly model: string; readonly version: string | null },
		request: IncomingMessage,
	): Promise<ServedModel | { readonly refused: Refusal } | null> {
		const { engine, catalog } = this.#parts;
		const named = version ?? modelHeader(request);
		const found = engine.find(model, named);
		if (found !== null || catalog === null || named === null || !DIGEST.test(named)) return found;
		try {
			return await catalog.demand(model, named);
		} catch (error) {
			const { code, message } = WeirError.from(error);
			return { refused: code === "not-found" ? refusal(404, message) : refusal(503, message) };
		}
	}

	/** OIP: 200 means yes, a 4xx means no. */
	#describeServer({ kind }: Endpoint, response: ServerResponse): void {
		if (kind === "server-metadata") {
			const server = { name: "weir-predictor", version: SERVER_VERSION, extensions: [] };
			this.#send(response, 200, JSON.stringify(server));
		} else if (kind === "live") {
			this.#send(response, 200, '{"live":true}');
		} else {
			this.#send(response, this.#ready ? 200 : 400, JSON.stringify({ ready: this.#ready }));
		}
	}

	#describeModel(kind: "model-metadata" | "model-ready", model: ServedModel, response: ServerResponse): void {
		const { name, signature } = model;
		if (kind === "model-ready") {
			this.#send(response, this.#ready ? 200 : 400, JSON.stringify({ name, ready: this.#ready }));
			return;
		}
		const ready = this.#parts.engine.index().filter((entry) => entry.name === name && entry.state === "READY");
		const versions = ready.map(({ version }) => version);
		const { inputs, outputs } = signature;
		this.#send(response, 200, JSON.stringify({ name, versions, platform: PLATFORM, inputs, outputs }));
	}

	async #infer(
		request: IncomingMessage,
		response: ServerResponse,
		served: ServedModel,
		{ endpoint, path, decision }: InferTarget,
	): Promise<void> {
		const startedMs = performance.now();
		// When overloaded, the body is not read. A request counts only after its body is complete.
		const { hasCapacity } = this.#admission;
		const why = hasCapacity ? (decision?.use() ?? null) : null;
		if (why !== null) {
			this.#refuseDecision(response, why);
			return;
		}
		const { name: model, version } = served;
		const route = routeTemplate(endpoint);
		const span = startInferSpan(this.#parts.tracer, { headers: request.headers, route, path, model, version });
		const outcome = hasCapacity ? await this.#outcome(request, response, served) : refused(OVERLOAD);
		if (hasCapacity && !isBegun(outcome)) decision?.giveBack();
		if (outcome.kind === "answered") this.#send(response, 200, outcome.json);
		else if (outcome.kind === "refused") this.#refuse(response, outcome.refusal);

		const status = outcome.kind === "answered" ? 200 : outcome.kind === "gone" ? CLIENT_GONE : outcome.refusal.status;
		const result = outcome.kind === "answered" ? outcome.result : null;
		if (status === 500) this.#parts.log?.error("an inference failed", { model, version });
		endInferSpan(span, { status, queueMs: result?.queueMs ?? null, runMs: result?.runMs ?? null });
		this.#record({ model, version }, status, performance.now() - startedMs, result);
	}

	async #outcome(request: IncomingMessage, response: ServerResponse, model: ServedModel): Promise<InferOutcome> {
		const early = refusalOfHeaders(request);
		if (early !== null) return refused(early);
		if (!this.#bodies.fits(Number(request.headers["content-length"] ?? 0))) return refused(TOO_LARGE);
		const reading = this.#bodies.read(request);
		if (wantsContinue(request)) response.writeContinue();
		const body = await reading;
		if (body.kind === "gone") return { kind: "gone", begun: false };
		if (body.kind !== "text") {
			this.#countEnded(body.kind);
			return refused(refusalOfBody(body.kind));
		}
		const release = this.#admission.admit(body.bytes);
		if (release === null) return refused(OVERLOAD);
		try {
			return { kind: "answered", ...(await this.#run(response, model, body)) };
		} catch (error) {
			const refusal = refusalOf(error);
			return response.destroyed ? { kind: "gone", begun: !NOT_BEGUN.has(refusal.status) } : refused(refusal);
		} finally {
			release();
		}
	}

	/** @throws WeirError if the request does not fit the model, or the session fails */
	async #run(
		response: ServerResponse,
		model: ServedModel,
		{ text, bytes }: { readonly text: string; readonly bytes: number },
	): Promise<{ json: string; result: EngineResult }> {
		const { id, inputs, outputs } = parseInferRequest(text, model.signature);
		const gone = new AbortController();
		response.once("close", () => gone.abort());
		const { signal } = gone;
		const result = await this.#parts.engine.infer(model, { inputs, outputs, bytes, deadlineMs: null, signal });
		const { name, version } = result.model;
		const json = formatInferResponse({ modelName: name, modelVersion: version, id, outputs: result.outputs });
		return { json, result };
	}

	/** Counts aborted bodies separately from requests, because clients cause them, not the model. */
	#countEnded(kind: BodyResult["kind"]): void {
		if (kind !== "slow" && kind !== "crowded") return;
		const help = "Bodies ended before they were whole: too slow, or when others needed the room.";
		this.#parts.meter?.count("weir_predictor_bodies_ended_total", help, { reason: kind });
	}

	#record(
		labels: { readonly model: string; readonly version: string },
		status: number,
		totalMs: number,
		result: EngineResult | null,
	): void {
		const { meter } = this.#parts;
		if (meter === undefined) return;
		const counted = { ...labels, status: String(status) };
		meter.count("weir_predictor_requests_total", "Inference requests by model, version and status.", counted);
		const seconds = totalMs / 1000;
		meter.observe("weir_predictor_request_duration_seconds", "From headers to answer.", seconds, labels);
		if (result !== null) {
			meter.observe("weir_predictor_run_duration_seconds", "Inside the ONNX session.", result.runMs / 1000, labels);
		}
		meter.gauge("weir_predictor_requests_in_flight", "Inference requests admitted now.", this.#admission.requests);
		meter.gauge("weir_predictor_bodies_under_way", "Inference bodies not yet whole.", this.#bodies.inProgress);
	}

	get #ready(): boolean {
		return this.#parts.engine.ready && !this.closing;
	}

	#refuseDecision(response: ServerResponse, why: string): void {
		const { meter, log } = this.#parts;
		meter?.count("weir_predictor_decisions_refused_total", "Requests without a decision that holds.");
		log?.warn("a request carries no decision that holds", { why });
		this.#refuse(response, refusal(403, "no decision allows this request"));
	}

	#refuse(response: ServerResponse, { status, message, headers }: Refusal): void {
		answer(response, { status, json: JSON.stringify({ error: message }), headers, last: this.closing });
	}

	#send(response: ServerResponse, status: number, json: string): void {
		answer(response, { status, json, headers: {}, last: this.closing });
	}
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Envoy strips a client's own. */
function modelHeader({ headers }: IncomingMessage): string | null {
	const value = headers["x-weir-model"];
	return typeof value === "string" && value !== "" ? value : null;
}

const refused = (refusal: Refusal): InferOutcome => ({ kind: "refused", refusal });

/** Envoy's health checks have no decision. */
const isHealth = ({ kind }: Endpoint): boolean => kind === "live" || kind === "ready" || kind === "model-ready";

/** No worker was ready, the body was too slow, or the client left the queue. */
const NOT_BEGUN: ReadonlySet<number> = new Set([OVERLOAD.status, 408, CLIENT_GONE]);

/** Whether the inference started, or failed only because of the request. */
const isBegun = (outcome: InferOutcome): boolean =>
	outcome.kind === "gone" ? outcome.begun : outcome.kind === "answered" || !NOT_BEGUN.has(outcome.refusal.status);

/** As in Node's server; HTTP/1.0 has no 100 response. */
const wantsContinue = ({ httpVersionMinor, headers }: IncomingMessage): boolean =>
	httpVersionMinor >= 1 && headers.expect !== undefined;
