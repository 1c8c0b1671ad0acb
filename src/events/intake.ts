/**
 * From decoded access-log entries to committed rows: a bounded queue, one transaction per batch, first exposures
 * and conflicts by set operations on the batch. The access log is never acknowledged to Envoy, so what does not
 * fit is dropped; each loss is counted and kept with its time, and evidence says so.
 */
import { parseRouteName } from "../compiler/plan.js";
import { ACCESS_LOG_COMMIT_MS, ACCESS_LOG_COMMIT_ROWS, ACCESS_LOG_QUEUE_MAX, UNIT_CACHE_MAX } from "../limits.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { Generations } from "./generations.js";
import { COUNTERS, GAUGES, HISTOGRAMS, type Log, type Meter } from "./meter.js";
import type { PlanReader } from "./planReader.js";
import { type Exposure, type RequestRow, type RouteOfEntry, readEntry } from "./requestRow.js";
import { putExposure, putRow } from "./rowAppend.js";
import type { EventStore, Row, Transaction } from "./store.js";

export interface IntakeOptions {
	readonly store: EventStore;
	readonly plans: PlanReader;
	readonly clock: () => number;
	readonly meter: Meter;
	readonly log: Log;
}

interface Held {
	readonly entry: AccessLogEntry;
	readonly route: RouteOfEntry;
	readonly receivedMs: number;
}

/** What a commit found out, reported once it is durable. */
interface Learnt {
	readonly added: readonly Row[];
	readonly conflicts: readonly Row[];
}

type Loss = "unreadable" | "dropped";

export class Intake {
	#rows: RequestRow[] = [];
	#exposures: Exposure[] = [];
	/** Entries whose plan is being asked for, by version. */
	readonly #held = new Map<string, Held[]>();
	/** Queued, held and in a running commit. */
	#waiting = 0;
	readonly #losses: Record<Loss, number> = { unreadable: 0, dropped: 0 };
	readonly #routes = new Generations<string, RouteOfEntry | "foreign">(10_000);
	/** Arms of units known to be stored, per experiment: their later starts need no look into the store. */
	readonly #exposed = new Map<string, Generations<bigint, string>>();
	readonly #explained = new Set<string>();
	#timer: NodeJS.Timeout | null = null;
	#committing: Promise<void> | null = null;
	#firstQueuedMs = 0;
	#dropping = false;
	/** The last commit failed: the next try waits, or a full disk would be a busy loop. */
	#failed = false;

	constructor(private readonly options: IntakeOptions) {}

	/** Takes one entry. `receivedMs`: when its message came, by the store's clock. */
	offer(entry: AccessLogEntry, receivedMs: number): void {
		if (entry.kind === "other") {
			this.#count("ignored");
			return;
		}
		const route = this.#route(entry.routeName);
		if (route === "foreign") {
			this.#count("foreign");
			return;
		}
		if (this.#waiting >= ACCESS_LOG_QUEUE_MAX) {
			if (!this.#dropping) this.options.log.error("access-log entries are dropped: the queue is full");
			this.#dropping = true;
			this.#lose("dropped");
			return;
		}
		const plan = this.options.plans.known(route.version);
		if (plan === null) {
			this.#hold({ entry, route, receivedMs });
			return;
		}
		const reading = readEntry(entry, route, plan, this.options.store.pseudonyms, receivedMs);
		if (reading.kind === "unreadable") {
			this.#lose("unreadable");
			return;
		}
		if (reading.kind === "ignored") {
			this.#count("ignored");
			return;
		}
		if (this.#rows.length === 0) this.#firstQueuedMs = performance.now();
		this.#waiting++;
		this.#rows.push(reading.row);
		if (reading.exposure !== null && !this.#isStored(reading.exposure)) this.#exposures.push(reading.exposure);
		this.#schedule();
	}

	/** A message that could not be decoded. */
	broken(): void {
		this.#lose("unreadable");
	}

	/** Resolves when all that was readable at the call is committed. Rejects where the store refuses. */
	async flush(): Promise<void> {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		if (this.#committing !== null) await this.#committing;
		if (this.#committing !== null) return this.#committing;
		if (this.#rows.length === 0 && this.#losses.dropped + this.#losses.unreadable === 0) return;
		this.#committing = this.#commitAll().finally(() => {
			this.#committing = null;
			if (this.#rows.length > 0) this.#schedule();
		});
		return this.#committing;
	}

	/** Gives up on plans that are being asked for, and commits the rest. */
	async close(): Promise<void> {
		this.options.plans.close();
		await Promise.all([...this.#held.keys()].map((version) => this.options.plans.load(version)));
		// The entries held for them are counted in callbacks of those same promises.
		await Promise.resolve();
		await this.flush();
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
	}

	/** Entries that wait for the store or for their plan. */
	get waiting(): number {
		return this.#waiting;
	}

	/** Commits after a while, or at once where a whole batch waits. */
	#schedule(): void {
		if (this.#committing !== null) return;
		// A failed commit was logged; its rows stay queued and the next one tries again.
		if (this.#rows.length >= ACCESS_LOG_COMMIT_ROWS && !this.#failed) void this.flush().catch(() => undefined);
		else {
			this.#timer ??= setTimeout(() => {
				this.#timer = null;
				void this.flush().catch(() => undefined);
			}, ACCESS_LOG_COMMIT_MS);
		}
	}

	#route(name: string): RouteOfEntry | "foreign" {
		const known = this.#routes.get(name);
		if (known !== undefined) return known;
		const route = parseRouteName(name) ?? "foreign";
		this.#routes.set(name, route);
		return route;
	}

	#isStored(exposure: Exposure): boolean {
		return this.#exposed.get(exposure.experiment)?.get(exposure.unit) === exposure.arm;
	}

	#hold(held: Held): void {
		this.#waiting++;
		const { version } = held.route;
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
			if (plan !== null) for (const { entry, receivedMs } of all) this.offer(entry, receivedMs);
			else {
				this.options.log.error("access-log entries cannot be read: their plan is unknown", { plan: version });
				this.#lose("unreadable", all.length);
			}
		});
	}

	#count(result: string, by = 1): void {
		this.options.meter.count(COUNTERS.entries.name, COUNTERS.entries.help, { result }, by);
	}

	#lose(loss: Loss, entries = 1): void {
		this.#losses[loss] += entries;
		this.#count(loss, entries);
		this.#schedule();
	}

	/** Commits what is queued now; what comes meanwhile waits, so that a caller's flush ends under any load. */
	async #commitAll(): Promise<void> {
		const { meter, store, log } = this.options;
		let left = this.#rows.length;
		do {
			const rows = this.#rows.splice(0, Math.min(left, ACCESS_LOG_COMMIT_ROWS));
			left -= rows.length;
			// Exposures go with the first rows: a start row is never in the store without its unit.
			const exposures = this.#exposures;
			this.#exposures = [];
			const losses = { ...this.#losses };
			let learnt: Learnt;
			try {
				learnt = await store.entries.transaction((transaction) => this.#commit(transaction, rows, exposures, losses));
			} catch (thrown) {
				this.#rows = rows.concat(this.#rows);
				this.#exposures = exposures.concat(this.#exposures);
				this.#explained.clear();
				this.#failed = true;
				log.error("access-log entries could not be committed", { error: String(thrown) });
				throw thrown;
			}
			this.#waiting -= rows.length;
			this.#dropping = false;
			this.#failed = false;
			this.#losses.dropped -= losses.dropped;
			this.#losses.unreadable -= losses.unreadable;
			for (const exposure of exposures) this.#remember(exposure);
			this.#report(rows.length, learnt);
			meter.gauge(GAUGES.queue.name, GAUGES.queue.help, this.#waiting);
		} while (left > 0);
	}

	async #commit(
		transaction: Transaction,
		rows: readonly RequestRow[],
		exposures: readonly Exposure[],
		losses: Readonly<Record<Loss, number>>,
	): Promise<Learnt> {
		const now = BigInt(this.options.clock());
		await transaction.append("entries", rows, putRow);
		for (const reason of ["dropped", "unreadable"] as const) {
			if (losses[reason] === 0) continue;
			const entries = BigInt(losses[reason]);
			await transaction.run("INSERT INTO losses VALUES ($now, $reason, $entries)", { now, reason, entries });
		}
		if (exposures.length === 0) return { added: [], conflicts: [] };
		await transaction.run("CREATE OR REPLACE TEMP TABLE candidates AS FROM units LIMIT 0");
		await transaction.appendFresh("candidates", exposures, putExposure);
		const added = await transaction.rows(
			`INSERT INTO units SELECT experiment, unit, arg_min(arm, first_ms), arg_min(plan, first_ms), min(first_ms),
				min(received_ms) FROM candidates ANTI JOIN units USING (experiment, unit) GROUP BY experiment, unit
			RETURNING experiment, arm`,
		);
		const conflicts = await transaction.rows(
			`INSERT INTO conflicts SELECT DISTINCT c.experiment, c.unit, $now
			FROM candidates c JOIN units u USING (experiment, unit) ANTI JOIN conflicts k USING (experiment, unit)
			WHERE c.arm <> u.arm RETURNING experiment`,
			{ now },
		);
		await this.#explain(transaction, exposures);
		return { added, conflicts };
	}

	#report(stored: number, { added, conflicts }: Learnt): void {
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

	/** Keeps the live points of every plan under which units were exposed. */
	async #explain(transaction: Transaction, exposures: readonly Exposure[]): Promise<void> {
		for (const { plan, experiment, livePoints } of exposures) {
			const key = `${plan}|${experiment}`;
			if (this.#explained.has(key)) continue;
			for (const [arm, points] of Object.entries(livePoints)) {
				await transaction.run(
					`INSERT INTO live_points SELECT $plan, $experiment, $arm, $points::INTEGER WHERE NOT EXISTS (
						FROM live_points WHERE plan = $plan AND experiment = $experiment AND arm = $arm)`,
					{ plan, experiment, arm, points },
				);
			}
			this.#explained.add(key);
		}
	}

	#remember({ experiment, unit, arm }: Exposure): void {
		let known = this.#exposed.get(experiment);
		if (known === undefined) {
			known = new Generations(UNIT_CACHE_MAX);
			this.#exposed.set(experiment, known);
		}
		// A unit in conflict stays known by its first arm; by any other it goes to the store, which knows it already.
		if (known.get(unit) === undefined) known.set(unit, arm);
	}
}
