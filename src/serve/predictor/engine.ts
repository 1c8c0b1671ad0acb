/** What the protocols (REST, gRPC) ask of the models. It knows nothing of wires; the protocols know nothing of workers. */
import type { ModelSignature, ModelSource, Tensor } from "./tensor.js";

/** A READY version of a model. Several versions of one name may be READY at once. */
export interface ServedModel {
	readonly name: string;
	readonly version: string;
	/** `sha256:…` of the model's manifest in a store; null = a bare file. */
	readonly digest: string | null;
	readonly signature: ModelSignature;
}

export type ModelState = "LOADING" | "READY" | "UNLOADING" | "UNAVAILABLE";

/** As in the model repository extension (Triton, extension_model_repository.md). */
export interface ModelEntry {
	readonly name: string;
	readonly version: string;
	readonly digest: string | null;
	readonly state: ModelState;
	/** Why it is not READY; empty if it is. */
	readonly reason: string;
}

export interface EngineRequest {
	/** Checked against the signature, in its order. */
	readonly inputs: readonly Tensor[];
	/** Names of the requested outputs, in order. */
	readonly outputs: readonly string[];
	/** Bytes of the request's body, for the queue's bound. */
	readonly bytes: number;
	/** On the clock of performance.now(); null = none. A request that would miss it is refused, or leaves the queue. */
	readonly deadlineMs: number | null;
	/** Aborted = the client is gone: the request leaves the queue. */
	readonly signal: AbortSignal;
}

export interface EngineResult {
	/** The model that answered. */
	readonly model: ServedModel;
	/** In the order of the request. */
	readonly outputs: readonly Tensor[];
	/** Time before it was handed to a worker. */
	readonly queueMs: number;
	/** Time inside the session. */
	readonly runMs: number;
	/** Rows of the batch that it ran in. */
	readonly batchRows: number;
}

/** Counts and nanoseconds as in Triton's statistics extension (extension_statistics.md). */
export interface ModelStatistics {
	readonly name: string;
	readonly version: string;
	/** Milliseconds since the epoch; 0 = never. */
	readonly lastInferenceMs: number;
	/** Rows, and runs of the session. */
	readonly inferenceCount: number;
	readonly executionCount: number;
	readonly success: Duration;
	readonly fail: Duration;
	readonly queue: Duration;
	readonly compute: Duration;
	readonly batches: readonly { readonly rows: number; readonly count: number; readonly ns: number }[];
}

export interface Duration {
	readonly count: number;
	readonly ns: number;
}

export interface LoadOptions {
	/** Whether it then serves the requests without a version. The first READY version of a name always does. */
	readonly takeOver: boolean;
}

export interface Engine {
	/** Every model that was asked for is READY, and a worker lives. */
	readonly ready: boolean;
	/** Every version that was asked for and not unloaded. */
	index(): readonly ModelEntry[];
	/** @param version or digest (`sha256:…`); null = the one that serves now. @returns null = no such READY model */
	find(name: string, version: string | null): ServedModel | null;
	/**
	 * @param model as find() returned it; if a swap has unloaded it since, and the serving version has the same signature,
	 * that one answers
	 * @throws WeirError `resource-exhausted` (with retryAfterS) if the queue is full or the predicted wait too long,
	 * `deadline-exceeded`, `cancelled`, `invalid-argument` if the tensors do not fit the model, `unavailable` if no worker
	 * can run it, `internal`
	 */
	infer(model: ServedModel, request: EngineRequest): Promise<EngineResult>;
	/**
	 * Loads and warms up a version. Other versions of the name stay READY.
	 * @throws WeirError `already-exists` if that version is READY from another file, `failed-precondition` if it does not
	 * load (it is then UNAVAILABLE in index(), and the others serve)
	 */
	load(source: ModelSource, options: LoadOptions): Promise<void>;
	/** Takes no new requests for the version, lets the running ones end, and unloads it. @throws WeirError `not-found` */
	unload(name: string, version: string): Promise<void>;
	/** Of every READY version. */
	statistics(): readonly ModelStatistics[];
	close(): Promise<void>;
}
