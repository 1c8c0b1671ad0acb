/** A stand-in for session.worker.js: every second one refuses its model at once, the others load for a while and write a file. */
import { writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { parentPort, threadId, workerData } from "node:worker_threads";
import type { FromWorker, WorkerStart } from "../../../src/serve/predictor/message.js";

const post = (message: FromWorker): void => parentPort?.postMessage(message);

if (threadId % 2 === 0) {
	post({ kind: "unloadable", model: 0, message: "no model" });
	parentPort?.close();
} else {
	await setTimeout(300);
	writeFileSync((workerData as WorkerStart).models[0]?.path ?? "", "");
	post({ kind: "ready", signatures: [] });
	parentPort?.on("message", () => parentPort?.close());
}
