/** `weir predictor`: ONNX models behind the Open Inference Protocol v2. */
import { WeirError } from "../../error.js";
import { startPredictor } from "../../predictor/server.js";
import { createLog } from "../../telemetry/log.js";
import { createMeter } from "../../telemetry/meter.js";
import { startTracing } from "../../telemetry/tracing.js";
import { serveUntilStopped } from "../stack/child.js";
import { port } from "./control.js";

export interface PredictorArguments {
	readonly model: readonly string[];
	readonly address: string;
	readonly port: string;
	readonly workers?: string;
}

export async function predictor(options: PredictorArguments): Promise<void> {
	const models = options.model.map((pair) => {
		const [name, path, ...rest] = pair.split("=");
		if (!name || !path || rest.length > 0) throw new WeirError("invalid-argument", `--model ${pair} is not NAME=PATH`);
		return { name, path };
	});
	const tracing = startTracing({ environment: process.env, serviceName: "weir-predictor" });
	const running = await startPredictor({
		models,
		address: options.address,
		port: port(options.port),
		workers: options.workers === undefined ? undefined : Number(options.workers),
		meter: createMeter({ role: "predictor" }),
		log: createLog({ role: "predictor" }),
	});
	serveUntilStopped({ url: running.url }, async () => {
		await running.close();
		await tracing.shutdown();
	});
}
