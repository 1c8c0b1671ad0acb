/** `weir up`: the whole stack on this machine until stopped. */
import { WeirError } from "../../error.js";
import { parseResources } from "../../resources/parse.js";
import { printProblems, readResourceFiles } from "../resourceFiles.js";
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
	const files = await readResourceFiles(file);
	const { resources, problems } = parseResources(files);
	if (problems.length > 0) {
		printProblems(problems);
		throw new WeirError("failed-precondition", "the resources cannot be read", "each problem stands above");
	}
	// Cross-checks are control's: it knows what was promoted, and which Experiments have ended.
	const { gateways } = resources;
	if (gateways.length === 0)
		throw new WeirError("failed-precondition", "no Gateway is declared", "add one: kind: Gateway with spec.port");
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
