/**
 * Ingest: takes access logs and outcomes, answers aggregates. It owns the event store of its data directory; a
 * second process on the same directory is refused. Closing it flushes accepted data.
 */

import type { PlanTable } from "../../compile/plan/compiledPlan.js";
import type { EvidenceSource } from "../../decide/rollout/ports.js";
import { WeirError } from "../../error.js";
import { COMMIT_FAULTS_LOGGED_MS } from "../../limits/index.js";
import { ReportThrottle } from "../../trust/clients/reportThrottle.js";
import { baselineQuantile } from "./evidence/baselineQuantile.js";
import { gatherEvidence } from "./evidence/evidence.js";
import { Looks } from "./evidence/looks.js";
import { prune } from "./evidence/retention.js";
import { HISTOGRAMS, type Log, type Meter } from "./meter.js";
import { answerAccessRecords, answerShadow, parseAccessRecordQuery } from "./query/accessRecordQuery.js";
import { accountOf, outlineOf, type RequestAccount } from "./query/account.js";
import type { ReadNamespaces } from "./query/readNamespaces.js";
import { RecentRequests } from "./query/recentRequests.js";
import {
	type AccessLogServer,
	type AccessLogTcp,
	type EntrySink,
	serveAccessLog,
	serveAccessLogTcp,
} from "./receive/accessLog/accessLog.js";
import type { StreamPeer } from "./receive/accessLog/streamIdentity.js";
import { UnknownKeys } from "./receive/accessLog/unknownKeys.js";
import { shownPrincipal, shownText } from "./receive/accessRecords/accessRecord.js";
import { AccessRecords } from "./receive/accessRecords/accessRecords.js";
import { ANY_ENVOY, type GapOf } from "./receive/accessRecords/gaps.js";
import { MetricCatalogue, type MetricDeclaration } from "./receive/outcomes/metricDeclaration.js";
import { Outcomes } from "./receive/outcomes/outcomes.js";
import { Refusals } from "./receive/refusals.js";
import { Intake } from "./receive/requests/intake.js";
import { PlanReader, triedRulesIn } from "./receive/requests/planReader.js";
import { type IngestServices, serveSocket } from "./server.js";
import { pruneAccessRecords } from "./store/accessRecordRetention.js";
import { gaugeStore } from "./store/rowGauges.js";
import { openEventStore } from "./store/store.js";

/** How often ingest prunes and refreshes its gauges. */
const EVENTS_MAINTENANCE_MS = 10_000;

export interface IngestOptions {
	/** Holds events.duckdb and unit.key (0700). */
	readonly dataDirectory: string;
	/** UNIX socket for Envoy's gRPC access log. */
	readonly accessLogSocket: string;
	/** UNIX socket for aggregate queries and outcomes. */
	readonly httpSocket: string;
	/** Also takes the access log over mTLS; null = UNIX socket only. */
	readonly accessLogTcp?: AccessLogTcp | null;
	/** Share of allowed requests in the access record log, in parts per million (default 0). Denied requests are always logged. */
	readonly allowedRecordsPpm?: number;
	/** Tables by plan version; null = unknown. */
	readonly plans: (version: string) => Promise<PlanTable | null>;
	/** Table of the newest published plan; null = none yet. */
	readonly newestPlan: () => Promise<PlanTable | null>;
	/** Metric declarations known to control. */
	readonly metrics: () => Promise<readonly MetricDeclaration[]>;
	/** Epoch milliseconds. */
	readonly clock: () => number;
	/** How long an exposure can be withdrawn; by default EXPOSURE_SETTLES_MS. */
	readonly exposureSettlesMs?: number;
	/** Most rows held for freezing one threshold or cap; by default FREEZING_ROWS_MAX. */
	readonly freezingRowsMax?: number;
	/** Most records kept in the access record log; by default ACCESS_RECORDS_MAX. */
	readonly recordsMax?: number;
	readonly meter: Meter;
	/** Body of GET /metrics-json. */
	readonly metricsJson: () => Promise<unknown>;
	readonly log: Log;
}

export interface Ingest {
	/** Port of accessLogTcp; null without it. */
	readonly accessLogPort: number | null;
	/** For tests and single-process use; other processes use client.ts. */
	readonly evidence: EvidenceSource;
	/** Reports access-log entries that Envoy has dropped since then. */
	undelivered(entries: number, sinceMs: number): void;
	/** Prunes and refreshes gauges now; this also runs on a timer. */
	maintain(): Promise<void>;
	close(): Promise<void>;
}

/** Resolves when all sockets accept connections. Throws WeirError if another process holds the store or a socket. */
export async function startIngest(options: IngestOptions): Promise<Ingest> {
	const { clock, log } = options;
	const parts = await openParts(options);
	const { intake, accessRecords } = parts;
	const evidence = evidenceSource(parts, options);
	const services: IngestServices = {
		outcomes: parts.outcomes,
		evidence,
		account: (requestId) => findAccount(parts, requestId),
		accessRecords: (query, namespaces) => answerQuery(parts, options.newestPlan, query, namespaces),
		unknownKeys: () => parts.unknownKeys.counts(),
		metricsJson: options.metricsJson,
		log,
	};
	const undelivered = (entries: number, sinceMs: number, envoy: GapOf = ANY_ENVOY): void => {
		intake.undelivered(entries, sinceMs);
		accessRecords.queue.gaps.notReceived(envoy, sinceMs, clock(), entries);
	};
	const sink = entrySink(parts, clock, undelivered);
	const maintain = () => maintainStore(parts, options);
	const stopMaintenance = startMaintenance(maintain, log);
	const logs: AccessLogServer[] = [];
	let http: { close(): Promise<void> } | null = null;
	const close = async (): Promise<void> => {
		const maintained = stopMaintenance();
		await Promise.all(logs.map((server) => server.close()));
		// All at once: an exposure must not settle while entries that may precede it are no longer received.
		const lost = (thrown: unknown): void => log.error("the last entries were lost", { error: String(thrown) });
		await Promise.all([intake.close().catch(lost), http?.close()]);
		await maintained;
		await parts.outcomes.close();
		parts.refusals.close();
		await accessRecords.queue
			.close()
			.catch((thrown: unknown) => log.error("the last records were lost", { error: String(thrown) }));
		await parts.store.close();
	};
	try {
		logs.push(await serveAccessLog(options.accessLogSocket, sink, clock, log));
		http = await serveSocket(options.httpSocket, services);
		const tcp = options.accessLogTcp ?? null;
		const accessLog = tcp === null ? null : await serveAccessLogTcp(tcp, sink, clock, log);
		if (accessLog !== null) logs.push(accessLog);
		accessRecords.queue.listening();
		return { accessLogPort: accessLog?.port ?? null, evidence, undelivered, maintain, close };
	} catch (thrown) {
		await close();
		throw thrown;
	}
}

type Parts = Awaited<ReturnType<typeof openParts>>;

/** Opens the store, and what writes to it and reads from it. */
async function openParts(options: IngestOptions) {
	const { clock, meter, log, exposureSettlesMs } = options;
	const store = await openEventStore(options.dataDirectory);
	const plans = new PlanReader(options.plans);
	const accessRecords = new AccessRecords({ store, clock, meter, log, allowedPpm: options.allowedRecordsPpm ?? 0 });
	await accessRecords.recall();
	const intake = new Intake({
		...{ store, plans, clock, meter, log },
		ended: (request) => accessRecords.ended(request),
		...(exposureSettlesMs === undefined ? {} : { exposureSettlesMs }),
	});
	const catalogue = new MetricCatalogue(options.metrics);
	const refusals = new Refusals((record) => accessRecords.queue.refused(record), clock, meter);
	const outcomes = new Outcomes({
		...{ store, catalogue, clock, meter, log },
		refused: (refusal) => refusals.outcomes(refusal),
	});
	return {
		...{ store, plans, accessRecords, intake, catalogue, refusals, outcomes },
		recent: new RecentRequests(),
		unknownKeys: new UnknownKeys(),
		looks: new Looks(),
	};
}

async function findAccount(parts: Parts, requestId: string): Promise<RequestAccount | null> {
	const { store, plans, intake, recent } = parts;
	const inMemory = () => {
		const found = recent.find(requestId);
		return found === null ? null : accountOf(found, plans, store.pseudonyms);
	};
	const atOnce = inMemory();
	if (atOnce !== null) return atOnce;
	await intake.flush();
	const stored = await outlineOf(store, requestId);
	// The request may have ended meanwhile; the outline from the store is only a fallback.
	return inMemory() ?? stored;
}

/** Answers a query of the access record log. */
async function answerQuery(
	{ store, intake, accessRecords }: Parts,
	newestPlan: IngestOptions["newestPlan"],
	query: URLSearchParams,
	namespaces: ReadNamespaces,
): Promise<unknown> {
	const question = parseAccessRecordQuery(query, namespaces);
	await intake.plansLoaded();
	await accessRecords.queue.flush();
	return question.view === "shadow"
		? answerShadow(store, question, triedRulesIn(await newestPlan()))
		: answerAccessRecords(store, question);
}

function entrySink(
	{ intake, accessRecords, recent, unknownKeys, refusals }: Parts,
	clock: () => number,
	undelivered: (entries: number, sinceMs: number, envoy: GapOf) => void,
): EntrySink {
	const { gaps } = accessRecords.queue;
	return {
		offer(entry, receivedMs, gateway) {
			if (entry.kind === "end") {
				recent.keep(entry);
				unknownKeys.see(entry, gateway);
			}
			intake.offer({ entry, receivedMs, gateway });
		},
		broken: () => intake.broken(),
		impossible: (entry) => intake.impossible(entry),
		refused: (fault, peer) => refusals.stream(fault, shownId(peer)),
		opened: (peer, gateway, receivedMs) => gaps.heard(envoyOf(peer, gateway), receivedMs),
		broke: (fromMs, peer, gateway) => gaps.broke(envoyOf(peer, gateway), fromMs, clock()),
		undelivered: (entries, sinceMs, peer) => undelivered(entries, sinceMs, envoyOf(peer, null)),
		handshakeFailed: (fault) => refusals.handshake(fault),
	};
}

/** Prunes the store and refreshes its gauges. */
async function maintainStore({ store, intake, catalogue, looks }: Parts, options: IngestOptions): Promise<void> {
	const { meter } = options;
	await intake.flush();
	const nowMs = options.clock();
	const declared = await catalogue.current().catch(() => null);
	// Without declarations the retention time is unknown.
	if (declared !== null) await prune(store, nowMs, [...declared.values()], looks, meter, options.freezingRowsMax);
	await pruneAccessRecords(store, nowMs, meter, options.recordsMax);
	await gaugeStore(store, meter);
}

/** @returns stops it at once; the promise resolves when a running maintenance has ended */
function startMaintenance(maintain: () => Promise<void>, log: Log): () => Promise<void> {
	const failures = new ReportThrottle<string>(
		(error, times) => log.error("maintenance of the event store failed", { error, times: String(times) }),
		COMMIT_FAULTS_LOGGED_MS,
	);
	let running: Promise<void> = Promise.resolve();
	const timer = setInterval(() => {
		running = running.then(maintain).catch((thrown: unknown) => failures.add(String(thrown)));
	}, EVENTS_MAINTENANCE_MS);
	return async () => {
		clearInterval(timer);
		await running;
		failures.close();
	};
}

/** SPIFFE id that the caller proved, in printable form; null = the owner's own process, or no id. */
const shownId = (peer: StreamPeer): string | null => (peer?.kind === "spiffe" ? shownPrincipal(peer.id) : null);

const envoyOf = (peer: StreamPeer, gateway: string | null): GapOf => ({
	gateway: gateway === null ? null : shownText(gateway),
	principal: shownId(peer),
});

function evidenceSource({ store, intake, looks }: Parts, { clock, meter, log }: IngestOptions): EvidenceSource {
	/** Entries that arrived before the query count in its answer. */
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
	/** Called every second. */
	const reported = new Set<string>();
	const failed = (metric: string, thrown: unknown): void => {
		if (reported.has(metric)) return;
		reported.add(metric);
		log.error("a metric cannot be read from the event store", { metric, error: String(thrown) });
	};
	return {
		evidence: (query) => answer(() => gatherEvidence(store, query, clock(), looks, failed)),
		baselineQuantile: (query) => answer(() => baselineQuantile(store, query)),
	};
}
