/**
 * The requests of a predictor. Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md;
 * errors are `{"error": "…"}`. The HTTP thread parses and answers; sessions run in worker threads (pool.ts).
 * Overload is 503 with Retry-After, never a growing queue.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { performance } from "node:perf_hooks";
import type { Tracer } from "@opentelemetry/api";
import { WeirError } from "../error.js";
import { Admission, type BodyLimits, readBody, type Ticket } from "./body.js";
import { type Endpoint, endpointOf, methodOf, routeTemplate } from "./endpoint.js";
import type { InferenceResult, Pool } from "./pool.js";
import type { CheckDecision, GoodDecision, Log, Meter } from "./ports.js";
import { formatInferResponse, parseInferRequest } from "./protocol.js";
import { OVERLOAD, type Refusal, refusal, refusalOf, refusalOfBody, refusalOfHeaders } from "./refusal.js";
import { endInferSpan, startInferSpan } from "./span.js";
import type { ModelSignature, ModelSource } from "./tensor.js";

const SERVER_VERSION = "0.1.0";
/** OIP platform name: framework, then format. */
const PLATFORM = "onnx_onnxv1";

/** Each request but those for health must carry a decision for this Service and Variant. */
export interface DecisionDemand {
	readonly service: string;
	readonly variant: string;
	readonly check: CheckDecision;
}

export interface ServiceParts {
	readonly models: readonly ModelSource[];
	readonly pool: Pool;
	readonly limits: BodyLimits;
	readonly tracer: Tracer;
	/** null = none is demanded. */
	readonly decision: DecisionDemand | null;
	readonly meter: Meter | undefined;
	readonly log: Log | undefined;
}

/** An inference that is asked for. */
interface Asked {
	readonly endpoint: Endpoint;
	readonly path: string;
	/** null = none is demanded. */
	readonly decision: GoodDecision | null;
}

type InferOutcome =
	| { readonly kind: "answered"; readonly json: string; readonly result: InferenceResult }
	| { readonly kind: "refused"; readonly refusal: Refusal }
	/** The client went away: before an inference was begun, or after. */
	| { readonly kind: "gone"; readonly begun: boolean };

/** nginx's name for a client that closed the request: for spans and metrics, never sent. */
const CLIENT_GONE = 499;

export class PredictorService {
	/** Set when the predictor begins to close: not ready, and each answer ends its connection. */
	closing = false;
	readonly #parts: ServiceParts;
	readonly #admission: Admission;

	constructor(parts: ServiceParts) {
		this.#parts = parts;
		this.#admission = new Admission(parts.limits);
	}

	/** Never rejects. */
	async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const target = request.url ?? "/";
		const query = target.indexOf("?");
		const path = query < 0 ? target : target.slice(0, query);
		const endpoint = endpointOf(path);
		if (endpoint === null) {
			this.#refuse(request, response, refusal(404, "no such endpoint"));
			return;
		}
		const method = methodOf(endpoint);
		if ((request.method === "HEAD" ? "GET" : request.method) !== method) {
			const allow = method === "GET" ? "GET, HEAD" : "POST";
			this.#refuse(request, response, refusal(405, `use ${method}`, { allow }));
			return;
		}
		const demand = isHealth(endpoint) ? null : this.#parts.decision;
		// Before anything is taken up for it; used up once there is room, as a retry carries the same one.
		const decision = demand === null ? null : await decisionFor(demand, request, target);
		if (typeof decision === "string") {
			this.#refuseDecision(request, response, decision);
			return;
		}
		const index = "model" in endpoint ? this.#find(endpoint) : null;
		if (endpoint.kind === "infer" && index !== null) {
			await this.#infer(request, response, index, { endpoint, path, decision });
			return;
		}
		const why = decision?.use() ?? null;
		if (why !== null) {
			this.#refuseDecision(request, response, why);
			return;
		}
		if (!("model" in endpoint)) {
			this.#describeServer(endpoint, response);
			return;
		}
		if (index === null) {
			const what = endpoint.version === null ? "model" : "model version";
			this.#refuse(request, response, refusal(404, `no such ${what}`));
			return;
		}
		if (endpoint.kind !== "infer") this.#describeModel(endpoint.kind, index, response);
	}

	/** OIP: 200 means yes, a 4xx means no. */
	#describeServer({ kind }: Endpoint, response: ServerResponse): void {
		if (kind === "server-metadata") {
			this.#send(response, 200, JSON.stringify({ name: "weir-predictor", version: SERVER_VERSION, extensions: [] }));
		} else if (kind === "live") {
			this.#send(response, 200, '{"live":true}');
		} else {
			this.#send(response, this.#ready ? 200 : 400, JSON.stringify({ ready: this.#ready }));
		}
	}

	#describeModel(kind: "model-metadata" | "model-ready", index: number, response: ServerResponse): void {
		const { name } = this.#model(index);
		if (kind === "model-ready") {
			this.#send(response, this.#ready ? 200 : 400, JSON.stringify({ name, ready: this.#ready }));
			return;
		}
		const versions = this.#parts.models.filter((model) => model.name === name).map(({ version }) => version);
		const { inputs, outputs } = this.#signature(index);
		this.#send(response, 200, JSON.stringify({ name, versions, platform: PLATFORM, inputs, outputs }));
	}

	async #infer(
		request: IncomingMessage,
		response: ServerResponse,
		index: number,
		{ endpoint, path, decision }: Asked,
	): Promise<void> {
		const startedMs = performance.now();
		const ticket = this.#admission.admit();
		const why = ticket === null ? null : (decision?.use() ?? null);
		if (why !== null) {
			ticket?.release();
			this.#refuseDecision(request, response, why);
			return;
		}
		const { name: model, version } = this.#model(index);
		const route = routeTemplate(endpoint);
		const span = startInferSpan(this.#parts.tracer, { headers: request.headers, route, path, model, version });
		const outcome = ticket === null ? refused(OVERLOAD) : await this.#outcome(request, response, index, ticket);
		if (ticket !== null && !isBegun(outcome)) decision?.giveBack();
		if (outcome.kind === "answered") this.#send(response, 200, outcome.json);
		else if (outcome.kind === "refused") this.#refuse(request, response, outcome.refusal);
		ticket?.release();

		const status = outcome.kind === "answered" ? 200 : outcome.kind === "gone" ? CLIENT_GONE : outcome.refusal.status;
		const result = outcome.kind === "answered" ? outcome.result : null;
		if (status === 500) this.#parts.log?.error("an inference failed", { model, version });
		endInferSpan(span, { status, queueMs: result?.queueMs ?? null, runMs: result?.runMs ?? null });
		this.#record({ model, version }, status, performance.now() - startedMs, result);
	}

	async #outcome(
		request: IncomingMessage,
		response: ServerResponse,
		index: number,
		ticket: Ticket,
	): Promise<InferOutcome> {
		try {
			const early = refusalOfHeaders(request);
			if (early !== null) return refused(early);
			const body = await readBody(request, ticket);
			if (body.kind === "gone") return { kind: "gone", begun: false };
			if (body.kind !== "text") return refused(refusalOfBody(body.kind));
			const { id, inputs, outputs } = parseInferRequest(body.text, this.#signature(index));
			const submitted = this.#parts.pool.submit({ model: index, inputs, outputs });
			response.once("close", submitted.cancel);
			const result = await submitted.result;
			const { name, version } = this.#model(index);
			const json = formatInferResponse({ modelName: name, modelVersion: version, id, outputs: result.outputs });
			return { kind: "answered", json, result };
		} catch (error) {
			const refusal = refusalOf(error);
			return response.destroyed ? { kind: "gone", begun: refusal.status !== OVERLOAD.status } : refused(refusal);
		}
	}

	#record(
		labels: { readonly model: string; readonly version: string },
		status: number,
		totalMs: number,
		result: InferenceResult | null,
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
	}

	get #ready(): boolean {
		return this.#parts.pool.ready && !this.closing;
	}

	/** The last one given of a name answers where no version is asked for. */
	#find({ model, version }: { readonly model: string; readonly version: string | null }): number | null {
		const index = this.#parts.models.findLastIndex(
			(candidate) => candidate.name === model && (version === null || candidate.version === version),
		);
		return index < 0 ? null : index;
	}

	#model(index: number): ModelSource {
		const model = this.#parts.models[index];
		if (model === undefined) throw new WeirError("internal", `no model ${index}`);
		return model;
	}

	#signature(index: number): ModelSignature {
		const signature = this.#parts.pool.signatures[index];
		if (signature === undefined) throw new WeirError("internal", `no signature of model ${index}`);
		return signature;
	}

	#refuseDecision(request: IncomingMessage, response: ServerResponse, why: string): void {
		const { meter, log } = this.#parts;
		meter?.count("weir_predictor_decisions_refused_total", "Requests without a decision that holds.");
		log?.warn("a request carries no decision that holds", { why });
		this.#refuse(request, response, refusal(403, "no decision allows this request"));
	}

	/** Where the body was not read to its end, the connection cannot carry another request. */
	#refuse(request: IncomingMessage, response: ServerResponse, { status, message, headers }: Refusal): void {
		const end = request.complete || !hasBody(request) ? {} : { connection: "close" };
		this.#send(response, status, JSON.stringify({ error: message }), { ...headers, ...end });
	}

	#send(response: ServerResponse, status: number, json: string, headers: Readonly<Record<string, string>> = {}): void {
		if (response.destroyed || response.headersSent) return; // The client is gone.
		response.writeHead(status, {
			"content-type": "application/json",
			"content-length": Buffer.byteLength(json),
			...(this.closing ? { connection: "close" } : {}),
			...headers,
		});
		response.end(json);
	}
}

const refused = (refusal: Refusal): InferOutcome => ({ kind: "refused", refusal });

/** What Envoy's health checks ask: no caller's request, so nobody decided on it. */
const isHealth = ({ kind }: Endpoint): boolean => kind === "live" || kind === "ready" || kind === "model-ready";

/** Whether a model was asked, or could have been but for the request itself. A 503 says that it was not. */
const isBegun = (outcome: InferOutcome): boolean =>
	outcome.kind === "gone" ? outcome.begun : outcome.kind === "answered" || outcome.refusal.status !== OVERLOAD.status;

/** The decision that allows it, or why none does: a check that fails in itself allows nothing. */
async function decisionFor(
	{ service, variant, check }: DecisionDemand,
	request: IncomingMessage,
	path: string,
): Promise<GoodDecision | string> {
	const decisions = request.headersDistinct["x-weir-decision"] ?? [];
	if (decisions.length === 0) return "it carries none";
	try {
		return await check({ decisions, method: request.method ?? "", path, service, variant });
	} catch {
		return "it could not be checked";
	}
}

const hasBody = ({ headers }: IncomingMessage): boolean =>
	headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
