/**
 * The way of decision records into the store: a bounded queue, one commit for all that came meanwhile. Nothing waits for
 * it; what does not fit is dropped, counted and told of (records-missing), and evidence never shares a lane with it.
 */
import { DECISION_COMMIT_MS, DECISION_QUEUE_MAX, DECISIONS_WHOLE_MS, MISSING_MARGIN_MS } from "../../limits.js";
import { COUNTERS, GAUGES, type Log, type Meter } from "../meter.js";
import { CommitFaults } from "../store/commitFaults.js";
import type { EventStore } from "../store/store.js";
import { withoutUnfit } from "../store/unfitRows.js";
import { type Queued, readWholeMs, writeDecisions } from "./decisionAppend.js";
import type { DecisionRecord } from "./decisionRecord.js";
import {
	type MissingOf,
	type MissingReason,
	MissingRecords,
	type MissingTime,
	missingRecord,
} from "./missingRecords.js";
import { type ShadowCount, ShadowCounts } from "./shadow.js";

export interface DecisionQueueOptions {
	readonly store: EventStore;
	readonly clock: () => number;
	readonly meter: Meter;
	readonly log: Log;
	/** Up to when none is missing that is not known to be; left out, infinite = up to now. */
	readonly aliveSinceMs?: () => number;
}

export class DecisionQueue {
	#queue: Queued[] = [];
	/** Records and counts whose plan is being asked for. */
	#held = 0;
	readonly #holding = new Set<Promise<void>>();
	readonly #shadows = new ShadowCounts();
	readonly #missing = new MissingRecords();
	/** Until when the log was whole when it was opened. */
	#wholeMs: number | null = null;
	/** Told of as ingest's own absence. */
	#away: MissingTime | null = null;
	#beats: NodeJS.Timeout | null = null;
	#timer: NodeJS.Timeout | null = null;
	#committing: Promise<void> | null = null;
	#dropping = false;
	#closed = false;
	/** 0 = it is to be asked for. */
	#lastId = 0;
	readonly #faults: CommitFaults;

	/** @param max records that wait at most */
	constructor(
		private readonly options: DecisionQueueOptions,
		private readonly max: number = DECISION_QUEUE_MAX,
	) {
		this.#faults = new CommitFaults("decision records", options);
	}

	/** Learns from the store until when the log was whole. Before the first record. */
	async recall(): Promise<void> {
		this.#wholeMs = await this.options.store.decisions.transaction(readWholeMs);
	}

	/** From now on entries are heard: says what may be missing since the log was whole last, and when it is whole again. */
	listening(): void {
		const nowMs = this.options.clock();
		const away = { fromMs: this.#wholeMs ?? nowMs, untilMs: nowMs + MISSING_MARGIN_MS, count: 0 };
		if (this.#wholeMs !== null) {
			this.#away = away;
			this.#tell(missingRecord("ingest-away", away), nowMs);
		}
		this.#beats = setInterval(() => void this.#beat().catch(() => undefined), DECISIONS_WHOLE_MS).unref();
		this.#schedule();
	}

	/** Takes a time in which entries of an Envoy may have been lost: nobody knows how many. */
	broke(fromMs: number, untilMs: number, whose: MissingOf): void {
		this.#missing.add("stream-broken", 0, fromMs, untilMs, whose);
	}

	/**
	 * Takes a time in which an Envoy could not reach ingest; what ingest says of its own absence is not told twice.
	 * @param lastMs when that was tried last
	 */
	unreached(fromMs: number, lastMs: number, untilMs: number, whose: MissingOf): void {
		const { fromMs: awayMs, untilMs: backMs } = this.#away ?? { fromMs: 0, untilMs: 0 };
		// It is asked each second, and the last one before may have been answered just before ingest's own mark.
		if (fromMs >= awayMs - 2 * MISSING_MARGIN_MS && lastMs <= backMs) return;
		this.broke(fromMs - MISSING_MARGIN_MS, untilMs + MISSING_MARGIN_MS, whose);
	}

	/** Takes records that are lost, however many; `sinceMs`: when the first of them may have been. */
	lost(
		reason: Exclude<MissingReason, "ingest-away" | "stream-broken">,
		count: number,
		sinceMs?: number,
		whose?: MissingOf,
	): void {
		const nowMs = this.options.clock();
		// What is told of has ended before it came.
		this.#missing.add(reason, count, (sinceMs ?? nowMs) - MISSING_MARGIN_MS, nowMs, whose);
		this.#gaugeDropping();
	}

	/** Takes what ingest itself refused. */
	refused(record: DecisionRecord): void {
		this.push({ record, receivedMs: this.options.clock() });
	}

	/** Takes records for which there is room always, such as those of an Experiment's end. Resolves when they are committed. */
	async always(records: readonly DecisionRecord[]): Promise<void> {
		const receivedMs = this.options.clock();
		this.#queue.push(...records.map((record) => ({ record, receivedMs })));
		await this.flush();
	}

	/** Takes what a shadow policy would have changed. */
	addShadow(...counted: Parameters<ShadowCounts["add"]>): void {
		this.#shadows.add(...counted);
		this.#schedule();
	}

	/** Keeps a place while a plan is asked for, and gives it up for what follows. */
	hold<Result>(asking: Promise<Result>, then: (result: Result) => void): void {
		this.#held++;
		const held = asking.then((result) => {
			this.#held--;
			this.#holding.delete(held);
			then(result);
		});
		this.#holding.add(held);
	}

	/** Whether what comes now has no room. */
	get isFull(): boolean {
		return this.#queue.length + this.#held >= this.max;
	}

	/** Takes a record that has no room. */
	drop({ kind }: DecisionRecord): void {
		if (!this.#dropping) this.options.log.error("decision records are dropped: the queue is full");
		this.#dropping = true;
		this.#count(kind, "dropped");
		this.lost("queue-full", 1);
	}

	push(queued: Queued): void {
		if (this.isFull) {
			this.drop(queued.record);
			return;
		}
		this.#queue.push(queued);
		this.#schedule();
	}

	#schedule(): void {
		// At the end all is tried once more; what that leaves would be tried on a store that is closed by then.
		if (this.#closed) return;
		this.#timer ??= setTimeout(() => {
			this.#timer = null;
			void this.flush().catch(() => undefined);
		}, DECISION_COMMIT_MS);
	}

	/** Resolves when all that was taken before the call is committed. Rejects where the store refuses. */
	async flush(): Promise<void> {
		await Promise.all(this.#holding);
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		while (this.#committing !== null) await this.#committing;
		if (this.#queue.length === 0 && this.#shadows.size === 0) return;
		this.#committing = this.#commit().finally(() => {
			this.#committing = null;
		});
		return this.#committing;
	}

	async close(): Promise<void> {
		this.#closed = true;
		if (this.#beats !== null) clearInterval(this.#beats);
		// A commit may wait for these. Where that is refused, what came since has not been tried once.
		await Promise.all(this.#holding);
		await this.#committing?.catch(() => undefined);
		try {
			await this.flush();
			if (this.#beats !== null) await this.#beat(true);
		} finally {
			this.#faults.close();
		}
	}

	/** However full the queue is, as the end of an Experiment. */
	#tell(record: DecisionRecord, receivedMs: number): void {
		this.#queue.push({ record, receivedMs });
		const { reason, atMs, latencyMs, gateway, count } = record;
		if (count !== 0 || reason === null) return;
		this.options.log.warn("records of denied requests may be missing", {
			reason,
			...(gateway === null ? {} : { gateway }),
			from: new Date(atMs).toISOString(),
			until: new Date(atMs + (latencyMs ?? 0)).toISOString(),
		});
		const { missing } = COUNTERS;
		this.options.meter.count(missing.name, missing.help, { reason }, (latencyMs ?? 0) / 1e3);
	}

	#count(kind: string, result: string, by = 1): void {
		this.options.meter.count(COUNTERS.decisions.name, COUNTERS.decisions.help, { kind, result }, by);
	}

	/** Tells what is missing, and commits until when the log is whole, though nothing else came. */
	async #beat(last = false): Promise<void> {
		const receivedMs = this.options.clock();
		// Where the store takes nothing they are summed up on.
		const due = this.#faults.failing && !last ? [] : this.#missing.take(receivedMs, last);
		for (const record of due) this.#tell(record, receivedMs);
		this.#gaugeDropping();
		while (this.#committing !== null) await this.#committing.catch(() => undefined);
		this.#committing = this.#commit().finally(() => {
			this.#committing = null;
		});
		return this.#committing;
	}

	#gaugeDropping(): void {
		const drops = (["queue-full", "unfit", "unreadable"] as const).some((reason) => this.#missing.has(reason));
		this.options.meter.gauge(GAUGES.dropping.name, GAUGES.dropping.help, drops ? 1 : 0);
	}

	/** What is known to be lost and not told yet is in memory alone: a crash must not leave it untold. */
	#wholeUntilMs(): number {
		const { clock, aliveSinceMs } = this.options;
		const never = Number.POSITIVE_INFINITY;
		return Math.min(clock() - MISSING_MARGIN_MS, this.#missing.oldestMs ?? never, aliveSinceMs?.() ?? never);
	}

	async #commit(): Promise<void> {
		// What waits for its plan is in none of these; what was read of sockets only later is within the margin.
		const wholeMs = this.#beats === null || this.#held > 0 ? null : this.#wholeUntilMs();
		// By what they are about: requests that began earlier may be told later, by another Gateway's stream or at their end.
		const queued = this.#queue.sort((one, other) => one.record.atMs - other.record.atMs);
		this.#queue = [];
		for (const [kind, rows] of byKind(await this.#write(queued, this.#shadows.take(), wholeMs)))
			this.#count(kind, "stored", rows);
		this.#dropping = false;
		// What came while this commit ran.
		if (this.#queue.length > 0 || this.#shadows.size > 0) {
			this.#schedule();
		}
	}

	/**
	 * One transaction. What no transaction can take is left out and counted; where the store refuses, all is tried again with
	 * the next ones, as far as it fits.
	 * @returns what it wrote
	 */
	async #write(
		records: readonly Queued[],
		shadows: readonly ShadowCount[],
		wholeMs: number | null,
	): Promise<readonly Queued[]> {
		const { store, clock, log } = this.options;
		const nowMs = clock();
		try {
			this.#lastId = await store.decisions.transaction((transaction) =>
				writeDecisions(transaction, records, shadows, nowMs, this.#lastId, wholeMs),
			);
			this.#faults.taken();
			return records;
		} catch (thrown) {
			const [fit, fitShadows] = [withoutUnfit(thrown, records), withoutUnfit(thrown, shadows)];
			if (fit !== null || fitShadows !== null) {
				log.error("decision records that the store cannot hold are left out", { error: String(thrown) });
				const kept = new Set(fit ?? records);
				const unfit = byKind(records.filter((one) => !kept.has(one)));
				for (const [kind, rows] of unfit) {
					this.#count(kind, "unfit", rows);
					this.lost("unfit", rows);
				}
				return this.#write(fit ?? records, fitShadows ?? shadows, wholeMs);
			}
			const error = this.#faults.failed(thrown);
			const room = Math.max(0, this.max - this.#queue.length - this.#held);
			// What says that records are missing has room always: none more is made before the store takes these.
			const isKept = ({ record }: Queued, at: number): boolean => at < room || record.kind === "records-missing";
			this.#queue = [...records.filter(isKept), ...this.#queue];
			const dropped = records.filter((one, at) => !isKept(one, at));
			for (const [kind, rows] of byKind(dropped)) this.#count(kind, "dropped", rows);
			if (dropped.length > 0)
				this.lost("queue-full", dropped.length, Math.min(...dropped.map(({ receivedMs }) => receivedMs)));
			this.#shadows.giveBack(shadows);
			this.#schedule();
			throw error;
		}
	}
}

function byKind(records: readonly Queued[]): ReadonlyMap<string, number> {
	const rows = new Map<string, number>();
	for (const { record } of records) rows.set(record.kind, (rows.get(record.kind) ?? 0) + 1);
	return rows;
}
