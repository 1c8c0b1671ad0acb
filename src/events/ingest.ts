/**
 * The ingest role: access log and outcomes in, aggregates out. It owns the event store of its data directory; a
 * second one on the same directory is refused. Closing it flushes what it took.
 */
import type { PlanTable } from "../compiler/plan.js";
import { Digest } from "../digest.js";
import { WeirError } from "../error.js";
import { COMMIT_FAULTS_TOLD_MS, EVENTS_MAINTENANCE_MS } from "../limits.js";
import type { EvidenceSource } from "../rollout/ports.js";
import {
	type AccessLogDoor,
	type AccessLogTcp,
	type EntrySink,
	serveAccessLog,
	serveAccessLogTcp,
} from "./accessLog/accessLog.js";
import { accountOf, type RequestAccount } from "./accessLog/account.js";
import { PlanReader, triedRulesIn } from "./accessLog/planReader.js";
import { RecentRequests } from "./accessLog/recentRequests.js";
import { storedRequest } from "./accessLog/storedRequest.js";
import type { StreamPeer } from "./accessLog/streamIdentity.js";
import { UnheldTokens } from "./accessLog/unheldToken.js";
import { UnknownKeys } from "./accessLog/unknownKeys.js";
import { DecisionLog } from "./decisions/decisionLog.js";
import { answerDecisions, answerShadow, parseDecisionQuery } from "./decisions/decisionQuery.js";
import { NOTHING_ELSE, shownPrincipal, shownText } from "./decisions/decisionRecord.js";
import { forgetEnded } from "./decisions/endedExperiments.js";
import { type EndOf, ExperimentEnds } from "./decisions/experimentEnds.js";
import type { MissingOf } from "./decisions/missingRecords.js";
import type { ReadNamespaces } from "./decisions/readNamespaces.js";
import { baselineQuantile } from "./evidence/baselineQuantile.js";
import { gatherEvidence } from "./evidence/evidence.js";
import { countLate } from "./evidence/late.js";
import { Looks } from "./evidence/looks.js";
import { FailedHandshakes } from "./failedHandshakes.js";
import { Intake, type IntakeOptions } from "./intake.js";
import { COUNTERS, GAUGES, HISTOGRAMS, type Log, type Meter } from "./meter.js";
import { MetricCatalogue, type MetricDeclaration } from "./outcomes/metricDeclaration.js";
import { Outcomes } from "./outcomes/outcomes.js";
import { RefusedSenders } from "./outcomes/refusedSenders.js";
import { RefusedStreams } from "./refusedStreams.js";
import { type Doors, type OutcomesTcp, serveOutcomesTcp, serveSocket } from "./server.js";
import { gaugeStore, prune, pruneDecisions } from "./store/retention.js";
import { type EventStore, openEventStore } from "./store/store.js";

export interface IngestOptions {
	/** Holds events.duckdb and unit.key (0700). */
	readonly dataDirectory: string;
	/** UNIX socket for Envoy's gRPC access log. */
	readonly accessLogSocket: string;
	/** UNIX socket for aggregate queries and outcomes. */
	readonly httpSocket: string;
	/** The access log over mTLS besides; null = the socket alone. */
	readonly accessLogTcp?: AccessLogTcp | null;
	/** Outcomes over mTLS besides; null = the socket alone. */
	readonly outcomesListen: OutcomesTcp | null;
	/** Share of allowed requests in the decision log, in parts per million; denied ones always are. By default none. */
	readonly allowedDecisionsPpm?: number;
	/** Tables by plan version; null = unknown. */
	readonly plans: (version: string) => Promise<PlanTable | null>;
	/** Table of the newest plan that was published; null = none was. */
	readonly newestPlan: () => Promise<PlanTable | null>;
	/** Qualified names of the Experiments that have not ended. */
	readonly experiments: () => Promise<readonly string[]>;
	/** How one of the others ended, for the decision log; absent: nobody is asked, and it says nothing. */
	readonly endOf?: EndOf;
	/** What control knows of metrics. */
	readonly metrics: () => Promise<readonly MetricDeclaration[]>;
	/** Epoch milliseconds. */
	readonly clock: () => number;
	/** How long an exposure may be taken back; by default EXPOSURE_SETTLES_MS. */
	readonly exposureSettlesMs?: number;
	/** Rows that are held to freeze one thing from; by default FREEZING_ROWS_MAX. */
	readonly freezingRowsMax?: number;
	/** Records of the decision log that are kept; by default DECISIONS_ROWS_MAX. */
	readonly decisionRowsMax?: number;
	readonly meter: Meter;
	/** What GET /metrics-json answers; null = no such path. */
	readonly metricsJson: (() => Promise<unknown>) | null;
	readonly log: Log;
}

export interface Ingest {
	/** Port of outcomesListen; null without one. */
	readonly outcomesPort: number | null;
	/** Port of accessLogTcp; null without one. */
	readonly accessLogPort: number | null;
	/** In process, for tests and for a single process; others use client.ts. */
	readonly evidence: EvidenceSource;
	/** Envoy has dropped so many access-log entries since then. */
	undelivered(entries: number, sinceMs: number): void;
	/** Prunes and refreshes gauges now; it also happens by itself. */
	maintain(): Promise<void>;
	close(): Promise<void>;
}

/** Resolves when all sockets answer. Throws WeirError when the store or a socket is held by another process. */
export async function startIngest(options: IngestOptions): Promise<Ingest> {
	const { clock, meter, log } = options;
	const store = await openEventStore(options.dataDirectory);
	const plans = new PlanReader(options.plans);
	const allowedPpm = options.allowedDecisionsPpm ?? 0;
	const logs: AccessLogDoor[] = [];
	const aliveSinceMs = (): number => Math.min(...logs.map((door) => door.aliveSinceMs() ?? Number.POSITIVE_INFINITY));
	const decisions = new DecisionLog({ store, plans, clock, meter, log, allowedPpm, aliveSinceMs });
	/** Evidence never suffers from the log: an entry that this cannot read is read by the intake all the same. */
	const recorded = (record: () => void): void => {
		try {
			record();
		} catch (thrown) {
			meter.count(COUNTERS.decisions.name, COUNTERS.decisions.help, { kind: "unreadable", result: "dropped" });
			decisions.queue.lost("unreadable", 1);
			log.error("a decision record could not be made", { error: String(thrown) });
		}
	};
	const assigned: IntakeOptions["assigned"] = (heard, seen, variant) =>
		recorded(() => decisions.assigned(heard, seen, variant));
	await decisions.recall();
	const intake = new Intake({
		store,
		plans,
		clock,
		meter,
		log,
		assigned,
		...(options.exposureSettlesMs === undefined ? {} : { exposureSettlesMs: options.exposureSettlesMs }),
	});
	const { endOf = async () => null } = options;
	const ends = new ExperimentEnds({ store, decisions, endOf, heard: () => intake.flush(), clock, log });
	await ends.recall();
	const recent = new RecentRequests();
	const unknownKeys = new UnknownKeys(plans);
	const unheldTokens = new UnheldTokens();
	const catalogue = new MetricCatalogue(options.metrics);
	const refusedSenders = new RefusedSenders({
		record: (one) => recorded(() => decisions.queue.refused(one)),
		clock,
		meter,
	});
	const outcomes = new Outcomes({
		store,
		catalogue,
		clock,
		meter,
		log,
		refused: (refusal) => refusedSenders.add(refusal),
	});
	const failedAt = (door: "access-log" | "outcomes") =>
		new FailedHandshakes({ door, refused: (one) => recorded(() => decisions.queue.refused(one)), clock, meter });
	const failedHandshakes = { accessLog: failedAt("access-log"), outcomes: failedAt("outcomes") };
	const refusedStreams = new RefusedStreams({
		record: (fault, id, count, gateway) =>
			recorded(() =>
				decisions.queue.refused({
					...NOTHING_ELSE,
					kind: "stream-refused",
					atMs: clock(),
					gateway,
					principal: id === null ? null : shownPrincipal(id),
					verdict: "deny",
					reason: fault,
					count,
				}),
			),
		meter,
	});
	const looks = new Looks();
	const evidence = evidenceSource(store, intake, looks, clock, meter, log);
	const account = async (requestId: string): Promise<RequestAccount | null> => {
		const atHand = () => {
			const found = recent.find(requestId);
			return found === null ? null : accountOf(found, plans, store.pseudonyms);
		};
		const atOnce = atHand();
		if (atOnce !== null) return atOnce;
		await intake.flush();
		const stored = await storedRequest(store, requestId);
		// It may have ended meanwhile: the store's outline is for what is gone.
		return atHand() ?? stored;
	};
	const askDecisions = async (query: URLSearchParams, namespaces: ReadNamespaces): Promise<unknown> => {
		const question = parseDecisionQuery(query, namespaces);
		// Who asks right after an end is told of it.
		if (question.view === "decisions") await forgetEnded([ends], options.experiments);
		await decisions.queue.flush();
		return question.view === "shadow"
			? answerShadow(store, question, triedRulesIn(await options.newestPlan()))
			: answerDecisions(store, question);
	};
	const doors: Doors = {
		outcomes,
		evidence,
		account,
		decisions: askDecisions,
		unknownKeys: () => unknownKeys.counts(),
		unheldTokens: () => unheldTokens.at(clock()),
		metricsJson: options.metricsJson,
		handshakeFailed: (fault) => failedHandshakes.outcomes.add(fault),
		log,
	};
	const sink: EntrySink = {
		offer(entry, receivedMs, gateway) {
			if (entry.kind === "end") {
				recent.keep(entry, receivedMs);
				unknownKeys.see(entry, gateway);
				unheldTokens.see(entry, receivedMs);
			}
			intake.offer({ entry, receivedMs, gateway });
			if (entry.kind === "end") recorded(() => decisions.request(entry, receivedMs, gateway));
		},
		heard(peer, receivedMs) {
			if (peer?.kind === "spiffe")
				meter.gauge(GAUGES.heard.name, GAUGES.heard.help, receivedMs / 1_000, { envoy: peer.id });
		},
		broken: () => intake.broken(),
		impossible: (entry) => intake.impossible(entry),
		refused: (fault, peer, gateway) =>
			refusedStreams.add(fault, idOf(peer), gateway === null ? null : shownText(gateway)),
		wordRefused: (fault, peer) => refusedStreams.add(fault, idOf(peer), null),
		broke: (fromMs, untilMs, peer, gateway) =>
			decisions.queue.broke(fromMs, untilMs, {
				gateway: gateway === null ? null : shownText(gateway),
				principal: shownId(peer),
			}),
		away: (fromMs, lastMs, untilMs, peer) =>
			decisions.queue.unreached(fromMs, lastMs, untilMs, {
				gateway: null,
				principal: shownId(peer),
			}),
		undelivered: (entries, sinceMs, peer) => undelivered(entries, sinceMs, { gateway: null, principal: shownId(peer) }),
		handshakeFailed: (fault) => failedHandshakes.accessLog.add(fault),
	};
	meter.gauge(GAUGES.started.name, GAUGES.started.help, clock() / 1_000);
	const undelivered = (entries: number, sinceMs: number, whose?: MissingOf): void => {
		intake.undelivered(entries, sinceMs);
		decisions.queue.lost("entries-dropped", entries, sinceMs, whose);
	};
	const others: { close(): Promise<void> }[] = [];
	/** Late rows are counted up to here; those from before the start were counted by the process before. */
	let countedMs = clock();
	const maintain = async (): Promise<void> => {
		await intake.flush();
		await forgetEnded([intake, ends], options.experiments);
		meter.gauge(GAUGES.known.name, GAUGES.known.help, decisions.knownUnits, { known: "arm" });
		meter.gauge(GAUGES.known.name, GAUGES.known.help, intake.knownUnits, { known: "exposure" });
		const nowMs = clock();
		await countLate(store, countedMs, nowMs, meter);
		countedMs = nowMs;
		const declared = await catalogue.current().catch(() => null);
		// Without the declarations nobody knows how long rows are needed.
		if (declared !== null) await prune(store, nowMs, [...declared.values()], looks, meter, options.freezingRowsMax);
		await pruneDecisions(store, nowMs, meter, options.decisionRowsMax);
		await gaugeStore(store, meter);
	};
	const unmaintained = new Digest<string>(
		(error, times) => log.error("maintenance of the event store failed", { error, times: String(times) }),
		COMMIT_FAULTS_TOLD_MS,
	);
	let maintaining: Promise<void> = Promise.resolve();
	let timer: NodeJS.Timeout | null = null;
	const close = async (): Promise<void> => {
		if (timer !== null) clearInterval(timer);
		await Promise.all(logs.map((door) => door.close()));
		// At once: who was heard of last must not settle while nobody else is heard of.
		const lost = (thrown: unknown): void => log.error("the last entries were lost", { error: String(thrown) });
		await Promise.all([intake.close().catch(lost), ...others.map((door) => door.close())]);
		await maintaining;
		unmaintained.close();
		await outcomes.close();
		for (const failed of [refusedSenders, refusedStreams, ...Object.values(failedHandshakes)]) failed.close();
		await decisions.queue
			.close()
			.catch((thrown: unknown) => log.error("the last records were lost", { error: String(thrown) }));
		await store.close();
	};
	try {
		logs.push(await serveAccessLog(options.accessLogSocket, sink, clock, log));
		others.push(await serveSocket(options.httpSocket, doors));
		const tcp = options.accessLogTcp ?? null;
		const accessLog = tcp === null ? null : await serveAccessLogTcp(tcp, sink, clock, log);
		if (accessLog !== null) logs.push(accessLog);
		const remote = options.outcomesListen === null ? null : await serveOutcomesTcp(options.outcomesListen, doors);
		if (remote !== null) others.push(remote);
		decisions.queue.listening();
		timer = setInterval(() => {
			maintaining = maintaining.then(maintain).catch((thrown: unknown) => unmaintained.add(String(thrown)));
		}, EVENTS_MAINTENANCE_MS);
		return {
			outcomesPort: remote?.port ?? null,
			accessLogPort: accessLog?.port ?? null,
			evidence,
			undelivered,
			maintain,
			close,
		};
	} catch (thrown) {
		await close();
		throw thrown;
	}
}

/** Proved SPIFFE id of who called; null = the owner's own process, or nobody's. */
const idOf = (peer: StreamPeer): string | null => (peer?.kind === "spiffe" ? peer.id : null);

const shownId = (peer: StreamPeer): string | null => {
	const id = idOf(peer);
	return id === null ? null : shownPrincipal(id);
};

function evidenceSource(
	store: EventStore,
	intake: Intake,
	looks: Looks,
	clock: () => number,
	meter: Meter,
	log: Log,
): EvidenceSource {
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
	/** Looks are taken every second. */
	const told = new Set<string>();
	const failed = (metric: string, thrown: unknown): void => {
		if (told.has(metric)) return;
		told.add(metric);
		log.error("a metric cannot be read from the event store", { metric, error: String(thrown) });
	};
	return {
		evidence: (query) => answer(() => gatherEvidence(store, query, clock(), looks, failed)),
		baselineQuantile: (query) => answer(() => baselineQuantile(store, query)),
	};
}
