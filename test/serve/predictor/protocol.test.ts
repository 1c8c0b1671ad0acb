import t from "tap";
import { WeirError } from "../../../src/error.js";
import { formatInferResponse, parseInferRequest } from "../../../src/serve/predictor/protocol.js";
import type { ModelSignature } from "../../../src/serve/predictor/tensor.js";

const signature: ModelSignature = {
	inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
	outputs: [
		{ name: "label", datatype: "INT64", shape: [-1] },
		{ name: "score", datatype: "FP32", shape: [-1, 2] },
	],
};
const x = { name: "x", shape: [1, 2], datatype: "FP32", data: [1, 2] };
const parse = (body: unknown) => parseInferRequest(JSON.stringify(body), signature);

t.test("data may be flat or nested", async (t) => {
	for (const data of [
		[1, 2, 3, 4],
		[
			[1, 2],
			[3, 4],
		],
	]) {
		t.same(parse({ inputs: [{ ...x, shape: [2, 2], data }] }).inputs[0]?.data, Float32Array.of(1, 2, 3, 4));
	}
	t.same(parse({ inputs: [{ ...x, shape: [0, 2], data: [] }] }).inputs[0]?.data, new Float32Array(0));
});

t.test("a response echoes the id and has the requested outputs in order", async (t) => {
	t.match(parse({ id: "a", inputs: [x], outputs: [{ name: "score" }] }), { id: "a", outputs: ["score"] });
	t.match(parse({ inputs: [x], parameters: { note: "n", priority: 1, binary_data_output: false } }), {
		id: null,
		outputs: ["label", "score"],
	});
});

t.test("an invalid request is refused with the place of its fault", async (t) => {
	const cases: readonly [body: unknown, message: RegExp][] = [
		[[], /the body must be an object/],
		[{ inputs: [x], extra: 1 }, /the body: unknown field "extra"/],
		[{ inputs: [{ ...x, dtype: "FP32" }] }, /inputs\[0\]: unknown field "dtype"/],
		[{ inputs: [x], outputs: [{ name: "label", as: 1 }] }, /outputs\[0\]: unknown field "as"/],
		[{ inputs: [x], id: 1 }, /id must be a string/],
		[{ inputs: [x], parameters: [] }, /parameters must be an object/],
		[{ inputs: [x], parameters: { a: null } }, /parameters must hold/],
		[{ inputs: [x], outputs: [{ name: "score", parameters: { binary_data: true } }] }, /binary tensor extension/],
		[{ inputs: [x], outputs: [{ name: "score", parameters: { classification: 1 } }] }, /classification extension/],
		[{}, /inputs must be an array/],
		[{ inputs: [] }, /input 'x' is missing/],
		[{ inputs: [x, x] }, /inputs\[1\]: 'x' is given twice/],
		[{ inputs: [{ ...x, name: "y" }] }, /inputs\[0\]\.name: no such input; the model takes 'x'/],
		[{ inputs: [x], outputs: [{ name: "x" }] }, /outputs\[0\]\.name: no such output/],
		[{ inputs: [x], outputs: [{ name: "label" }, { name: "label" }] }, /one output twice/],
		[{ inputs: [x], outputs: {} }, /outputs must be an array/],
		[{ inputs: [{ ...x, datatype: "FP64" }] }, /datatype: input 'x' takes FP32/],
		[{ inputs: [{ ...x, shape: "1,2" }] }, /shape must be an array/],
		[{ inputs: [{ ...x, shape: [1.5, 2] }] }, /shape must hold integers/],
		[{ inputs: [{ ...x, shape: [-1, 2] }] }, /shape must hold integers/],
		[{ inputs: [{ ...x, shape: [2] }] }, /shape is \[2\]; input 'x' takes \[-1,2\]/],
		[{ inputs: [{ ...x, shape: [1, 3], data: [1, 2, 3] }] }, /shape is \[1,3\]/],
		[{ inputs: [{ ...x, shape: Array(17).fill(1) }] }, /more than 16 dimensions/],
		[{ inputs: [{ ...x, data: "1,2" }] }, /data must be an array/],
		[{ inputs: [{ ...x, data: [1] }] }, /data has 1 elements; shape \[1,2\] means 2/],
		[{ inputs: [{ ...x, data: [[1, 2, 3]] }] }, /3 items on axis 1; shape says 2/],
		[
			{
				inputs: [
					{
						...x,
						data: [
							[1, 2],
							[3, 4],
						],
					},
				],
			},
			/2 items on axis 0; shape says 1/,
		],
		[{ inputs: [{ ...x, shape: [2, 2], data: [[1, 2], 3] }] }, /nested less deeply/],
		[{ inputs: [{ ...x, data: [1, "2"] }] }, /data: element 1 \(a string\) does not fit/],
		[{ inputs: [{ ...x, data: [1, null] }] }, /element 1 \(null\)/],
		[{ inputs: [{ ...x, data: [1, 1e39] }] }, /outside the range of FP32/],
	];
	for (const [body, message] of cases) t.throws(() => parse(body), { code: "invalid-argument", message });
	t.throws(() => parseInferRequest("{secret", signature), { message: "the body is not JSON" }, "no payload quoted");
	t.throws(
		() => parseInferRequest('{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,1e400]}]}', signature),
		{ message: /outside the range/ },
		"a literal that overflows to infinity",
	);
});

t.test("each datatype accepts only values that it can hold exactly", async (t) => {
	const of = (datatype: string, text: string) =>
		parseInferRequest(`{"inputs":[{"name":"v","shape":[1],"datatype":"${datatype}","data":[${text}]}]}`, {
			inputs: [{ name: "v", datatype: datatype as "BOOL", shape: [-1] }],
			outputs: [],
		}).inputs[0]?.data[0];
	const taken: readonly [string, string, unknown][] = [
		["BOOL", "true", 1],
		["UINT8", "255", 255],
		["INT8", "-128", -128],
		["UINT16", "65535", 65535],
		["INT16", "-32768", -32768],
		["UINT32", "4294967295", 4294967295],
		["INT32", "-2147483648", -2147483648],
		["INT64", "-9007199254740991", -9007199254740991n],
		["UINT64", "9007199254740991", 9007199254740991n],
		["FP64", "1e300", 1e300],
		["FP32", "-0.5", -0.5],
		["BYTES", '"héllo"', "héllo"],
	];
	for (const [datatype, text, value] of taken) t.equal(of(datatype, text), value, `${datatype} ${text}`);
	const refused: readonly [string, string][] = [
		["BOOL", "1"],
		["UINT8", "256"],
		["UINT8", "-1"],
		["INT8", "128"],
		["UINT16", "65536"],
		["INT16", "-32769"],
		["UINT32", "4294967296"],
		["INT32", "2147483648"],
		["INT64", "9007199254740992"],
		["INT64", "9007199254740993"],
		["INT64", "1.5"],
		["INT64", '"1"'],
		["UINT64", "-1"],
		["INT32", "0.5"],
		["FP64", "true"],
		["BYTES", "1"],
	];
	for (const [datatype, text] of refused) {
		t.throws(() => of(datatype, text), { code: "invalid-argument" }, `${datatype} ${text}`);
	}
});

t.test("a response is JSON with every digit of 64-bit integers", async (t) => {
	const text = formatInferResponse({
		modelName: "m",
		modelVersion: "2",
		id: 'a"b',
		outputs: [
			{ name: "label", datatype: "INT64", shape: [2], data: BigInt64Array.of(1n, 9007199254740993n) },
			{ name: "flag", datatype: "BOOL", shape: [2], data: Uint8Array.of(0, 1) },
			{ name: "score", datatype: "FP32", shape: [1, 2], data: Float32Array.of(0.5, 1e21) },
			{ name: "text", datatype: "BYTES", shape: [1], data: ['"q"'] },
		],
	});
	t.match(text, /\[1,9007199254740993\]/);
	t.match(JSON.parse(text), {
		model_name: "m",
		model_version: "2",
		id: 'a"b',
		outputs: [
			{ name: "label", datatype: "INT64", shape: [2] },
			{ data: [false, true] },
			{ shape: [1, 2] },
			{ data: ['"q"'] },
		],
	});
	t.notOk("id" in JSON.parse(formatInferResponse({ modelName: "m", modelVersion: "1", id: null, outputs: [] })));
});

t.test("an output that JSON cannot carry is an error, not null", async (t) => {
	for (const value of [Number.NaN, Infinity]) {
		const outputs = [{ name: "s", datatype: "FP32" as const, shape: [1], data: Float32Array.of(value) }];
		t.throws(() => formatInferResponse({ modelName: "m", modelVersion: "1", id: null, outputs }), WeirError);
	}
});
