/** The primary's tables on their way to its workers, and how far each worker is. */
import type { VersionedTable } from "../../sidecar/tables.js";
import { machineMs, type ToWorker } from "./message.js";

type Handed = Extract<ToWorker, { readonly kind: "table" }>;

export class Handover {
	/** Of workers that listen: the order of the table that each has in force; 0 = none that was handed on. */
	readonly #inForce = new Map<number, number>();
	readonly #handed = new WeakMap<VersionedTable, Handed>();
	readonly #waits = new Set<() => void>();
	#order = 0;
	#last: Handed | null = null;
	/** The table that the primary serves, as the feed understands it. */
	#settled: Handed | null = null;
	/** The order of the last that a worker cannot answer by. */
	#refused = 0;

	/** @param broadcast tells all workers that have been greeted */
	constructor(private readonly broadcast: (message: ToWorker) => void) {}

	/** What a new worker is told first. It answers by that at once: it has nothing to answer by meanwhile. */
	get greeting(): readonly ToWorker[] {
		return this.#last === null ? [] : [this.#last];
	}

	/** Hands a table on at once: a worker that hangs keeps it from no other. */
	give(given: VersionedTable): void {
		const order = ++this.#order;
		this.#last = { kind: "table", order, given, givenAtMs: machineMs() };
		this.#handed.set(given, this.#last);
		this.broadcast(this.#last);
	}

	/** It listens, and is waited for from now on. */
	join(worker: number): void {
		this.#inForce.set(worker, 0);
	}

	report(worker: number, order: number): void {
		this.#inForce.set(worker, order);
		this.#look();
	}

	/** No worker can answer by the table of that order: a new one begins by the one before. */
	refuse(order: number): void {
		this.#refused = Math.max(this.#refused, order);
		if (this.#last?.order === order) this.#last = this.#settled;
		this.#look();
	}

	/** It is gone, and waited for no more. */
	leave(worker: number): void {
		this.#inForce.delete(worker);
		this.#look();
	}

	/**
	 * Waits until every worker that listens has the table in force, or one that was given after it; where none listens, for one.
	 * @param endMs by performance.now(): when it waits no longer
	 * @returns how many workers have not
	 * @throws Error where one has refused it
	 */
	async settle(given: VersionedTable, endMs: number): Promise<number> {
		const handed = this.#handed.get(given);
		const order = handed?.order ?? 0;
		const behind = (): number =>
			this.#inForce.size === 0 ? 1 : [...this.#inForce.values()].filter((one) => one < order).length;
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
				const timer = setTimeout(end, Math.max(0, endMs - performance.now()));
				this.#waits.add(look);
			});
		}
		if (this.#refused === order) throw new Error("a worker cannot compile the table");
		this.#settled = handed ?? null;
		return behind();
	}

	/** Whether the worker answers by the table that the primary serves, or a newer one: its age is that table's. */
	isServed(worker: number): boolean {
		return this.#settled !== null && (this.#inForce.get(worker) ?? 0) >= this.#settled.order;
	}

	#look(): void {
		for (const look of this.#waits) look();
	}
}
