/**
 * A session worker with its own copy of every model; one inference at a time. A thread, because run() and create() of
 * onnxruntime-node 1.30 block the caller (microsoft/onnxruntime#28646). An error of a session does not end the worker.
 */
import { performance } from "node:perf_hooks";
import { parentPort, workerData } from "node:worker_threads";
import { InferenceSession, Tensor as OnnxTensor } from "onnxruntime-node";
import { DATATYPE_OF_ONNX, isOnnxType, ONNX_OF_DATATYPE } from "./datatype.js";
import type { FromWorker, ToWorker, WorkerStart } from "./message.js";
import type { ModelSignature, Tensor, TensorSpec } from "./tensor.js";

const { models, intraOpNumThreads } = workerData as WorkerStart;
const port = parentPort;
if (port === null) throw new Error("session.worker.js runs only as a worker thread");
const post = (message: FromWorker): void => port.postMessage(message);

const sessions: InferenceSession[] = [];

async function load(): Promise<void> {
	const signatures: ModelSignature[] = [];
	for (const [index, { path }] of models.entries()) {
		try {
			const session = await InferenceSession.create(path, {
				intraOpNumThreads,
				interOpNumThreads: 1,
				// Idle threads must not spin, because Envoy runs on the same cores.
				extra: { session: { intra_op: { allow_spinning: "0" } } },
				// Fatal only, so that invalid requests do not fill the log.
				logSeverityLevel: 4,
			});
			signatures.push({
				inputs: session.inputMetadata.map((input) => tensorSpec(input, "input")),
				outputs: session.outputMetadata.map((output) => tensorSpec(output, "output")),
			});
			sessions.push(session);
		} catch (error) {
			post({ kind: "unloadable", model: index, message: messageOf(error) });
			port?.close();
			return;
		}
	}
	post({ kind: "ready", signatures });
	port?.on("message", receive);
}

function tensorSpec(metadata: InferenceSession.ValueMetadata, role: string): TensorSpec {
	if (!metadata.isTensor) {
		throw new Error(`${role} '${metadata.name}' is no tensor (export scikit-learn models with zipmap=False)`);
	}
	if (!isOnnxType(metadata.type)) {
		throw new Error(`${role} '${metadata.name}' is ${metadata.type}, which has no JSON form`);
	}
	return {
		name: metadata.name,
		datatype: DATATYPE_OF_ONNX[metadata.type],
		// Symbolic dimensions are strings; some exporters write a negative or no size.
		shape: metadata.shape.map((size) => (typeof size === "number" && size >= 0 ? size : -1)),
	};
}

function receive(message: ToWorker): void {
	if (message.kind === "close") void close();
	else void run(message);
}

async function run({ job, model, inputs, outputs }: Extract<ToWorker, { kind: "run" }>): Promise<void> {
	try {
		const session = sessions[model];
		if (session === undefined) throw new Error(`no model ${model}`);
		const feeds: Record<string, OnnxTensor> = {};
		for (const { name, datatype, shape, data } of inputs) {
			feeds[name] = new OnnxTensor(ONNX_OF_DATATYPE[datatype], data as Float32Array, shape);
		}
		const startedMs = performance.now();
		const results = await session.run(feeds, outputs);
		const runMs = performance.now() - startedMs;
		post({ kind: "done", job, outputs: outputs.map((name) => tensor(name, results[name])), runMs });
	} catch (error) {
		const message = messageOf(error);
		// Some rules are not in the signature, e.g. that two dynamic dimensions must agree.
		const request = /INVALID_ARGUMENT|invalid rank|missing in 'feeds'|dimension|shape|broadcast/i.test(message);
		post({ kind: "failed", job, fault: request ? "request" : "session", message });
	}
}

function tensor(name: string, result: OnnxTensor | undefined): Tensor {
	if (result === undefined) throw new Error(`output '${name}' is missing`);
	if (!isOnnxType(result.type)) throw new Error(`output '${name}' is ${result.type}, which has no JSON form`);
	return {
		name,
		datatype: DATATYPE_OF_ONNX[result.type],
		shape: [...result.dims],
		data: result.data as Tensor["data"],
	};
}

/** Lets a pending run finish first, which may still wait in the event loop. */
async function close(): Promise<void> {
	await new Promise((resolve) => setImmediate(resolve));
	for (const session of sessions) await session.release();
	port?.close();
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 500);

await load();
