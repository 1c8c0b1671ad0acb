/** The part of the sidecar that answers: a gRPC server over tables, in the one process or in each worker. */
import { type CompiledTable, compileTable } from "../../sidecar/compiledTable.js";
import { mintUnit } from "../../sidecar/cookie.js";
import { Health } from "../../sidecar/grpc/health.js";
import { type GrpcAddress, type GrpcServer, startGrpcServer } from "../../sidecar/grpc/server.js";
import { sidecarMethods } from "../../sidecar/methods.js";
import { Tables } from "../../sidecar/tables.js";
import { ProcessCounts } from "./counts.js";

/** How long a sidecar that is told to stop lets open calls finish: beyond it Envoy has given them up anyway. */
const DRAIN_MS = 2_000;

export interface Answering {
	readonly tables: Tables<CompiledTable>;
	readonly counts: ProcessCounts;
	readonly server: GrpcServer;
	close(): Promise<void>;
}

/** @throws WeirError where it cannot listen */
export async function startAnswering(
	listen: GrpcAddress,
	log: { error(message: string, fields?: Readonly<Record<string, string>>): void },
): Promise<Answering> {
	const tables = new Tables<CompiledTable>({ compile: compileTable });
	const counts = new ProcessCounts((method, error) =>
		log.error("a call failed by a fault of the sidecar", {
			method,
			why: error instanceof Error ? (error.stack ?? error.message) : String(error),
		}),
	);
	const health = new Health();
	tables.onChange(() => health.setServing(tables.newest !== null));
	const server = await startGrpcServer({
		listen,
		methods: sidecarMethods({ tables, freshness: tables, mint: mintUnit, observer: counts.answers }),
		health,
		counters: counts,
	});
	const tracing = await startTracing();
	return {
		tables,
		counts,
		server,
		close: async () => {
			await server.drain(DRAIN_MS);
			await tracing?.shutdown();
		},
	};
}

/** The tracing packages take tens of megabytes: only where spans are exported. */
async function startTracing(): Promise<{ shutdown(): Promise<void> } | null> {
	const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } = process.env;
	if (!OTEL_EXPORTER_OTLP_ENDPOINT && !OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return null;
	const tracing = await import("../../telemetry/tracing.js");
	return tracing.startTracing({ environment: process.env, serviceName: "weir-sidecar" });
}
