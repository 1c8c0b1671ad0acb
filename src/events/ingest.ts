/**
 * The ingest role: access log and outcomes in, aggregates out. It owns the event store of its data directory; a
 * second one on the same directory is refused. Closing it flushes what it took.
 */
import type { PlanTable } from "../compiler/plan.js";
import { WeirError } from "../error.js";
import { EVENTS_MAINTENANCE_MS } from "../limits.js";
import type { EvidenceSource } from "../rollout/ports.js";
import { type EntrySink, serveAccessLog } from "./accessLog.js";
import { accountOf, type RequestAccount } from "./account.js";
import { baselineQuantile } from "./baselineQuantile.js";
import { gatherEvidence } from "./evidence.js";
import { Intake } from "./intake.js";
import { countLate } from "./late.js";
import { HISTOGRAMS, type Log, type Meter } from "./meter.js";
import { MetricCatalogue, type MetricDeclaration } from "./metricDeclaration.js";
import { Outcomes } from "./outcomes.js";
import { PlanReader } from "./planReader.js";
import { RecentRequests } from "./recentRequests.js";
import { gaugeStore, prune } from "./retention.js";
import { type Doors, type Listening, serveLoopback, serveSocket } from "./server.js";
import { type EventStore, openEventStore } from "./store.js";
import { storedRequest } from "./storedRequest.js";

export interface IngestOptions {
	/** Holds events.duckdb and unit.key (0700). */
	readonly dataDirectory: string;
	/** UNIX socket for Envoy's gRPC access log. */
	readonly accessLogSocket: string;
	/** UNIX socket for aggregate queries and outcomes. */
	readonly httpSocket: string;
	/** Loopback address for outcomes only; port 0 = any. null = the socket alone. */
	readonly outcomesListen: { readonly address: string; readonly port: number } | null;
	/** Tables by plan version; null = unknown. */
	readonly plans: (version: string) => Promise<PlanTable | null>;
	/** What control knows of metrics. */
	readonly metrics: () => Promise<readonly MetricDeclaration[]>;
	/** Epoch milliseconds. */
	readonly clock: () => number;
	readonly meter: Meter;
	/** What GET /metrics-json answers; null = no such path. */
	readonly metricsJson: (() => Promise<unknown>) | null;
	readonly log: Log;
}

export interface Ingest {
	/** Port of outcomesListen; null without one. */
	readonly outcomesPort: number | null;
	/** In process, for tests and for a single process; others use client.ts. */
	readonly evidence: EvidenceSource;
	/** Prunes and refreshes gauges now; it also happens by itself. */
	maintain(): Promise<void>;
	close(): Promise<void>;
}

/** Resolves when all sockets answer. Throws WeirError when the store or a socket is held by another process. */
export async function startIngest(options: IngestOptions): Promise<Ingest> {
	const { clock, meter, log } = options;
	const store = await openEventStore(options.dataDirectory);
	const plans = new PlanReader(options.plans);
	const intake = new Intake({ store, plans, clock, meter, log });
	const recent = new RecentRequests();
	const catalogue = new MetricCatalogue(options.metrics);
	const outcomes = new Outcomes({ store, catalogue, clock, meter });
	const evidence = evidenceSource(store, intake, clock, meter);
	const account = async (requestId: string): Promise<RequestAccount | null> => {
		const found = recent.find(requestId);
		if (found !== null) return accountOf(found, plans, store.pseudonyms);
		await intake.flush();
		return storedRequest(store, requestId);
	};
	const doors: Doors = { outcomes, evidence, account, metricsJson: options.metricsJson, log };
	const sink: EntrySink = {
		offer(entry, receivedMs) {
			if (entry.kind === "end") recent.keep(entry, receivedMs);
			intake.offer(entry, receivedMs);
		},
		broken: () => intake.broken(),
	};
	const open: { close(): Promise<void> }[] = [];
	/** Late rows are counted up to here; those from before the start were counted by the process before. */
	let countedMs = clock();
	const maintain = async (): Promise<void> => {
		await intake.flush();
		const nowMs = clock();
		await countLate(store, countedMs, nowMs, meter);
		countedMs = nowMs;
		const declared = await catalogue.current().catch(() => null);
		// Without the declarations nobody knows how long rows are needed.
		if (declared !== null) {
			const windows = [...declared.values()].map((metric) => metric.windowMs);
			await prune(store, nowMs, Math.max(0, ...windows), meter);
		}
		await gaugeStore(store, meter);
	};
	let maintaining: Promise<void> = Promise.resolve();
	let timer: NodeJS.Timeout | null = null;
	const close = async (): Promise<void> => {
		if (timer !== null) clearInterval(timer);
		await Promise.all(open.map((door) => door.close()));
		await maintaining;
		await intake.close().catch((thrown: unknown) => log.error("the last entries were lost", { error: String(thrown) }));
		await outcomes.close();
		await store.close();
	};
	try {
		open.push(await serveAccessLog(options.accessLogSocket, sink, clock, log));
		open.push(await serveSocket(options.httpSocket, doors));
		let loopback: Listening | null = null;
		if (options.outcomesListen !== null) {
			loopback = await serveLoopback(options.outcomesListen.address, options.outcomesListen.port, doors);
			open.push(loopback);
		}
		timer = setInterval(() => {
			maintaining = maintaining
				.then(maintain)
				.catch((thrown: unknown) => log.error("maintenance of the event store failed", { error: String(thrown) }));
		}, EVENTS_MAINTENANCE_MS);
		return { outcomesPort: loopback?.port ?? null, evidence, maintain, close };
	} catch (thrown) {
		await close();
		throw thrown;
	}
}

function evidenceSource(store: EventStore, intake: Intake, clock: () => number, meter: Meter): EvidenceSource {
	/** What came before the question counts in the answer. */
	const answer = async <Result>(gather: () => Promise<Result>): Promise<Result> => {
		const started = performance.now();
		try {
			await intake.flush();
			return await gather();
		} catch (thrown) {
			if (thrown instanceof WeirError) throw thrown;
			throw new WeirError("unavailable", "the event store does not answer", "see ingest's log", { cause: thrown });
		} finally {
			meter.observe(HISTOGRAMS.evidence.name, HISTOGRAMS.evidence.help, (performance.now() - started) / 1e3);
		}
	};
	return {
		evidence: (query) => answer(() => gatherEvidence(store, query, clock())),
		baselineQuantile: (query) => answer(() => baselineQuantile(store, query)),
	};
}
