/** Types of the predictor: models, their signatures, and tensors. */
import type { Datatype, TensorData } from "./datatype.js";

/** A model file with its name and version. */
export interface ModelSource {
	readonly name: string;
	readonly version: string;
	readonly path: string;
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
