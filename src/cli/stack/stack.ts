/**
 * The whole stack on one machine: the roles of control, a real Envoy, and what the caller adds, each in its own
 * process under one supervisor. Nothing is kept in this process, so kill -9 of any of them loses nothing.
 */
import { rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { WeirError } from "../../error.js";
import { formatProblem, type Gateway, qualifiedName, type Resource } from "../../resources/resource.js";
import { ApiClient } from "../../state/apiClient.js";
import type { ResourceFile } from "../resourceFiles.js";
import { places } from "./places.js";
import { type ChildSpec, Supervisor } from "./supervisor.js";

export interface StackOptions {
	readonly dataDirectory: string;
	readonly apiPort: number;
	readonly traceSamplingPercent: number;
	readonly notice: (line: string) => void;
	/** Processes to start before anything is declared. */
	readonly children?: readonly ChildSpec[];
	/** What to declare, once the children have said where they listen (by child name). */
	readonly declare: (ready: Readonly<Record<string, unknown>>) => readonly ResourceFile[];
}

export interface Stack {
	/** By Gateway: `http://…` or `https://…`. */
	readonly gateways: Readonly<Record<string, string>>;
	readonly api: string;
	readonly metrics: string;
	readonly envoyVersion: string;
	/** Process id of a part: api, ingest, xds, rollout, envoy, or an added child. */
	pid(name: string): number | undefined;
	/** Envoy first, then the sidecar, then the rest. */
	stop(): Promise<void>;
}

const MAIN = fileURLToPath(new URL("../main.js", import.meta.url));

/** Resolves when Envoy serves what was declared. @throws WeirError when a part does not start or the declaration is refused. */
export async function startStack(options: StackOptions): Promise<Stack> {
	const at = places(options.dataDirectory);
	const supervisor = new Supervisor({ notice: options.notice });
	const common = ["--data", at.dataDirectory, "--trace-sampling", String(options.traceSamplingPercent)];
	// Spans of our own children go to the embedded store unless the user names another place.
	const environment =
		process.env.OTEL_EXPORTER_OTLP_ENDPOINT || process.env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ? {} : undefined;
	const role = (name: string, args: readonly string[] = []): ChildSpec => ({
		name,
		module: MAIN,
		args: ["control", "--roles", name, ...common, ...args],
	});
	try {
		const { api } = (await supervisor.start({
			...role("api", ["--api-port", String(options.apiPort)]),
			argsAgain: (said) => role("api", ["--api-port", new URL((said as { api: string }).api).port]).args,
		})) as { api: string };
		// On a shared machine, counting must not slow what it counts.
		await supervisor.start({ ...role("ingest"), niceness: 10 });
		const ready: Record<string, unknown> = {};
		for (const child of options.children ?? []) {
			ready[child.name] = await supervisor.start({
				...child,
				environment: {
					...(environment ?? { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${api}/v1/traces` }),
					...child.environment,
				},
			});
		}
		await declare(api, options.declare(ready));
		const { resources } = await new ApiClient(api).get();
		const gatewayPorts = await freePorts(resources);
		await supervisor.start(
			role(
				"xds",
				gatewayPorts.flatMap(([name, port]) => ["--gateway-port", `${name}=${port}`]),
			),
		);
		await supervisor.start(role("rollout"));
		// Envoy after the sidecar, so that it stops before it: a sidecar that went first would fail Envoy's open calls, and
		// Envoy 1.40.0 can crash when both end at once.
		await supervisor.start({
			name: "sidecar",
			module: MAIN,
			args: ["sidecar", "--data", at.dataDirectory],
			environment: environment ?? { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${api}/v1/traces` },
		});
		const envoy = (await supervisor.start({ name: "envoy", module: MAIN, args: ["envoy", ...common] })) as {
			version: string;
			ports: Record<string, number>;
		};
		const gateways: Record<string, string> = {};
		for (const resource of resources) {
			if (resource.kind !== "Gateway") continue;
			const listener = qualifiedName(resource.metadata);
			const { address, tls } = resource.spec;
			const host = address === "0.0.0.0" || address === "::" ? "127.0.0.1" : address;
			gateways[listener] =
				`${tls === null ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${envoy.ports[listener] ?? resource.spec.port}`;
		}
		const metrics = `${api}/metrics`;
		writeFileSync(at.addressesFile, JSON.stringify({ api, metrics, gateways, pid: process.pid }), { mode: 0o600 });
		return {
			gateways,
			api,
			metrics,
			envoyVersion: envoy.version,
			pid: (name) => supervisor.pid(name),
			stop: async () => {
				rmSync(at.addressesFile, { force: true });
				await supervisor.stop();
			},
		};
	} catch (error) {
		await supervisor.stop();
		throw error;
	}
}

/** A port for each Gateway that declares 0, fixed for the stack's life: an Envoy that is restarted keeps it. */
async function freePorts(resources: readonly Resource[]): Promise<readonly (readonly [string, number])[]> {
	const open = resources.filter((resource) => resource.kind === "Gateway" && resource.spec.port === 0) as Gateway[];
	return Promise.all(
		open.map(async ({ metadata, spec }) => {
			const server = createServer();
			await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, spec.address, resolve));
			const { port } = server.address() as AddressInfo;
			await new Promise((resolve) => server.close(resolve));
			return [qualifiedName(metadata), port] as const;
		}),
	);
}

async function declare(api: string, files: readonly ResourceFile[]): Promise<void> {
	const answer = await new ApiClient(api).apply(files, { by: "weir up", dryRun: false });
	if (answer.outcome === "applied") return;
	for (const problem of answer.problems) process.stderr.write(`${formatProblem(problem)}\n`);
	throw new WeirError("failed-precondition", "the declaration was refused", "each problem stands above");
}
