/**
 * Commits decoded access-log entries: a bounded queue, one transaction per batch, first exposures and conflicts by set
 * operations. Envoy gets no acknowledgement, so entries above the limit are dropped, here or by Envoy. Each loss is
 * counted with its time and reported in evidence.
 */
import { parseRouteName } from "../../../../compile/plan/compiledPlan.js";
import { ARMS_KNOWN_MAX } from "../../../../limits/index.js";
import { COUNTERS, GAUGES, HISTOGRAMS, type Log, type Meter } from "../../meter.js";
import { Generations } from "../../store/generations.js";
import type { EventStore } from "../../store/store.js";
import type { AccessLogEntry, Heard } from "../accessLog/accessLogEntry.js";
import { keyOf } from "../accessRecords/assignmentChanges.js";
import { CommitFaults } from "../commitFaults.js";
import { Backlog } from "./backlog.js";
import { type RouteOfEntry, readEntry } from "./entryReader.js";
import { type Loss, Losses } from "./losses.js";
import type { PlanReader, ReadableService } from "./planReader.js";
import { type CommitResult, RequestCommit } from "./requestCommit.js";
import {
	type Exposure,
	outside,
	type Reading,
	type ReadingContext,
	type RequestKey,
	type RequestRow,
} from "./requestRow.js";
import { RequestStarts } from "./requestStarts.js";
import { SettlingExposures } from "./settlingExposures.js";

/** Access-log entries that wait for the store; beyond it new ones are dropped and counted. */
export const ACCESS_LOG_QUEUE_MAX = 200_000;

/** Longest time before an access-log entry is committed. An evidence query commits at once. */
export const ACCESS_LOG_COMMIT_MS = 500;

/** Access-log entries in one commit: 60 ms of one core, because evidence queries wait for it. */
export const ACCESS_LOG_COMMIT_ROWS = 20_000;

export interface IntakeOptions {
	readonly store: EventStore;
	readonly plans: PlanReader;
	readonly clock: () => number;
	readonly meter: Meter;
	readonly log: Log;
	readonly exposureSettlesMs?: number;
	/** Called once for each ended request. */
	readonly ended?: (request: EndedRequest) => void;
}

export interface EndedRequest extends Heard {
	/** From the plan of its route; null = unknown, or not a Weir route. */
	readonly service: ReadableService | null;
	/** null = the entry could not be read, or the queue was full. */
	readonly row: Extract<Reading, { kind: "row" }> | null;
}

export class Intake {
	readonly #backlog = new Backlog();
	/** Entries waiting for their plan, by plan version. */
	readonly #held = new Map<string, Heard[]>();
	/** Entries queued, waiting for a plan, or in a running commit. */
	#waiting = 0;
	readonly #losses = new Losses();
	readonly #routes = new Generations<string, RouteOfEntry | "foreign">(10_000);
	/** Arms of units known to be stored; their later starts need no store query. */
	readonly #exposed = new Generations<bigint, string>(ARMS_KNOWN_MAX);
	readonly #commit = new RequestCommit();
	/** Exposures that can still be withdrawn or replaced by an earlier one. */
	readonly #settling: SettlingExposures;
	readonly #starts = new RequestStarts();
	/** Plans for which a mismatch with the sidecar was already logged. */
	readonly #contradicted = new Generations<string, true>(1_000);
	#timer: NodeJS.Timeout | null = null;
	#committing: Promise<void> | null = null;
	#firstQueuedMs = 0;
	#dropping = false;
	/** When closing began. */
	#closedMs: number | null = null;
	readonly #faults: CommitFaults;
	readonly #context: ReadingContext;

	constructor(private readonly options: IntakeOptions) {
		this.#faults = new CommitFaults("access-log entries", options);
		const { plans, store } = options;
		this.#settling = new SettlingExposures(options.exposureSettlesMs);
		this.#context = { plan: (version) => plans.known(version), pseudonyms: store.pseudonyms };
	}

	offer(heard: Heard): void {
		const { entry, receivedMs } = heard;
		if (entry.kind === "other") {
			this.#count("ignored");
			return;
		}
		const route = this.#route(entry.routeName);
		if (route === "foreign") {
			this.#count("foreign");
			this.#ended(heard);
			return;
		}
		if (this.#waiting >= ACCESS_LOG_QUEUE_MAX) {
			if (!this.#dropping) this.options.log.error("access-log entries are dropped: the queue is full");
			this.#dropping = true;
			this.#lose("dropped");
			this.#ended(heard);
			return;
		}
		const plan = this.options.plans.known(route.version);
		if (plan === null) {
			this.#hold(heard, route.version);
			return;
		}
		const dated = this.#starts.dated(entry);
		const reading: Reading =
			dated === null ? { kind: "ignored" } : readEntry(dated, route, plan, this.#context, receivedMs);
		switch (reading.kind) {
			case "row":
				if (reading.refused) this.#refuse(reading.row, reading.late);
				else this.#queue(dated ?? entry, reading);
				break;
			case "ignored":
				if (entry.kind === "start") this.#starts.begin(entry);
				this.#count("ignored");
				break;
			case "unreadable":
				this.#lose("unreadable");
				break;
			case "contradiction":
				if (reading.forced !== null) this.#backlog.forced.push(reading.forced);
				this.#contradict(reading.service, reading.plan);
				break;
			case "plan-missing":
				this.#hold(heard, reading.version);
				return;
		}
		this.#ended(heard, plan.get(route.service), reading.kind === "row" ? reading : null);
	}

	#ended(heard: Heard, service: ReadableService | null = null, row: EndedRequest["row"] = null): void {
		const { entry, receivedMs, gateway } = heard;
		if (entry.kind === "end") this.options.ended?.({ entry, receivedMs, gateway, service, row });
	}

	/** Counts a message that could not be decoded. */
	broken(): void {
		this.#lose("unreadable");
	}

	/** Counts an entry with numbers that no Envoy writes. It counts as a loss only on a Weir route. */
	impossible({ kind, routeName }: AccessLogEntry): void {
		if (kind === "other" || this.#route(routeName) === "foreign") this.#count("unreadable");
		else this.#lose("unreadable");
	}

	/** Counts entries that Envoy dropped at an unknown time after `sinceMs`. */
	undelivered(entries: number, sinceMs: number): void {
		this.#lose("undelivered", entries, sinceMs);
	}

	/** Resolves when all entries readable at the call are committed. Rejects if the commit fails. */
	async flush(): Promise<void> {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		if (this.#committing !== null) await this.#committing;
		if (this.#committing !== null) return this.#committing;
		const { rows, exposures } = this.#backlog;
		for (const exposure of this.#settled()) exposures.push(exposure);
		if (rows.length + exposures.length === 0 && !this.#losses.any) {
			this.#scheduleWaiting();
			return;
		}
		if (rows.length === 0) this.#firstQueuedMs = performance.now();
		this.#committing = this.#commitAll().finally(() => {
			this.#committing = null;
			this.#scheduleWaiting();
		});
		return this.#committing;
	}

	/** Resolves when no entry waits for its plan. */
	async plansLoaded(): Promise<void> {
		// An entry may need a second plan: the one that the sidecar used.
		while (this.#held.size > 0) {
			await Promise.all([...this.#held.keys()].map((version) => this.options.plans.load(version)));
			// Entries held for these plans are read in callbacks of the same promises.
			await Promise.resolve();
		}
	}

	/** Stops waiting for plans, and commits the rest, including exposures that can be settled safely. */
	async close(): Promise<void> {
		this.#closedMs = this.options.clock();
		this.options.plans.close();
		await this.plansLoaded();
		// After a failed commit, retry with the entries that arrived since.
		await this.#committing?.catch(() => undefined);
		await this.flush().finally(() => this.#faults.close());
	}

	/** Entries that wait for the store or for their plan. */
	get waiting(): number {
		return this.#waiting;
	}

	/** Commits after a delay, or at once when a full batch waits. */
	#schedule(): void {
		// While closing, the last flush commits everything; a later commit would use a closed store.
		if (this.#committing !== null || this.#closedMs !== null) return;
		// A failed commit is logged and its rows stay queued. Retry after a delay: a full disk must not cause a busy loop.
		if (this.#backlog.rows.length >= ACCESS_LOG_COMMIT_ROWS && !this.#faults.failing)
			void this.flush().catch(() => undefined);
		else {
			this.#timer ??= setTimeout(() => {
				this.#timer = null;
				void this.flush().catch(() => undefined);
			}, ACCESS_LOG_COMMIT_MS);
		}
	}

	#scheduleWaiting(): void {
		if (this.#backlog.rows.length > 0 || this.#settling.size > 0 || this.#losses.any) this.#schedule();
	}

	#settled(): readonly Exposure[] {
		if (this.#settling.size === 0) return [];
		// After the end no entries arrive, so waiting settles nothing.
		return this.#closedMs === null
			? this.#settling.take(this.options.clock())
			: this.#settling.takeLast(this.#closedMs);
	}

	#route(name: string): RouteOfEntry | "foreign" {
		const known = this.#routes.get(name);
		if (known !== undefined) return known;
		const route = parseRouteName(name) ?? "foreign";
		this.#routes.set(name, route);
		return route;
	}

	/** Several entries report a late unit, none at the start; the first of them writes the start row. */
	#queue(dated: AccessLogEntry, { row, exposure, late }: Extract<Reading, { kind: "row" }>): void {
		const opens = late && row.arm !== null && this.#starts.open(dated, row);
		if (late && !opens && !row.ended) {
			// Still open: its start row exists, or its start was not received.
			this.#count("ignored");
			return;
		}
		if (opens && row.ended) this.#push({ ...row, ended: false });
		this.#push(row);
		if (exposure !== null && (opens || !late)) this.#expose(row, exposure, late);
		this.#schedule();
	}

	#expose(request: RequestKey, exposure: Exposure, late: boolean): void {
		// Already stored: later entries add nothing.
		if (this.#exposed.get(keyOf(exposure.experiment, exposure.unit)) === exposure.arm) return;
		this.#settling.add(request, exposure, late);
	}

	/** Withdraws what the start of the request recorded. A stored exposure stays: the withdrawal came too late. */
	#refuse(row: RequestRow, late: boolean): void {
		this.#settling.withdraw(row);
		if (!late || this.#starts.isOpen(row)) this.#backlog.refused.push(row);
		this.#push(outside(row));
		this.#schedule();
	}

	#push(row: RequestRow): void {
		if (this.#backlog.rows.length === 0) this.#firstQueuedMs = performance.now();
		this.#waiting++;
		this.#backlog.rows.push(row);
	}

	/** The sidecar disagrees with the plan: the entry counts as unreadable, and the mismatch is logged. */
	#contradict(service: string, plan: string): void {
		const { meter, log } = this.options;
		meter.count(COUNTERS.contradictions.name, COUNTERS.contradictions.help, { service });
		const key = `${service}|${plan}`;
		if (this.#contradicted.get(key) === undefined) {
			this.#contradicted.set(key, true);
			log.error("the sidecar's assignment is not the plan's: such entries are left out", { service, plan });
		}
		this.#lose("unreadable");
	}

	#hold(held: Heard, version: string): void {
		this.#waiting++;
		const others = this.#held.get(version);
		if (others !== undefined) {
			others.push(held);
			return;
		}
		this.#held.set(version, [held]);
		void this.options.plans.load(version).then((plan) => {
			const all = this.#held.get(version) ?? [];
			this.#held.delete(version);
			this.#waiting -= all.length;
			if (plan !== null) for (const one of all) this.offer(one);
			else {
				this.options.log.error("access-log entries cannot be read: their plan is unknown", { plan: version });
				this.#lose("unreadable", all.length);
				for (const one of all) this.#ended(one);
			}
		});
	}

	#count(result: string, by = 1): void {
		this.options.meter.count(COUNTERS.entries.name, COUNTERS.entries.help, { result }, by);
	}

	#lose(loss: Loss, entries = 1, sinceMs: number | null = null): void {
		this.#losses.add(loss, entries, sinceMs);
		this.#count(loss, entries);
		this.#schedule();
	}

	/** Commits what is queued now. Later entries wait, so a flush ends under any load. */
	async #commitAll(): Promise<void> {
		const { store, clock, meter } = this.options;
		let left = this.#backlog.rows.length;
		do {
			const pending = this.#backlog.take(Math.min(left, ACCESS_LOG_COMMIT_ROWS));
			const { rows, exposures } = pending;
			left -= rows.length;
			const lost = this.#losses.take();
			let result: CommitResult;
			try {
				result = await store.entries.transaction((transaction) =>
					this.#commit.write(transaction, { ...pending, lost, nowMs: clock() }),
				);
			} catch (thrown) {
				this.#losses.giveBack(lost);
				this.#commit.forget();
				this.#backlog.giveBack(pending);
				throw this.#faults.failed(thrown);
			}
			this.#waiting -= rows.length;
			this.#dropping = false;
			this.#faults.succeeded();
			for (const exposure of exposures) this.#remember(exposure);
			this.#report(rows.length, result);
			meter.gauge(GAUGES.queue.name, GAUGES.queue.help, this.#waiting);
		} while (left > 0);
	}

	#report(stored: number, { added, conflicts }: CommitResult): void {
		const { meter, log } = this.options;
		this.#count("stored", stored);
		meter.count(COUNTERS.commits.name, COUNTERS.commits.help, { kind: "entries" });
		const seconds = (performance.now() - this.#firstQueuedMs) / 1e3;
		meter.observe(HISTOGRAMS.commit.name, HISTOGRAMS.commit.help, seconds, { kind: "entries" });
		this.#firstQueuedMs = performance.now();
		for (const row of added) {
			const labels = { experiment: String(row.experiment), arm: String(row.arm) };
			meter.count(COUNTERS.exposures.name, COUNTERS.exposures.help, labels);
		}
		for (const row of conflicts) {
			const labels = { experiment: String(row.experiment) };
			meter.count(COUNTERS.conflicts.name, COUNTERS.conflicts.help, labels);
			log.error("a unit was seen in two arms and is left out of its experiment", labels);
		}
	}

	#remember({ experiment, unit, arm }: Exposure): void {
		// A unit in conflict stays cached by its first arm; with another arm it goes to the store, which knows the conflict.
		const key = keyOf(experiment, unit);
		if (this.#exposed.get(key) === undefined) this.#exposed.set(key, arm);
	}
}
