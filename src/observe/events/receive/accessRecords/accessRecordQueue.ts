/**
 * Bounded queue that writes access records to the store in group commits. It blocks no caller: records above the limit
 * are dropped and become a gap (gaps.ts). It has its own database connection, so outcomes do not delay it.
 */
import { ACCESS_RECORD_QUEUE_MAX, ENVOY_PING_MS, ENVOY_SILENT_MS } from "../../../../limits/index.js";
import { COUNTERS, GAUGES, type Log, type Meter } from "../../meter.js";
import type { EventStore } from "../../store/store.js";
import { CommitFaults } from "../commitFaults.js";
import type { AccessRecord } from "./accessRecord.js";
import { type Queued, readCompleteUntilMs, writeAccessRecords } from "./accessRecordAppend.js";
import { ANY_ENVOY, Gaps } from "./gaps.js";
import { type ShadowCount, ShadowCounts } from "./shadow.js";

/** Longest time before an access record is committed. */
export const ACCESS_RECORD_COMMIT_MS = 500;

/**
 * How often at least the store records until when the access record log is complete. After a restart a gap is recorded from that
 * time.
 */
export const ACCESS_RECORDS_COMPLETE_MS = 5_000;

/** Longest time to detect an unreachable Envoy; until then the access record log is not reported as complete. */
export const ENVOY_NOTICED_MS = ENVOY_SILENT_MS + 2 * ENVOY_PING_MS;

export interface AccessRecordQueueOptions {
	readonly store: EventStore;
	readonly clock: () => number;
	readonly meter: Meter;
	readonly log: Log;
}

export class AccessRecordQueue {
	#queue: Queued[] = [];
	readonly #shadows = new ShadowCounts();
	readonly gaps = new Gaps();
	/** Time until which the log was complete when it was opened. */
	#completeUntilMs: number | null = null;
	#beats: NodeJS.Timeout | null = null;
	#timer: NodeJS.Timeout | null = null;
	#committing: Promise<void> | null = null;
	#dropping = false;
	#closed = false;
	/** 0 = must be read from the store. */
	#lastId = 0;
	readonly #faults: CommitFaults;

	/** @param max number of records that may wait */
	constructor(
		private readonly options: AccessRecordQueueOptions,
		private readonly max: number = ACCESS_RECORD_QUEUE_MAX,
	) {
		this.#faults = new CommitFaults("access records", options);
	}

	/** Reads from the store until when the log is complete. Call it before the first record. */
	async recall(): Promise<void> {
		this.#completeUntilMs = await this.options.store.accessRecords.transaction(readCompleteUntilMs);
	}

	/** Entries arrive from now on; between the last complete time and now records may be missing. */
	listening(): void {
		if (this.#completeUntilMs !== null) this.gaps.notReceived(ANY_ENVOY, this.#completeUntilMs, this.options.clock());
		this.#beats = setInterval(() => void this.#beat().catch(() => undefined), ACCESS_RECORDS_COMPLETE_MS).unref();
		void this.#beat(true).catch(() => undefined);
	}

	/** Counts records that could not be stored; the first of them since `fromMs`. */
	lost(count: number, fromMs: number = this.options.clock()): void {
		this.gaps.notStored(count, fromMs, this.options.clock());
		this.#gaugeDropping();
	}

	/** Adds records of refusals by ingest itself. */
	refused(record: AccessRecord): void {
		this.push({ record, receivedMs: this.options.clock() });
	}

	/** Adds a change that a shadow policy would make. */
	addShadow(...counted: Parameters<ShadowCounts["add"]>): void {
		this.#shadows.add(...counted);
		this.#schedule();
	}

	push(queued: Queued): void {
		if (this.#queue.length >= this.max) {
			if (!this.#dropping) this.options.log.error("access records are dropped: the queue is full");
			this.#dropping = true;
			this.#count(queued.record.kind, "dropped");
			this.lost(1);
			return;
		}
		this.#queue.push(queued);
		this.#schedule();
	}

	#schedule(): void {
		// While closing, the last flush retries everything; a later commit would use a closed store.
		if (this.#closed) return;
		this.#timer ??= setTimeout(() => {
			this.#timer = null;
			void this.flush().catch(() => undefined);
		}, ACCESS_RECORD_COMMIT_MS);
	}

	/** Resolves when all records added before the call are committed. Rejects if the commit fails. */
	async flush(): Promise<void> {
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
		// After a failed commit, retry with the records added since.
		await this.#committing?.catch(() => undefined);
		try {
			await this.flush();
			if (this.#beats !== null) await this.#beat(true);
		} finally {
			this.#faults.close();
		}
	}

	#count(kind: string, result: string, by = 1): void {
		this.options.meter.count(COUNTERS.decisions.name, COUNTERS.decisions.help, { kind, result }, by);
	}

	/** Queues records of due gaps even if the queue is full, and commits until when the log is complete. */
	async #beat(all = false): Promise<void> {
		const receivedMs = this.options.clock();
		// While commits fail, gaps are merged.
		const due = this.#faults.failing && !all ? [] : this.gaps.take(receivedMs, all);
		for (const record of due) {
			this.#queue.push({ record, receivedMs });
			const { gateway, atMs, latencyMs, count } = record;
			this.options.log.warn("access records may be missing", {
				...(gateway === null ? {} : { gateway }),
				from: new Date(atMs).toISOString(),
				until: new Date(atMs + (latencyMs ?? 0)).toISOString(),
				count: count === 0 ? "unknown" : String(count),
			});
		}
		this.#gaugeDropping();
		while (this.#committing !== null) await this.#committing.catch(() => undefined);
		this.#committing = this.#commit().finally(() => {
			this.#committing = null;
		});
		return this.#committing;
	}

	#gaugeDropping(): void {
		this.options.meter.gauge(GAUGES.dropping.name, GAUGES.dropping.help, this.gaps.dropping ? 1 : 0);
	}

	async #commit(): Promise<void> {
		// Not complete beyond a gap that is not stored yet, nor within the time that it takes to notice an unreachable Envoy.
		const completeUntilMs = Math.min(this.options.clock() - ENVOY_NOTICED_MS, this.gaps.oldestMs);
		// By request start: a request that began earlier may be logged later, when it ends or by another Gateway's stream.
		const queued = this.#queue.sort((one, other) => one.record.atMs - other.record.atMs);
		this.#queue = [];
		for (const [kind, rows] of byKind(
			await this.#write(queued, this.#shadows.take(), this.#beats === null ? null : completeUntilMs),
		))
			this.#count(kind, "stored", rows);
		this.#dropping = false;
		// Records added while this commit ran.
		if (this.#queue.length > 0 || this.#shadows.size > 0) {
			this.#schedule();
		}
	}

	/**
	 * One transaction. If it fails, its records are retried with the next ones, up to the limit.
	 * @returns what it wrote
	 */
	async #write(
		records: readonly Queued[],
		shadows: readonly ShadowCount[],
		completeUntilMs: number | null,
	): Promise<readonly Queued[]> {
		const { store, clock } = this.options;
		const nowMs = clock();
		try {
			this.#lastId = await store.accessRecords.transaction((transaction) =>
				writeAccessRecords(transaction, records, shadows, nowMs, this.#lastId, completeUntilMs),
			);
			this.#faults.succeeded();
			return records;
		} catch (thrown) {
			const error = this.#faults.failed(thrown);
			const left = Math.max(0, this.max - this.#queue.length);
			// Gaps are never dropped: no new ones are made until these are stored.
			const isKept = ({ record }: Queued, at: number): boolean => at < left || record.kind === "records-missing";
			this.#queue = [...records.filter(isKept), ...this.#queue];
			const dropped = records.filter((one, at) => !isKept(one, at));
			for (const [kind, rows] of byKind(dropped)) this.#count(kind, "dropped", rows);
			if (dropped.length > 0) this.lost(dropped.length, Math.min(...dropped.map(({ receivedMs }) => receivedMs)));
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
