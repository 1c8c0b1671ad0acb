/**
 * The stage of the failure matrix: a real Envoy with our own bootstrap, asked over mutual TLS, in front of three
 * Services that need the sidecar: `guarded` (it gives the verdict), `assigned` (it assigns; without it the default
 * Variant serves) and `strict` (it assigns; without it no Variant serves). Every Variant counts what it sees.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { compile, NO_COLLECTORS } from "../../src/compile/compile.js";
import { SIDECAR_CLUSTER, SIDECAR_STREAMS_CLUSTER } from "../../src/compile/envoy/calloutFilters.js";
import type { CalloutProtocol, Collectors, CompiledPlan } from "../../src/compile/plan/compiledPlan.js";
import { EMPTY_STATUS } from "../../src/decide/rollout/status.js";
import type { ResourceSet } from "../../src/declare/resources/resource.js";
import { mutualTls, spiffe } from "../compile/access/mutualTls.js";
import { bootstrapOf, type RunningEnvoy, startEnvoy } from "../envoy/harness.js";
import { alone, headerValues, type RawResponse, rawGet } from "../envoy/pipeline.js";
import { startVariantServer, type VariantServer } from "../envoy/variantServer.js";
import { accessPolicy, CALLOUT, experiment, gateway, resourceSet, service, variant } from "../fixtures/resources.js";

export const PROTOCOLS: readonly CalloutProtocol[] = ["ext_authz", "ext_proc"];

/** Envoy's statistics of the cluster by which it asks. */
export const sidecarStat = (protocol: CalloutProtocol, name: string): string =>
	`cluster.${protocol === "ext_proc" ? SIDECAR_STREAMS_CLUSTER : SIDECAR_CLUSTER}.${name}`;

export const SERVICES = ["guarded", "assigned", "strict"] as const;
export type ServiceName = (typeof SERVICES)[number];

/** Callers with a certificate: the policy of `guarded` allows the first and not the second. */
export const CALLERS = ["alice", "mallory"] as const;
export type Caller = (typeof CALLERS)[number];

/** One line of Envoy's access log. */
export interface LogLine {
	readonly details: string;
	readonly flags: string;
	/** The sidecar's verdict, where there was one. */
	readonly metadata: Readonly<Record<string, string>> | null;
}

export interface StageOptions {
	readonly version?: string;
	/** How long Envoy waits for the sidecar. */
	readonly timeoutMs?: number;
	readonly maxStalenessMs?: number;
	/** false = ext_proc streams end as in Envoys that are not ours, by RST_STREAM. */
	readonly guard?: boolean;
	/** Settings of the clusters that lead to the sidecar, as documented for other people's bootstraps. */
	readonly maxRequestsPerConnection?: number;
	/** Calls that may be open, where our bootstrap's bound is more than a test should open. */
	readonly maxCalls?: number;
	readonly collectors?: Collectors;
	/** How Variants answer; by default at once, with their names. */
	readonly respond?: (socket: Socket, name: string) => void;
}

export interface Stage {
	readonly plan: CompiledPlan;
	readonly directory: string;
	/** Where Envoy looks for the sidecar. */
	readonly socketPath: string;
	/** {version, table} as `weir compile --format table` prints it. */
	readonly tableFile: string;
	readonly envoy: RunningEnvoy;
	/** Opens connections as that caller. */
	connect(who: Caller): Promise<Socket>;
	ask(name: ServiceName, who?: Caller, ...lines: readonly string[]): Promise<RawResponse>;
	/** Requests that the Variants of the Service have seen. */
	seen(name: ServiceName): number;
	/** What the default Variant was sent last. */
	lastHead(name: ServiceName): string;
	/** Lines of the access log by x-request-id; ends Envoy, so that the log is whole. */
	log(): Promise<ReadonlyMap<string, LogLine>>;
}

/** Everyone with a unit is in the arm on v2, so that the default Variant v1 shows a missing assignment. */
export function stageResources(ports: Readonly<Record<string, number>>, options: StageOptions): ResourceSet {
	const { timeoutMs = 300, maxStalenessMs = CALLOUT.maxStalenessMs } = options;
	const callout = { ...CALLOUT, timeoutMs, maxStalenessMs };
	const on = (name: ServiceName) => ["v1", "v2"].map((own) => variant(own, ports[`${name}/${own}`] ?? 0));
	const everyone = (name: ServiceName) =>
		experiment(`all-${name}`, name, [0, 1], {
			stepsPpm: [1_000_000],
			unit: { from: "cookie", cookie: "weir_id", maxAgeMs: 3_600_000 },
			layer: name,
		});
	return resourceSet({
		services: [
			service("guarded", on("guarded"), { access: null, callout: { ...callout, access: "sidecar" } }),
			service("assigned", on("assigned"), { callout: { ...callout, onFailure: "default-variant" } }),
			service("strict", on("strict"), { callout }),
		],
		experiments: [everyone("assigned"), everyone("strict")],
		accessPolicies: [
			accessPolicy("alice-only", "allow", ["guarded"], { principals: [spiffe("alice")], methods: ["GET"] }),
		],
	});
}

export async function startStage(t: Test, protocol: CalloutProtocol, options: StageOptions = {}): Promise<Stage> {
	const directory = await mkdtemp(join(tmpdir(), "weir-failure-"));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	const tls = await mutualTls(t);
	const upstreams = new Map<string, VariantServer>();
	for (const name of SERVICES) {
		for (const own of ["v1", "v2"])
			upstreams.set(`${name}/${own}`, await startVariantServer(own, responder(own, options)));
	}
	t.teardown(async () => {
		await Promise.all([...upstreams.values()].map((server) => server.close()));
	});
	const ports = Object.fromEntries([...upstreams].map(([name, { port }]) => [name, port]));
	const set = { ...stageResources(ports, options), gateways: [gateway({ tls: tls.gateway })] };
	const { collectors = NO_COLLECTORS } = options;
	const plan = compile(set, EMPTY_STATUS, { collectors, protocol });
	const tableFile = join(directory, "table.json");
	await writeFile(tableFile, JSON.stringify({ version: plan.version, table: plan.table }));
	const socketPath = join(directory, "sidecar.sock");
	const logFile = join(directory, "access.log");
	const bootstrap = bootstrapOf(plan, collectors, socketPath);
	const envoy = await startEnvoy(t, (admin) => changed(bootstrap(admin), logFile, options), options);
	const clients = new Map<Caller, () => Promise<Socket>>();
	for (const who of CALLERS) clients.set(who, await tls.client(envoy.port(), who));
	const connect = (who: Caller): Promise<Socket> => {
		const client = clients.get(who);
		return client === undefined ? Promise.reject(new Error(`no client ${who}`)) : client();
	};
	return {
		plan,
		directory,
		socketPath,
		tableFile,
		envoy,
		connect,
		ask: (name, who = "alice", ...lines) => alone(() => connect(who), get(name, ...lines)),
		seen: (name) =>
			[...upstreams].filter(([key]) => key.startsWith(`${name}/`)).reduce((sum, [, own]) => sum + own.requests(), 0),
		lastHead: (name) => upstreams.get(`${name}/v1`)?.lastHead() ?? "",
		log: async () => {
			await envoy.stop();
			return readLines(logFile);
		},
	};
}

const responder = (own: string, { respond }: StageOptions) =>
	respond === undefined ? undefined : (socket: Socket): void => respond(socket, own);

/** One request to the Service. */
export const get = (name: ServiceName, ...lines: readonly string[]): Buffer =>
	rawGet(
		`${name}.test`,
		lines.map((line) => Buffer.from(line)),
	);

export const idOf = (answer: RawResponse): string => headerValues(answer, "x-request-id")[0] ?? "";
export const variantOf = (answer: RawResponse): string | undefined => headerValues(answer, "x-variant")[0];

/** The bootstrap with a file as an access log, and without what other people's bootstraps lack. */
function changed(
	bootstrap: object,
	path: string,
	{ guard = true, maxRequestsPerConnection, maxCalls }: StageOptions,
): object {
	const copy = JSON.parse(JSON.stringify(bootstrap));
	for (const { filter_chains } of copy.static_resources.listeners) {
		const manager = filter_chains[0].filters.at(-1).typed_config;
		manager.access_log = [
			...(manager.access_log ?? []),
			{
				name: "file",
				typed_config: {
					"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
					path,
					log_format: {
						json_format: {
							id: "%REQ(X-REQUEST-ID)%",
							details: "%RESPONSE_CODE_DETAILS%",
							flags: "%RESPONSE_FLAGS%",
							verdict: "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%",
							process: "%DYNAMIC_METADATA(weir)%",
						},
					},
				},
			},
		];
	}
	if (!guard) {
		// The size that regular expressions may have is no guard.
		const layer: Record<string, unknown> = copy.layered_runtime.layers[0].static_layer;
		copy.layered_runtime.layers[0].static_layer = Object.fromEntries(
			Object.entries(layer).filter(([key]) => key.startsWith("re2.")),
		);
	}
	for (const cluster of copy.static_resources.clusters) {
		// Upstreams and clients share this process: on a busy machine a flood keeps hundreds of connects beyond 1 s.
		cluster.connect_timeout = "60s";
		if (cluster.name !== SIDECAR_CLUSTER && cluster.name !== SIDECAR_STREAMS_CLUSTER) continue;
		const [http] = Object.values(cluster.typed_extension_protocol_options) as [Record<string, unknown>];
		if (maxRequestsPerConnection !== undefined)
			http.common_http_protocol_options = { max_requests_per_connection: maxRequestsPerConnection };
		if (maxCalls !== undefined) {
			Object.assign(cluster.circuit_breakers.thresholds[0], { max_requests: maxCalls, max_pending_requests: maxCalls });
			// A sidecar that is stopped on purpose answers no ping, and its calls would end with their connection.
			http.explicit_http_config = { http2_protocol_options: {} };
		}
	}
	return copy;
}

async function readLines(path: string): Promise<ReadonlyMap<string, LogLine>> {
	const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
	return new Map(
		lines.map((line) => {
			const { id, details, flags, verdict, process } = JSON.parse(line);
			return [id, { details: details ?? "-", flags: flags ?? "-", metadata: process ?? verdict ?? null }];
		}),
	);
}
