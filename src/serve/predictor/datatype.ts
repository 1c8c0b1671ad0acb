/**
 * Maps datatypes of the Open Inference Protocol v2 (inference_rest.md, "Tensor Data Types") to ONNX, and converts JSON values.
 * A value that does not fit is an error; only decimals are rounded, to the nearest FP32 or FP64.
 */
import { WeirError } from "../../error.js";

export type NumericArray =
	| Uint8Array
	| Int8Array
	| Uint16Array
	| Int16Array
	| Uint32Array
	| Int32Array
	| BigUint64Array
	| BigInt64Array
	| Float32Array
	| Float64Array;

/** Row-major elements. BOOL is a byte 0 or 1; BYTES are strings, since JSON carries them as UTF-8. */
export type TensorData = NumericArray | string[];

/** onnxruntime's names of the types with a JSON form. FP16 and BF16 have none (OIP). */
export type OnnxType =
	| "bool"
	| "uint8"
	| "uint16"
	| "uint32"
	| "uint64"
	| "int8"
	| "int16"
	| "int32"
	| "int64"
	| "float32"
	| "float64"
	| "string";

export type Datatype =
	| "BOOL"
	| "UINT8"
	| "UINT16"
	| "UINT32"
	| "UINT64"
	| "INT8"
	| "INT16"
	| "INT32"
	| "INT64"
	| "FP32"
	| "FP64"
	| "BYTES";

export const DATATYPE_OF_ONNX: Readonly<Record<OnnxType, Datatype>> = {
	bool: "BOOL",
	uint8: "UINT8",
	uint16: "UINT16",
	uint32: "UINT32",
	uint64: "UINT64",
	int8: "INT8",
	int16: "INT16",
	int32: "INT32",
	int64: "INT64",
	float32: "FP32",
	float64: "FP64",
	string: "BYTES",
};

export const ONNX_OF_DATATYPE: Readonly<Record<Datatype, OnnxType>> = {
	BOOL: "bool",
	UINT8: "uint8",
	UINT16: "uint16",
	UINT32: "uint32",
	UINT64: "uint64",
	INT8: "int8",
	INT16: "int16",
	INT32: "int32",
	INT64: "int64",
	FP32: "float32",
	FP64: "float64",
	BYTES: "string",
};

export function isOnnxType(type: string): type is OnnxType {
	return Object.hasOwn(DATATYPE_OF_ONNX, type);
}

/**
 * Converts JSON values in row-major order.
 * @param where the path in the request, for the message
 * @throws WeirError `invalid-argument` at the first value that the datatype cannot hold exactly
 */
export function elements(datatype: Datatype, values: readonly unknown[], where: string): TensorData {
	switch (datatype) {
		case "BOOL":
			return Uint8Array.from(values, (value, at) => {
				if (typeof value !== "boolean") throw unfit(where, at, value, "BOOL takes true or false");
				return value ? 1 : 0;
			});
		case "BYTES":
			return values.map((value, at) => {
				if (typeof value !== "string") throw unfit(where, at, value, "BYTES takes strings");
				return value;
			});
		case "FP32":
			return floats(new Float32Array(values.length), values, where, datatype);
		case "FP64":
			return floats(new Float64Array(values.length), values, where, datatype);
		case "INT64":
			return BigInt64Array.from(values, (value, at) => BigInt(safeInteger(datatype, value, where, at, -Infinity)));
		case "UINT64":
			return BigUint64Array.from(values, (value, at) => BigInt(safeInteger(datatype, value, where, at, 0)));
		case "UINT8":
			return integers(new Uint8Array(values.length), values, where, datatype, 0, 0xff);
		case "UINT16":
			return integers(new Uint16Array(values.length), values, where, datatype, 0, 0xffff);
		case "UINT32":
			return integers(new Uint32Array(values.length), values, where, datatype, 0, 0xffff_ffff);
		case "INT8":
			return integers(new Int8Array(values.length), values, where, datatype, -0x80, 0x7f);
		case "INT16":
			return integers(new Int16Array(values.length), values, where, datatype, -0x8000, 0x7fff);
		case "INT32":
			return integers(new Int32Array(values.length), values, where, datatype, -0x8000_0000, 0x7fff_ffff);
	}
}

/**
 * Elements as a JSON array. 64-bit integers are written with all their digits.
 * @throws WeirError `internal` for NaN and infinities, which JSON cannot carry
 */
export function toJson(datatype: Datatype, data: TensorData, where: string): string {
	if (Array.isArray(data)) return JSON.stringify(data);
	if (datatype === "BOOL")
		return `[${Array.from(data as Uint8Array, (value) => (value === 0 ? "false" : "true")).join(",")}]`;
	if (data instanceof Float32Array || data instanceof Float64Array) {
		const at = data.findIndex((value) => !Number.isFinite(value));
		if (at >= 0) throw new WeirError("internal", `${where}: element ${at} is ${data[at]}, which JSON cannot carry`);
	}
	return `[${data.join(",")}]`;
}

function floats<A extends Float32Array | Float64Array>(
	array: A,
	values: readonly unknown[],
	where: string,
	datatype: Datatype,
): A {
	for (let at = 0; at < values.length; at++) {
		const value = values[at];
		if (typeof value !== "number") throw unfit(where, at, value, `${datatype} takes numbers`);
		array[at] = value;
		// JSON has no NaN or Infinity, but 1e400 parses to one and 1e39 overflows FP32.
		if (!Number.isFinite(array[at])) throw unfit(where, at, value, `it is outside the range of ${datatype}`);
	}
	return array;
}

function integers<A extends Exclude<NumericArray, BigInt64Array | BigUint64Array>>(
	array: A,
	values: readonly unknown[],
	where: string,
	datatype: Datatype,
	lowest: number,
	highest: number,
): A {
	for (let at = 0; at < values.length; at++) {
		const value = values[at];
		if (typeof value !== "number" || !Number.isInteger(value)) {
			throw unfit(where, at, value, `${datatype} takes integers`);
		}
		if (value < lowest || value > highest) throw unfit(where, at, value, `it is outside the range of ${datatype}`);
		array[at] = value;
	}
	return array;
}

/** Refuses integers beyond 2⁵³ − 1, because JSON numbers are parsed as doubles. */
function safeInteger(datatype: Datatype, value: unknown, where: string, at: number, lowest: number): number {
	if (typeof value !== "number" || !Number.isInteger(value)) {
		throw unfit(where, at, value, `${datatype} takes integers`);
	}
	if (!Number.isSafeInteger(value)) throw unfit(where, at, value, "JSON numbers are exact only up to 2^53 - 1");
	if (value < lowest) throw unfit(where, at, value, `it is outside the range of ${datatype}`);
	return value;
}

/** The message has path, reason and type, but not the value, which is payload. */
function unfit(where: string, at: number, value: unknown, why: string): WeirError {
	const kind = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
	return new WeirError("invalid-argument", `${where}: element ${at} (${kind}) does not fit: ${why}`);
}
