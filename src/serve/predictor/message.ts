/** Messages between the pool and a session worker, safe for structured clone. */
import type { ModelSignature, ModelSource, Tensor } from "./tensor.js";

/** workerData of a session worker. */
export interface WorkerStart {
	readonly models: readonly ModelSource[];
	readonly intraOpNumThreads: number;
}

export type ToWorker =
	| {
			readonly kind: "run";
			readonly job: number;
			/** Index into WorkerStart.models. */
			readonly model: number;
			readonly inputs: readonly Tensor[];
			readonly outputs: readonly string[];
	  }
	/** Finish earlier jobs, release the sessions, exit. */
	| { readonly kind: "close" };

export type FromWorker =
	| { readonly kind: "ready"; readonly signatures: readonly ModelSignature[] }
	/** A model cannot be served; the worker exits. */
	| { readonly kind: "unloadable"; readonly model: number; readonly message: string }
	| { readonly kind: "done"; readonly job: number; readonly outputs: readonly Tensor[]; readonly runMs: number }
	/** `request`: the tensors do not fit the model; `session`: the model failed. */
	| { readonly kind: "failed"; readonly job: number; readonly fault: "request" | "session"; readonly message: string };
