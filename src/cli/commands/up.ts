/** `weir up`: the whole stack on this machine until stopped. */
import { WeirError } from "../../error.js";
import { readResourceFiles, validResources } from "../resourceFiles.js";
import { startStack } from "../stack/stack.js";
import { percent, port } from "./control.js";

export interface UpArguments {
	readonly file: readonly string[];
	readonly data: string;
	readonly apiPort: string;
	readonly traceSampling: string;
}

/** Prints `READY {"gateway", "api", "metrics"}`; ends on SIGINT or SIGTERM. */
export async function up({ file, data, apiPort, traceSampling }: UpArguments): Promise<void> {
	const { gateways } = await validResources(file);
	if (gateways.length === 0)
		throw new WeirError("failed-precondition", "no Gateway is declared", "add one: kind: Gateway with spec.port");
	const files = await readResourceFiles(file);
	const stack = await startStack({
		dataDirectory: data,
		apiPort: port(apiPort),
		traceSamplingPercent: percent(traceSampling),
		notice: (line) => process.stderr.write(`weir: ${line}\n`),
		declare: () => files,
	});
	const [gateway] = Object.values(stack.gateways);
	process.stdout.write(`READY ${JSON.stringify({ gateway, api: stack.api, metrics: stack.metrics })}\n`);
	await new Promise<void>((resolve) => {
		process.once("SIGINT", () => resolve());
		process.once("SIGTERM", () => resolve());
	});
	await stack.stop();
}
