import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { INFER_BODY_BYTES_MAX } from "../../../src/limits/index.js";
import { type PredictorOptions, startPredictor } from "../../../src/serve/predictor/server.js";
import { call, employmentModel, goOn, rememberingMeter, tinyModel } from "./doubles.js";

const FEATURES = [46, 21, 1, 0, 2, 0, 3, 1, 4, 2, 1, 2, 2, 2, 1, 1];
const features = { name: "features", shape: [1, 16], datatype: "FP32", data: FEATURES };
const DYING = new URL("./dying.worker.js", import.meta.url);

async function start(t: Test, options: Partial<PredictorOptions> = {}): Promise<string> {
	const predictor = await startPredictor({
		models: [
			{ name: "plain", path: employmentModel("plain") },
			{ name: "employment", path: employmentModel("plain"), version: "1" },
			{ name: "employment", path: employmentModel("better"), version: "2" },
			{ name: "identity", path: tinyModel("identity") },
			{ name: "add", path: tinyModel("add") },
		],
		address: "127.0.0.1",
		port: 0,
		workers: 1,
		...options,
	});
	t.teardown(() => predictor.close());
	return predictor.url;
}

t.test("metadata and health follow the V2 inference protocol", async (t) => {
	const url = await start(t);
	t.match((await call(url, { path: "/v2" })).json, { name: "weir-predictor", extensions: [] });
	t.match(await call(url, { path: "/v2/health/live" }), { status: 200, json: { live: true } });
	t.match(await call(url, { path: "/v2/health/ready" }), { status: 200, json: { ready: true } });
	t.match(await call(url, { path: "/v2/models/plain/ready" }), { status: 200, json: { name: "plain", ready: true } });
	t.same((await call(url, { path: "/v2/models/employment" })).json, {
		name: "employment",
		versions: ["1", "2"],
		platform: "onnx_onnxv1",
		inputs: [{ name: "features", datatype: "FP32", shape: [-1, 16] }],
		outputs: [
			{ name: "label", datatype: "INT64", shape: [-1] },
			{ name: "probabilities", datatype: "FP32", shape: [-1, 2] },
		],
	});
	t.equal((await call(url, { path: "/v2/models/employment/versions/1" })).status, 200);
	t.equal((await call(url, { path: "/v2/models/employment/versions/1/ready" })).status, 200);
	t.equal((await call(url, { path: "/v2/health/live", method: "HEAD" })).status, 200);
});

t.test("an inference returns the model's outputs and its version", async (t) => {
	const url = await start(t);
	const body = { id: "r1", inputs: [features] };
	const { status, json } = await call(url, { path: "/v2/models/employment/infer", body });
	t.equal(status, 200);
	t.match(json, {
		model_name: "employment",
		model_version: "2",
		id: "r1",
		outputs: [
			{ name: "label", datatype: "INT64", shape: [1], data: [1] },
			{ name: "probabilities", datatype: "FP32", shape: [1, 2] },
		],
	});
	const [no, yes] = (json.outputs[1]?.data ?? []).map(Number);
	t.ok(yes !== undefined && no !== undefined && Math.abs(no + yes - 1) < 1e-6 && yes > 0.5);
	t.match(await call(url, { path: "/v2/models/employment/versions/1/infer", body }), {
		status: 200,
		json: { model_version: "1" },
	});
});

t.test("every datatype returns unchanged", async (t) => {
	const url = await start(t);
	const values: Record<string, unknown[]> = {
		BOOL: [true, false],
		UINT8: [0, 255],
		UINT16: [0, 65535],
		UINT32: [0, 4294967295],
		UINT64: [0, 9007199254740991],
		INT8: [-128, 127],
		INT16: [-32768, 32767],
		INT32: [-2147483648, 2147483647],
		INT64: [-9007199254740991, 9007199254740991],
		FP32: [0, 1.5],
		FP64: [1e300, 0.1],
		BYTES: ["", "héllo 🌊"],
	};
	const inputs = Object.entries(values).map(([datatype, data]) => ({ name: datatype, datatype, shape: [1, 2], data }));
	const outputs = Object.keys(values).map((name) => ({ name: `same_${name}` }));
	const { status, json } = await call(url, { path: "/v2/models/identity/infer", body: { inputs, outputs } });
	t.equal(status, 200);
	for (const [at, [datatype, data]] of Object.entries(values).entries()) {
		t.same(json.outputs[at], { name: `same_${datatype}`, datatype, shape: [1, 2], data });
	}
	t.match(
		await call(url, { path: "/v2/models/identity/infer", body: { inputs, outputs: [{ name: "log" }] } }),
		{ status: 500, json: { error: /'log': element 0 is -Infinity/ } },
		"log of 0 has no JSON form",
	);
});

t.test("a request that cannot be served is refused, and the next one is served", async (t) => {
	const meter = rememberingMeter();
	const url = await start(t, { meter });
	const infer = "/v2/models/plain/infer";
	const good = { inputs: [features] };
	const cases: readonly [call: Parameters<typeof call>[1], status: number, error: RegExp][] = [
		[{ path: "/v2/models/none/infer", body: good }, 404, /no such model/],
		[{ path: "/v2/models/none" }, 404, /no such model/],
		[{ path: "/v2/models/none/ready" }, 404, /no such model/],
		[{ path: "/v2/models/plain/versions/9/infer", body: good }, 404, /no such model version/],
		[{ path: "/v2/models/plain/versions" }, 404, /no such endpoint/],
		[{ path: "/v2/models/plain/explain" }, 404, /no such endpoint/],
		[{ path: "/v2/models/%zz" }, 404, /no such endpoint/],
		[{ path: "/" }, 404, /no such endpoint/],
		[{ path: infer }, 405, /use POST/],
		[{ path: "/v2", method: "POST", body: good }, 405, /use GET/],
		[{ path: infer, body: "x=1", headers: { "content-type": "text/plain" } }, 415, /application\/json/],
		[{ path: infer, body: good, headers: { "content-type": "application/json; charset=latin1" } }, 415, /json/],
		[{ path: infer, body: good, headers: { "content-encoding": "gzip" } }, 415, /Content-Encoding/],
		[{ path: infer, body: "{" }, 400, /not JSON/],
		[{ path: infer, body: "" }, 400, /not JSON/],
		[{ path: infer, body: Buffer.from('{"id":"\xff"}', "latin1") }, 400, /not UTF-8/],
		[{ path: infer, body: { ...good, extra: 1 } }, 400, /unknown field "extra"/],
		[{ path: infer, body: { inputs: [{ ...features, shape: [1, 15] }] } }, 400, /takes \[-1,16\]/],
		[{ path: infer, body: Buffer.alloc(INFER_BODY_BYTES_MAX + 1, 32) }, 413, /larger/],
		[
			{
				path: "/v2/models/add/infer",
				body: {
					inputs: [
						{ name: "x", shape: [2], datatype: "FP32", data: [1, 2] },
						{ name: "y", shape: [3], datatype: "FP32", data: [1, 2, 3] },
					],
				},
			},
			400,
			/the tensors do not fit the model: .*2 by 3/,
		],
	];
	for (const [request, status, error] of cases) {
		t.match(await call(url, request), { status, json: { error } }, `${request.path} ${status}`);
	}
	t.match((await call(url, { path: infer })).headers, { allow: "POST" });
	t.equal((await call(url, { path: infer, body: good })).status, 200);
	t.equal(
		(await call(url, { path: infer, body: good, headers: { "content-type": "application/json; charset=utf-8" } }))
			.status,
		200,
	);
	t.equal(meter.counts.get('weir_predictor_requests_total{"model":"plain","version":"1","status":"200"}'), 2);
	t.equal(meter.counts.get('weir_predictor_requests_total{"model":"plain","version":"1","status":"413"}'), 1);
});

t.test("more inferences at once than the bound get 503 with Retry-After", async (t) => {
	const url = await start(t, {
		workerUrl: DYING,
		admission: { requests: 1 },
		models: ["ok", "die", "hang"].map((name) => ({ name, path: employmentModel("plain") })),
	});
	const hang = { inputs: [{ name: "hang", datatype: "BOOL", shape: [1], data: [true] }] };
	const running = call(url, { path: "/v2/models/hang/infer", body: hang });
	await call(url, { path: "/v2/health/live" }); // a later connection: the first has arrived
	const infer = { path: "/v2/models/ok/infer", body: { inputs: [] } };
	t.match(await call(url, infer), { status: 503, headers: { "retry-after": "1" }, json: { error: /too many/ } });
	goOn();
	t.match(await running, { status: 200 });
	t.match(await call(url, infer), { status: 200 }, "the bound is given back");
});

t.test("a worker that dies is replaced; what it ran gets 500, and other models go on", async (t) => {
	const meter = rememberingMeter();
	const url = await start(t, {
		workerUrl: DYING,
		meter,
		models: ["ok", "die", "hang"].map((name) => ({ name, path: employmentModel("plain") })),
	});
	const flag = (name: string) => ({ inputs: [{ name, datatype: "BOOL", shape: [1], data: [true] }] });
	const hung = call(url, { path: "/v2/models/hang/infer", body: flag("hang") });
	const died = call(url, { path: "/v2/models/die/infer", body: flag("die") });
	t.match(await died, { status: 500, json: { error: /died/ } });
	t.match(await call(url, { path: "/v2/models/ok/infer", body: { inputs: [] } }), { status: 200 });
	let answer = await call(url, { path: "/v2/models/die/infer", body: flag("die") });
	while (answer.status === 503) {
		t.match(answer, { headers: { "retry-after": "1" }, json: { error: /no session worker is ready/ } });
		t.match(await call(url, { path: "/v2/health/live" }), { status: 200 });
		answer = await call(url, { path: "/v2/models/die/infer", body: flag("die") });
	}
	t.match(answer, { status: 500, json: { error: /died/ } }, "the new worker ran it");
	t.equal(meter.counts.get("weir_predictor_worker_deaths_total{}"), 2);
	goOn();
	t.match(await hung, { status: 200 });
});

t.test("a client that goes away while it waits leaves the queue", async (t) => {
	const statuses = new EventEmitter();
	const url = await start(t, {
		workerUrl: DYING,
		meter: { count: (_name, _help, labels) => statuses.emit("status", labels?.status), gauge() {}, observe() {} },
		models: ["ok", "die", "hang"].map((name) => ({ name, path: employmentModel("plain") })),
	});
	const hang = { inputs: [{ name: "hang", datatype: "BOOL", shape: [1], data: [true] }] };
	// The worker takes two at once and never answers; the third waits.
	const leaving = Array.from({ length: 3 }, () => {
		const controller = new AbortController();
		const gone = call(url, { path: "/v2/models/hang/infer", body: hang, signal: controller.signal });
		return { controller, gone };
	});
	const third = leaving.pop();
	await call(url, { path: "/v2/health/live" }); // a later connection: the three have arrived
	const counted = once(statuses, "status");
	third?.controller.abort();
	await t.rejects(async () => void (await third?.gone), { name: "AbortError" });
	t.same(await counted, ["499"]);
	for (const { controller, gone } of leaving) {
		controller.abort();
		await t.rejects(async () => void (await gone));
	}
});

t.test("closing answers what is running and takes nothing new", async (t) => {
	const predictor = await startPredictor({
		models: [{ name: "better", path: employmentModel("better") }],
		address: "127.0.0.1",
		port: 0,
		workers: 1,
	});
	const rows = 20_000;
	const data = Array.from({ length: rows }, () => FEATURES).flat();
	const running = call(predictor.url, {
		path: "/v2/models/better/infer",
		body: { inputs: [{ ...features, shape: [rows, 16], data }], outputs: [{ name: "label" }] },
		headers: { connection: "keep-alive" },
	});
	// The server has the request when it has answered a second connection that was opened after the body was sent.
	await call(predictor.url, { path: "/v2/health/live" });
	const closed = predictor.close();
	t.match(await running, { status: 200, headers: { connection: "close" } });
	await closed;
	await t.rejects(call(predictor.url, { path: "/v2" }), { code: "ECONNREFUSED" });
});

t.test("a UNIX socket is served as well", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "weir-predictor-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const url = await start(t, { address: `unix:${folder}/p.sock` });
	t.equal(url, `unix:${folder}/p.sock`);
	t.equal((await call(url, { path: "/v2/health/ready" })).status, 200);
});
