/** The tables in use: the newest, and a few older ones that routes may still name. */
import type { PlanTable, ServiceTable } from "../../compile/plan/compiledPlan.js";
import { type Clock, type Moment, momentOf, passedMs, SYSTEM_CLOCK } from "./clock.js";

/** Tables that the sidecar holds: the newest, and older ones that Envoy's routes may still name. */
const CALLOUT_TABLES_KEPT = 3;

/** A table from control or from a file. */
export interface VersionedTable {
	/** contentHash(JSON.stringify(table)), as Plan.version. */
	readonly version: string;
	/** Without the Services that are closed. */
	readonly table: PlanTable;
	/** Invalid Services, which deny everything. */
	readonly closed?: readonly ClosedService[];
}

export type ClosableService = Pick<ServiceTable, "name" | "hosts" | "defaultVariant">;

export interface ClosedService extends ClosableService {
	/** The error with its path in the table. */
	readonly why: string;
}

export interface Freshness {
	/** Milliseconds since control last confirmed the newest table; 0 = confirmed now, or no control is needed. */
	ageMs(): number;
}

/** One line for the operator; fields are scalars without units, tokens or header values. */
export interface TableLog {
	info(message: string, fields?: Readonly<Record<string, string | number>>): void;
	warn(message: string, fields?: Readonly<Record<string, string | number>>): void;
}

export interface TablesOptions<Compiled> {
	/** Compiles a table. If it throws, the table is rejected. */
	readonly compile: (table: VersionedTable) => Compiled;
	/** Compiles in advance, so that requests do not wait after the swap. */
	readonly prepare?: (table: VersionedTable) => Promise<void>;
	readonly kept?: number;
	readonly clock?: Clock;
}

/** An age at a moment. */
interface KnownAge extends Moment {
	readonly ageMs: number;
}

/** Removes a saved table of another version, runs `swap`, and saves the newest. */
type Swapping = (version: string, swap: () => void) => Promise<void>;

export class Tables<Compiled> implements Freshness {
	readonly #compile: TablesOptions<Compiled>["compile"];
	readonly #kept: number;
	readonly #clock: Clock;
	readonly #prepare: NonNullable<TablesOptions<Compiled>["prepare"]>;
	/** The newest table in the queue. */
	#wanted: VersionedTable | null = null;
	#swapping: Swapping = async (_, swap) => swap();
	/** Resolves when the previous table is in force. */
	#turn: Promise<unknown> = Promise.resolve();
	readonly #takes = new Set<Promise<void>>();
	/** By version, newest last. */
	readonly #held = new Map<string, Compiled>();
	readonly #listeners = new Set<() => void>();
	#newest: { readonly given: VersionedTable; readonly compiled: Compiled } | null = null;
	/** null = control confirms the newest table now. */
	#knownAge: KnownAge | null;

	constructor({
		compile,
		prepare = async () => {},
		kept = CALLOUT_TABLES_KEPT,
		clock = SYSTEM_CLOCK,
	}: TablesOptions<Compiled>) {
		this.#compile = compile;
		this.#kept = kept;
		this.#prepare = prepare;
		this.#clock = clock;
		this.#knownAge = this.#from(Number.POSITIVE_INFINITY);
	}

	/** null before the first one. */
	get newest(): VersionedTable | null {
		return this.#newest?.given ?? null;
	}

	get confirmed(): boolean {
		return this.#knownAge === null;
	}

	/**
	 * @param version null = the newest
	 * @returns null if that version is not held, or there is no table
	 */
	get(version: string | null): Compiled | null {
		return (version === null ? this.#newest?.compiled : this.#held.get(version)) ?? null;
	}

	/**
	 * Makes a table the newest, without a change of its age: see confirm() and setAge().
	 * @throws errors of `compile`; then nothing changes
	 */
	put(given: VersionedTable): void {
		const { version } = given;
		// A version is a content hash, so an old version that returns (after a rollback) is the same table.
		const compiled = this.#held.get(version) ?? this.#compile(given);
		this.#held.delete(version);
		this.#held.set(version, compiled);
		this.#newest = { given, compiled };
		for (const old of this.#held.keys()) {
			if (this.#held.size <= this.#kept) break;
			this.#held.delete(old);
		}
		this.#notify();
	}

	/** Whether a table of take() is not in force yet. */
	get taking(): boolean {
		return this.#takes.size > 0;
	}

	/** Resolves when all tables of take() are in force or rejected. */
	async settled(): Promise<void> {
		while (this.taking) await Promise.allSettled(this.#takes);
	}

	/**
	 * As put(), after the preparation of the table; until then the previous one is used. One table is prepared at a time, and
	 * only the newest waits. The first table is put at once and prepared later.
	 * @param inForce called synchronously with the swap; never, if a newer table replaced it in the queue
	 */
	take(given: VersionedTable, inForce: () => void = () => {}): Promise<void> {
		const swap = (): Promise<void> =>
			this.#swapping(given.version, () => {
				this.put(given);
				inForce();
			});
		let swapped: Promise<void>;
		if (this.#newest === null && !this.taking) {
			swapped = swap();
			this.#turn = swapped.then(() => this.#prepare(given)).catch(() => {});
		} else {
			this.#wanted = given;
			swapped = this.#turn.then(async () => {
				if (this.#wanted !== given) return;
				await this.#prepare(given);
				await swap();
			});
			this.#turn = swapped.catch(() => {});
		}
		const done = swapped.finally(() => this.#takes.delete(done));
		this.#takes.add(done);
		return done;
	}

	/** Marks the newest table as confirmed by control, until lapse() or setAge(). */
	confirm(): void {
		if (this.#knownAge === null) return;
		this.#knownAge = null;
		this.#notify();
	}

	/** Ends the confirmation: from now on the age increases. */
	lapse(): void {
		if (this.#knownAge === null) this.setAge(0);
	}

	/** As lapse(), with a minimum age, because the lapse may be noticed late. */
	atLeast(ageMs: number): void {
		this.setAge(Math.max(ageMs, this.ageMs()));
	}

	/** Sets the age, which increases from now on: for a table from a file or another process. */
	setAge(ageMs: number): void {
		this.#knownAge = this.#from(ageMs);
		this.#notify();
	}

	/** The maximum by both clocks. */
	ageMs(): number {
		const known = this.#knownAge;
		return known === null ? 0 : known.ageMs + passedMs(known, momentOf(this.#clock));
	}

	/** Called after each put(), confirm(), lapse(), atLeast() and setAge() that changed something. @returns stops it. */
	onChange(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** Sets the function that runs each swap, to remove the saved table before. */
	onSwap(swapping: Swapping): void {
		this.#swapping = swapping;
	}

	#from(ageMs: number): KnownAge {
		return { ageMs, ...momentOf(this.#clock) };
	}

	#notify(): void {
		for (const listener of this.#listeners) listener();
	}
}
