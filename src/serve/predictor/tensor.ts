/** Types of the predictor: models, their signatures, and tensors. */
import type { Datatype, TensorData } from "./datatype.js";

/** A model file with its name and version. */
export interface ModelSource {
	readonly name: string;
	readonly version: string;
	readonly path: string;
	/** `sha256:…` of the model's manifest in a store; absent = a bare file. */
	readonly digest?: string | undefined;
	/** JSON file: a list of Open Inference Protocol requests with expected outputs and tolerance, run before it serves. */
	readonly golden?: string | undefined;
	/** Rows that one run may have, of several requests together; absent = 1: each request runs alone. */
	readonly maxBatchRows?: number | undefined;
}

/** Shape: −1 is a dimension of any size; empty means scalar or unknown, and takes every shape. */
export interface TensorSpec {
	readonly name: string;
	readonly datatype: Datatype;
	readonly shape: readonly number[];
}

export interface ModelSignature {
	readonly inputs: readonly TensorSpec[];
	readonly outputs: readonly TensorSpec[];
}

export interface Tensor {
	readonly name: string;
	readonly datatype: Datatype;
	readonly shape: readonly number[];
	readonly data: TensorData;
}
