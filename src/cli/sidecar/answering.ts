/** What answers, in the one process or in each worker: tables that it follows itself, and a gRPC server over them. */
import { CALLOUT_STALENESS_MS } from "../../limits/index.js";
import { inSlices } from "../../limits/slices.js";
import { within } from "../../limits/within.js";
import type { Log } from "../../observe/telemetry/log.js";
import { tracesSocket } from "../../observe/telemetry/tracesSocket.js";
import { CompiledAccess } from "../../publish/sidecar/compiledAccess.js";
import { type CompiledTable, compileTable } from "../../publish/sidecar/compiledTable.js";
import { mintUnit } from "../../publish/sidecar/cookie.js";
import { Health } from "../../publish/sidecar/grpc/health.js";
import { type GrpcAddress, type GrpcServer, startGrpcServer } from "../../publish/sidecar/grpc/server.js";
import { sidecarMethods } from "../../publish/sidecar/methods.js";
import { Tables, type VersionedTable } from "../../publish/sidecar/tables.js";
import type { ProofMemory } from "../../trust/tokens/replays.js";
import { ProcessCounts, type Report } from "./counts.js";
import { followTables, type TableSource } from "./tableSource.js";
import { tokensOf } from "./tokens.js";

/**
 * How long a sidecar compiles the rules of a new table between calls before it uses the table. 1 MB takes 0.3 s; a
 * request compiles what is left.
 */
const TABLE_AHEAD_MS_MAX = 1_000;

/** How long a starting sidecar waits for any table before it listens without one and answers 503. */
const SIDECAR_FIRST_TABLE_MS = 5_000;

/**
 * How long a stopping sidecar waits for unanswered calls; later, Envoy has timed them out. Answered streams that wait for
 * the upstream's response are closed at once: Envoy continues without them.
 */
const DRAIN_MS = 2_000;

const HEALTH_EVERY_MS = 1_000;

export interface AnsweringOptions {
	readonly address: GrpcAddress;
	readonly source: TableSource;
	/** UNIX socket of the SPIFFE agent; null = this process has no identity. */
	readonly identity: string | null;
	/** SPIFFE ids of the peers that are answered on TCP, exact or `PREFIX/*`; empty = the Envoys of the own trust domain. */
	readonly peers: readonly string[];
}

/** Address that it listens on, and the version of its table; null = there is none yet. */
export type Listening = GrpcAddress & { readonly plan: string | null };

export interface Answering {
	/** Call once. Waits a limited time for a first table, so that a start refuses no requests. */
	listen(): Promise<Listening>;
	report(): Report;
	close(): Promise<void>;
}

/**
 * @param proofs shared replay cache of the workers; null = a cache of this process
 * @throws WeirError where it has no identity that it needs, or the table's file is bad
 */
export async function startAnswering(
	{ address, source, identity, peers }: AnsweringOptions,
	log: Pick<Log, "info" | "warn" | "error">,
	proofs: ProofMemory | null = null,
): Promise<Answering> {
	const tracing = await startTracing();
	const rules = new CompiledAccess();
	const tables = new Tables<CompiledTable>({
		compile: (given) => compileTable(given, rules),
		prepare: ({ table }) => inSlices(rules.ahead(table.services), performance.now() + TABLE_AHEAD_MS_MAX),
	});
	const counts = new ProcessCounts((method, error) =>
		log.error("a call failed by a fault of the sidecar", {
			method,
			why: error instanceof Error ? (error.stack ?? error.message) : String(error),
		}),
	);
	const verifyToken = tokensOf(tables, proofs, log);
	// Loaded only with an identity.
	const workload = identity === null ? null : await (await import("../stack/identity.js")).ownIdentity(identity, log);
	const sign =
		workload === null
			? null
			: (await import("../../trust/tokens/decision.js")).decisionSigner(() => workload.current());
	const tls =
		workload !== null && "host" in address
			? (await import("./mutualTls.js")).mutualTls(workload, peers, log)
			: undefined;
	const { freshness, rejected, close } = await followTables(source, workload, tables, log).catch((error: unknown) => {
		workload?.close();
		throw error;
	});
	const health = new Health();
	const judgeHealth = (): void =>
		health.setServing(tables.newest !== null && freshness.ageMs() <= longestMs(tables.newest));
	tables.onChange(judgeHealth);
	// Age has no event, so it is polled.
	const healthTimer = setInterval(judgeHealth, HEALTH_EVERY_MS).unref();
	let server: GrpcServer | null = null;
	return {
		listen: async () => {
			await within(SIDECAR_FIRST_TABLE_MS, firstOf(tables));
			judgeHealth();
			server = await startGrpcServer({
				listen: address,
				...{ tls, health, counters: counts },
				methods: sidecarMethods({
					...{ tables, freshness, verifyToken, sign },
					mint: mintUnit,
					nowMs: Date.now,
					observer: counts.answers,
				}),
			});
			return { ...server.address, plan: tables.newest?.version ?? null };
		},
		report: () => ({
			rows: counts.rows(),
			ageMs: freshness.ageMs(),
			rejected: rejected(),
			closed: tables.newest?.closed?.length ?? 0,
			validity: workload?.validity() ?? null,
		}),
		close: async () => {
			clearInterval(healthTimer);
			// In parallel: a hanging disk must not delay the end of calls.
			await Promise.all([close(), server?.drain(DRAIN_MS)]);
			workload?.close();
			await tracing?.shutdown();
		},
	};
}

/** Maximum age of the table; beyond it, no Service gets a verdict. */
function longestMs({ table }: VersionedTable): number {
	const bounds = table.services.flatMap(({ callout }) => callout?.maxStalenessMs ?? []);
	return bounds.length === 0 ? CALLOUT_STALENESS_MS : Math.max(...bounds);
}

function firstOf(tables: Tables<unknown>): Promise<void> {
	if (tables.newest !== null) return Promise.resolve();
	return new Promise((resolve) => {
		const stop = tables.onChange(() => {
			if (tables.newest === null) return;
			stop();
			resolve();
		});
	});
}

/** The tracing packages take tens of megabytes: only where spans are exported. */
async function startTracing(): Promise<{ shutdown(): Promise<void> } | null> {
	const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT } = process.env;
	const named = OTEL_EXPORTER_OTLP_ENDPOINT || OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || tracesSocket(process.env);
	if (!named) return null;
	const tracing = await import("../../observe/telemetry/tracing.js");
	return tracing.startTracing({ environment: process.env, serviceName: "weir-sidecar" });
}
