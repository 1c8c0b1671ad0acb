/**
 * Converts Open Inference Protocol v2 JSON to tensors and back, checked against the model's signature. Pure.
 * Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md.
 *
 * Unknown fields, unknown tensors and the binary tensor extension (which GET /v2 does not list) are refused, because ignoring
 * them could give a wrong answer.
 */
import { WeirError } from "../../error.js";
import { elements, toJson } from "./datatype.js";
import type { ModelSignature, Tensor, TensorSpec } from "./tensor.js";

/** Rank of a tensor in a request: ONNX models are below it, and it limits the parser's stack. */
const TENSOR_RANK_MAX = 16;

export interface InferRequest {
	/** Echoed in the response; null = none. */
	readonly id: string | null;
	readonly inputs: readonly Tensor[];
	/** Requested outputs in order; all, if the request names none. */
	readonly outputs: readonly string[];
}

export interface InferResponse {
	readonly modelName: string;
	readonly modelVersion: string;
	readonly id: string | null;
	readonly outputs: readonly Tensor[];
}

type JsonObject = { readonly [key: string]: unknown };

/** @throws WeirError `invalid-argument` with the field and its expected value */
export function parseInferRequest(text: string, signature: ModelSignature): InferRequest {
	let json: unknown;
	try {
		json = JSON.parse(text);
	} catch {
		// The parser's message quotes the body, which is payload.
		throw new WeirError("invalid-argument", "the body is not JSON");
	}
	const body = object(json, "the body", ["id", "parameters", "inputs", "outputs"]);
	checkParameters(body.parameters, "parameters");
	if (body.id !== undefined && typeof body.id !== "string") throw refused("id must be a string");
	return {
		id: body.id ?? null,
		inputs: inputTensors(body.inputs, signature),
		outputs: outputNames(body.outputs, signature),
	};
}

/** @throws WeirError `internal` if an output has no JSON form */
export function formatInferResponse({ modelName, modelVersion, id, outputs }: InferResponse): string {
	const tensors = outputs.map(
		({ name, datatype, shape, data }) =>
			`{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(",")}],"data":${toJson(datatype, data, `output '${name}'`)}}`,
	);
	const idField = id === null ? "" : `"id":${JSON.stringify(id)},`;
	return `{"model_name":${JSON.stringify(modelName)},"model_version":${JSON.stringify(modelVersion)},${idField}"outputs":[${tensors.join(",")}]}`;
}

function inputTensors(given: unknown, { inputs: specs }: ModelSignature): Tensor[] {
	if (!Array.isArray(given)) throw refused("inputs must be an array");
	const tensors = new Map<string, Tensor>();
	given.forEach((entry, index) => {
		const tensor = inputTensor(entry, `inputs[${index}]`, specs);
		if (tensors.has(tensor.name)) throw refused(`inputs[${index}]: '${tensor.name}' is given twice`);
		tensors.set(tensor.name, tensor);
	});
	return specs.map(({ name }) => {
		const tensor = tensors.get(name);
		if (tensor === undefined) throw refused(`input '${name}' is missing; the model takes ${names(specs)}`);
		return tensor;
	});
}

function inputTensor(entry: unknown, where: string, specs: readonly TensorSpec[]): Tensor {
	const { name, datatype, shape, parameters, data } = object(entry, where, [
		"name",
		"shape",
		"datatype",
		"parameters",
		"data",
	]);
	checkParameters(parameters, `${where}.parameters`);
	const spec = specs.find((candidate) => candidate.name === name);
	if (spec === undefined) throw refused(`${where}.name: no such input; the model takes ${names(specs)}`);
	if (datatype !== spec.datatype) throw refused(`${where}.datatype: input '${spec.name}' takes ${spec.datatype}`);
	const dimensions = checkShape(shape, spec, `${where}.shape`);
	const values = flatten(data, dimensions, `${where}.data`);
	return {
		name: spec.name,
		datatype: spec.datatype,
		shape: dimensions,
		data: elements(spec.datatype, values, `${where}.data`),
	};
}

function checkShape(shape: unknown, spec: TensorSpec, where: string): number[] {
	if (!Array.isArray(shape)) throw refused(`${where} must be an array of sizes`);
	if (shape.length > TENSOR_RANK_MAX) throw refused(`${where} has more than ${TENSOR_RANK_MAX} dimensions`);
	const dimensions = shape.map((size: unknown) => {
		if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) {
			throw refused(`${where} must hold integers from 0`);
		}
		return size;
	});
	const fits =
		spec.shape.length === 0 ||
		(spec.shape.length === dimensions.length &&
			spec.shape.every((size, axis) => size === -1 || size === dimensions[axis]));
	if (!fits) {
		throw refused(`${where} is [${dimensions}]; input '${spec.name}' takes [${spec.shape}], -1 being any size`);
	}
	return dimensions;
}

/** Accepts a flat row-major list, or nesting exactly as the shape. */
function flatten(data: unknown, shape: readonly number[], where: string): readonly unknown[] {
	if (!Array.isArray(data)) throw refused(`${where} must be an array`);
	const count = shape.reduce((product, size) => product * size, 1);
	const nested = shape.length > 1 && Array.isArray(data[0]);
	if (!nested) {
		if (data.length !== count) throw refused(`${where} has ${data.length} elements; shape [${shape}] means ${count}`);
		return data;
	}
	const flat: unknown[] = [];
	collect(data, shape, 0, where, flat);
	return flat;
}

function collect(level: unknown, shape: readonly number[], axis: number, where: string, flat: unknown[]): void {
	const size = shape[axis] ?? 0;
	if (!Array.isArray(level)) throw refused(`${where}: nested less deeply than shape [${shape}]`);
	if (level.length !== size) throw refused(`${where}: ${level.length} items on axis ${axis}; shape says ${size}`);
	if (axis === shape.length - 1) for (const value of level) flat.push(value);
	else for (const next of level) collect(next, shape, axis + 1, where, flat);
}

function outputNames(given: unknown, { outputs: specs }: ModelSignature): string[] {
	if (given === undefined) return specs.map(({ name }) => name);
	if (!Array.isArray(given)) throw refused("outputs must be an array");
	const wanted = given.map((entry: unknown, index) => {
		const where = `outputs[${index}]`;
		const { name, parameters } = object(entry, where, ["name", "parameters"]);
		checkParameters(parameters, `${where}.parameters`);
		const spec = specs.find((candidate) => candidate.name === name);
		if (spec === undefined) throw refused(`${where}.name: no such output; the model gives ${names(specs)}`);
		return spec.name;
	});
	if (new Set(wanted).size !== wanted.length) throw refused("outputs names one output twice");
	return wanted.length === 0 ? specs.map(({ name }) => name) : wanted;
}

/** Refused extension parameters: they change the meaning of the bytes or the response. */
const EXTENSIONS: ReadonlyMap<string, string> = new Map([
	["binary_data", "the binary tensor extension"],
	["binary_data_size", "the binary tensor extension"],
	["binary_data_output", "the binary tensor extension"],
	["classification", "the classification extension"],
	["shared_memory_region", "the shared memory extension"],
	["sequence_id", "the sequence extension"],
]);

function checkParameters(parameters: unknown, where: string): void {
	if (parameters === undefined) return;
	if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters)) {
		throw refused(`${where} must be an object`);
	}
	for (const [key, value] of Object.entries(parameters)) {
		if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") {
			throw refused(`${where} must hold strings, numbers or booleans`);
		}
		const extension = EXTENSIONS.get(key);
		if (extension !== undefined && value !== false) throw refused(`${where}.${key}: ${extension} is not supported`);
	}
}

function object(value: unknown, where: string, known: readonly string[]): JsonObject {
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw refused(`${where} must be an object`);
	for (const key of Object.keys(value)) {
		if (!known.includes(key)) {
			throw refused(`${where}: unknown field ${JSON.stringify(key.slice(0, 64))}; known are ${known.join(", ")}`);
		}
	}
	return value as JsonObject;
}

const names = (specs: readonly TensorSpec[]): string => specs.map(({ name }) => `'${name}'`).join(", ");

const refused = (message: string): WeirError => new WeirError("invalid-argument", message);
