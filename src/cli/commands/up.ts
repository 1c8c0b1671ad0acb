/** `weir up`: the whole stack on this machine until stopped. */
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { parseResources } from "../../declare/resources/parse.js";
import { WeirError } from "../../error.js";
import { printProblems, type ResourceFile, readResourceFiles } from "../resourceFiles.js";
import { workloadIds } from "../stack/identity.js";
import { startStack } from "../stack/stack.js";
import { percent, port } from "./control.js";

export interface UpArguments {
	/** None: what the state in `data` declares. */
	readonly file: readonly string[];
	/** Also if others have changed resources since the last start. */
	readonly overwrite?: boolean;
	readonly data: string;
	/** Directory of a store of models; default: DATA/models, if there is one or a Variant names a model. */
	readonly store?: string;
	readonly apiPort: string;
	readonly traceSampling: string;
	readonly trustDomain: string;
	/** Share of allowed requests that is recorded: denied (none), 1%, all. */
	readonly decisionLog: string;
	readonly allowLocalGates?: boolean;
	readonly svidLifetime?: string;
	/** UNIX socket of a SPIFFE agent that runs already. */
	readonly identitySocket?: string;
	/** NAME=/PATH or NAME=spiffe://… */
	readonly workload: readonly string[];
}

/**
 * Prints `READY {"gateway", "gateways", "api", "https", "metrics"}`; ends on SIGINT or SIGTERM, before READY with exit code 130
 * or 143.
 */
export async function up(options: UpArguments): Promise<void> {
	const { file, data, apiPort, traceSampling, trustDomain, identitySocket } = options;
	const files = file.length === 0 && existsSync(join(data, "state")) ? [] : await declarable(file);
	const store = options.store ?? usualStore(data, files);
	// Before the first child starts: a signal must stop those that still start, in order.
	const ended = new Promise<NodeJS.Signals>((resolve) => {
		process.once("SIGINT", resolve);
		process.once("SIGTERM", resolve);
	});
	const starting = new AbortController();
	void ended.then(() => starting.abort());
	const stack = await startStack({
		dataDirectory: data,
		apiPort: port(apiPort),
		traceSamplingPercent: percent(traceSampling),
		trustDomain,
		decisionLog: options.decisionLog,
		allowLocalGates: options.allowLocalGates ?? false,
		workloads: workloadIds(options.workload, trustDomain),
		...(identitySocket === undefined ? {} : { identitySocket }),
		...(options.svidLifetime === undefined ? {} : { svidLifetime: options.svidLifetime }),
		notice: (line) => process.stderr.write(`weir: ${line}\n`),
		...(store === undefined ? {} : { store }),
		declare: () => files,
		overwrite: options.overwrite ?? false,
		signal: starting.signal,
	}).catch(async (error: unknown) => {
		if (starting.signal.aborted) process.exit(128 + constants.signals[await ended]);
		throw error;
	});
	const { gateways, api, apiHttps: https, metrics } = stack;
	// The usual declaration has one Gateway: its reader need not know the name.
	const [gateway] = Object.values(gateways);
	process.stdout.write(`READY ${JSON.stringify({ gateway, gateways, api, https, metrics })}\n`);
	await ended;
	await stack.stop();
}

function usualStore(data: string, files: readonly ResourceFile[]): string | undefined {
	const store = join(data, "models");
	const named = parseResources(files).resources.services.some(({ spec }) =>
		spec.variants.some(({ model, endpoints }) => model !== undefined && endpoints.length === 0),
	);
	return named || existsSync(store) ? store : undefined;
}

/** Reports problems of the files before anything starts. */
async function declarable(names: readonly string[]): Promise<readonly ResourceFile[]> {
	const files = await readResourceFiles(names);
	const { resources, problems } = parseResources(files);
	if (problems.length > 0) {
		printProblems(problems);
		throw new WeirError("failed-precondition", "the resources cannot be read", "each problem stands above");
	}
	// Cross-checks are control's: it knows what was promoted, and which Experiments have ended.
	if (resources.gateways.length === 0)
		throw new WeirError("failed-precondition", "no Gateway is declared", "add one: kind: Gateway with spec.port");
	return files;
}
