/** The part of the sidecar that answers: a gRPC server over tables, in the one process or in each worker. */

import type { Validity } from "../../identity/validity.js";
import { CALLOUT_STALENESS_MS, TABLE_AHEAD_MS_MAX } from "../../limits.js";
import { CompiledAccess } from "../../sidecar/compiledAccess.js";
import { type CompiledTable, compileTable } from "../../sidecar/compiledTable.js";
import { mintUnit } from "../../sidecar/cookie.js";
import { Health } from "../../sidecar/grpc/health.js";
import { type GrpcAddress, type GrpcServer, startGrpcServer } from "../../sidecar/grpc/server.js";
import { sidecarMethods } from "../../sidecar/methods.js";
import { inSlices } from "../../sidecar/slices.js";
import { type Freshness, Tables, type VersionedTable } from "../../sidecar/tables.js";
import type { Log } from "../../telemetry/log.js";
import { tracesSocket } from "../../telemetry/tracesSocket.js";
import { ProcessCounts } from "./counts.js";
import { type DoorOptions, openDoors } from "./doors.js";
import { type TokensOptions, tokensOf } from "./tokens.js";

/**
 * How long a sidecar that is told to stop lets calls finish that wait for their answer: beyond it Envoy has given them up
 * anyway. Streams that were answered, and wait for the upstream's response, are let go at once: Envoy goes on without us.
 */
const DRAIN_MS = 2_000;

const HEALTH_EVERY_MS = 1_000;

/** Beyond it no Service of the table gets a verdict. */
function longestMs({ table }: VersionedTable): number {
	const bounds = table.services.flatMap(({ callout }) => callout?.maxStalenessMs ?? []);
	return bounds.length === 0 ? CALLOUT_STALENESS_MS : Math.max(...bounds);
}

export interface Answering<Known extends Freshness> {
	readonly tables: Tables<CompiledTable>;
	/** How old the newest is, as it answers by. */
	readonly freshness: Known;
	readonly counts: ProcessCounts;
	readonly server: GrpcServer;
	/** Of the own SVID; null = it has no identity. */
	validity(): Validity | null;
	close(): Promise<void>;
}

export interface AnsweringOptions extends Pick<DoorOptions, "identity" | "peers">, TokensOptions {}

/**
 * @param ready awaited when it could answer, before it listens: whoever has a table gives it here. @returns how old the newest is
 * @throws WeirError where it cannot listen, or has no identity where it needs one
 */
export async function startAnswering<Known extends Freshness>(
	listen: GrpcAddress,
	{ identity, peers, keysDirectory, proofs }: AnsweringOptions,
	log: Pick<Log, "info" | "warn" | "error">,
	ready: (tables: Tables<CompiledTable>) => Promise<Known>,
): Promise<Answering<Known>> {
	const tracing = await startTracing();
	const rules = new CompiledAccess();
	const tables = new Tables<CompiledTable>({
		compile: (given) => compileTable(given, rules),
		prepare: ({ table }, sinceMs) => inSlices(rules.ahead(table.services), sinceMs + TABLE_AHEAD_MS_MAX),
		retire: (table) => table.retire(),
	});
	const counts = new ProcessCounts((method, error) =>
		log.error("a call failed by a fault of the sidecar", {
			method,
			why: error instanceof Error ? (error.stack ?? error.message) : String(error),
		}),
	);
	const health = new Health();
	const doors = await openDoors({ identity, peers, tcp: "host" in listen }, log);
	const verifyToken = tokensOf(tables, { keysDirectory, proofs }, log);
	const freshness = await ready(tables);
	const judgeHealth = (): void =>
		health.setServing(tables.newest !== null && freshness.ageMs() <= longestMs(tables.newest));
	judgeHealth();
	tables.onChange(judgeHealth);
	// Growing old is nothing that happens at a moment.
	const healthTimer = setInterval(judgeHealth, HEALTH_EVERY_MS).unref();
	const methods = sidecarMethods({
		tables,
		freshness,
		mint: mintUnit,
		nowMs: Date.now,
		verifyToken,
		sign: doors.sign,
		observer: counts.answers,
	});
	const server = await startGrpcServer({
		listen,
		tls: doors.tls,
		methods,
		health,
		counters: counts,
	}).catch((error: unknown) => {
		clearInterval(healthTimer);
		doors.close();
		throw error;
	});
	return {
		tables,
		freshness,
		counts,
		server,
		validity: () => doors.validity(),
		close: async () => {
			clearInterval(healthTimer);
			await server.drain(DRAIN_MS);
			doors.close();
			await tracing?.shutdown();
		},
	};
}

/** The tracing packages take tens of megabytes: only where spans are exported. */
async function startTracing(): Promise<{ shutdown(): Promise<void> } | null> {
	const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } = process.env;
	const named = OTEL_EXPORTER_OTLP_ENDPOINT || OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || tracesSocket(process.env);
	if (!named) return null;
	const tracing = await import("../../telemetry/tracing.js");
	return tracing.startTracing({ environment: process.env, serviceName: "weir-sidecar" });
}
