/** A stand-in for session.worker.js that dies when the input is named `die` and never answers `hang`. */
import { parentPort } from "node:worker_threads";
import type { FromWorker, ToWorker } from "../../src/predictor/message.js";

const say = (message: FromWorker): void => parentPort?.postMessage(message);
const spec = (name: string) => ({ name, datatype: "BOOL", shape: [1] }) as const;

say({
	kind: "ready",
	signatures: [
		{ inputs: [], outputs: [spec("ok")] },
		{ inputs: [spec("die")], outputs: [] },
		{ inputs: [spec("hang")], outputs: [] },
	],
});
parentPort?.on("message", (message: ToWorker) => {
	if (message.kind === "close") parentPort?.close();
	else if (message.inputs[0]?.name === "die") throw new Error("dying as asked");
	else if (message.inputs[0]?.name !== "hang") say({ kind: "done", job: message.job, outputs: [], runMs: 0 });
});
