/** The primary's tables on their way to its workers, and how far each worker is. */
import type { VersionedTable } from "../../sidecar/tables.js";
import { machineMs, type ToWorker } from "./message.js";

type Handed = Extract<ToWorker, { readonly kind: "table" }>;

/** How far a worker is. */
interface Standing {
	/** The order of the table that it has in force; 0 = none that was handed on. */
	inForce: number;
	/** The order of the last that it was told; 0 = none. */
	told: number;
	/** It has not answered to that yet. */
	owes: boolean;
	/** By machineMs(), since when a newer one waits for that answer; null = none does. */
	waitsSinceMs: number | null;
}

export class Handover {
	/** Of those that were greeted. */
	readonly #workers = new Map<number, Standing>();
	readonly #handed = new WeakMap<VersionedTable, Handed>();
	readonly #waits = new Set<() => void>();
	#order = 0;
	/** The one that the primary serves, and those that came after it, without what was refused. */
	#given: readonly Handed[] = [];
	/** The table that the primary serves, as the feed understands it. */
	#settled: Handed | null = null;
	/** The order of the last that a worker cannot answer by. */
	#refused = 0;

	/** @param send to one worker that has been greeted */
	constructor(private readonly send: (worker: number, message: ToWorker) => void) {}

	/**
	 * What a new worker is told first. It answers by that at once, as it has nothing to answer by meanwhile, and is waited for
	 * from now on: what is given while it starts would else be acknowledged without it.
	 */
	greet(worker: number): readonly ToWorker[] {
		const last = this.#last;
		this.#workers.set(worker, { inForce: 0, told: last?.order ?? 0, owes: last !== null, waitsSinceMs: null });
		return last === null ? [] : [last];
	}

	/** Hands a table on at once: a worker that hangs keeps it from no other. */
	give(given: VersionedTable): void {
		const handed: Handed = { kind: "table", order: ++this.#order, given, givenAtMs: machineMs() };
		this.#handed.set(given, handed);
		this.#given = [...this.#given, handed];
		for (const [worker, standing] of this.#workers) this.#tell(worker, standing);
	}

	report(worker: number, order: number): void {
		const standing = this.#workers.get(worker);
		// The last words of one that is gone.
		if (standing === undefined) return;
		standing.inForce = order;
		standing.owes = order < standing.told;
		this.#tell(worker, standing);
		this.#look();
	}

	/** No worker can answer by the table of that order: a new one begins by the one before. */
	refuse(worker: number, order: number): void {
		this.#refused = Math.max(this.#refused, order);
		this.#given = this.#given.filter((one) => one.order !== order || one === this.#settled);
		const standing = this.#workers.get(worker);
		if (standing !== undefined) {
			standing.owes = order < standing.told;
			// The one before may have been left out, as this one was newer.
			if ((this.#last?.order ?? 0) < order) standing.told = Math.min(standing.told, standing.inForce);
			this.#tell(worker, standing);
		}
		this.#look();
	}

	/** It is gone, and waited for no more. */
	leave(worker: number): void {
		this.#workers.delete(worker);
		this.#look();
	}

	/**
	 * Waits until every worker has the table in force, or one that was given after it; where there is none, for one.
	 * @param waitMs how long at most, from when this table itself was given: a worker that stood still for less has not missed its acknowledgement
	 * @returns how many workers have not
	 * @throws Error where one has refused it
	 */
	async settle(given: VersionedTable, waitMs: number): Promise<number> {
		const handed = this.#handed.get(given);
		const order = handed?.order ?? 0;
		const behind = (): number =>
			this.#workers.size === 0 ? 1 : [...this.#workers.values()].filter(({ inForce }) => inForce < order).length;
		const isOver = (): boolean => behind() === 0 || this.#refused === order;
		if (!isOver()) {
			await new Promise<void>((resolve) => {
				const end = (): void => {
					clearTimeout(timer);
					this.#waits.delete(look);
					resolve();
				};
				const look = (): void => {
					if (isOver()) end();
				};
				const timer = setTimeout(end, Math.max(0, (handed?.givenAtMs ?? 0) + waitMs - machineMs()));
				this.#waits.add(look);
			});
		}
		if (this.#refused === order) throw new Error("a worker cannot compile the table");
		this.#settled = handed ?? null;
		this.#given = this.#given.filter((one) => one.order >= order);
		return behind();
	}

	/** Whether the worker answers by the table that the primary serves, or a newer one: its age is that table's. */
	isServed(worker: number): boolean {
		return this.#settled !== null && (this.#workers.get(worker)?.inForce ?? 0) >= this.#settled.order;
	}

	get #last(): Handed | null {
		return this.#given.at(-1) ?? null;
	}

	/**
	 * Tells the newest to who has not been told. One that owes an answer gets it after that: tables that a worker which hangs
	 * does not read would fill the primary's memory. What it did not get meanwhile may have denied something, and the newest
	 * owes that no later.
	 */
	#tell(worker: number, standing: Standing): void {
		const last = this.#last;
		if (last === null || last.order <= standing.told) {
			standing.waitsSinceMs = null;
		} else if (standing.owes) {
			standing.waitsSinceMs ??= last.givenAtMs;
		} else {
			this.send(worker, { ...last, givenAtMs: standing.waitsSinceMs ?? last.givenAtMs });
			standing.told = last.order;
			standing.owes = true;
			standing.waitsSinceMs = null;
		}
	}

	#look(): void {
		for (const look of this.#waits) look();
	}
}
