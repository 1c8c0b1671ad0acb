/** A stand-in for session.worker.js that dies when the input is named `die`, and answers `hang` after a continue message. */
import { BroadcastChannel, parentPort, workerData } from "node:worker_threads";
import type { FromWorker, ToWorker, WorkerStart } from "../../../src/serve/predictor/message.js";

const post = (message: FromWorker): void => parentPort?.postMessage(message);
const spec = (name: string) => ({ name, datatype: "BOOL", shape: [1] }) as const;

const done = (job: number): void => post({ kind: "done", job, outputs: [], runMs: 0 });
const hung: number[] = [];
let goesOn = false;
const goOn = new BroadcastChannel("go on");
goOn.onmessage = () => {
	goesOn = true;
	for (const job of hung.splice(0)) done(job);
};
parentPort?.on("message", (message: ToWorker) => {
	if (message.kind === "close") {
		goOn.close();
		parentPort?.close();
	} else if (message.inputs[0]?.name === "die") throw new Error("dying as asked");
	else if (message.inputs[0]?.name === "hang" && !goesOn) hung.push(message.job);
	else done(message.job);
});

// Last: a continue message before the channel exists would be lost.
const name = (workerData as WorkerStart).models[0]?.name ?? "ok";
post({
	kind: "ready",
	signatures: [name === "ok" ? { inputs: [], outputs: [spec("ok")] } : { inputs: [spec(name)], outputs: [] }],
});
