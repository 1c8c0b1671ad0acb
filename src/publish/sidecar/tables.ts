/** The tables that the sidecar answers by: the newest, and a few before it while routes may still name them. */
import type { PlanTable, ServiceTable } from "../../compile/table/plan.js";
import { CALLOUT_TABLES_KEPT } from "../../limits/index.js";
import { type Clock, type Moment, momentOf, passedMs, SYSTEM_CLOCK } from "./clock.js";

/** A table as it is given: by control, or from a file. */
export interface VersionedTable {
	/** contentHash(JSON.stringify(table)), as Plan.version. */
	readonly version: string;
	/** Without the Services that are closed. */
	readonly table: PlanTable;
	/** Services of it that cannot be executed here, and deny everything; left out = none. */
	readonly closed?: readonly ClosedService[];
}

export type ClosableService = Pick<ServiceTable, "name" | "hosts" | "defaultVariant">;

export interface ClosedService extends ClosableService {
	/** In words, with the place in the table. */
	readonly why: string;
}

/** How old what the sidecar knows may be. */
export interface Freshness {
	/** Milliseconds since control last confirmed the newest table; 0 where it is confirmed now, or needs no control. */
	ageMs(): number;
}

/** One line for the operator; fields are scalars without units, tokens or header values. */
export interface TableLog {
	info(message: string, fields?: Readonly<Record<string, string | number>>): void;
	warn(message: string, fields?: Readonly<Record<string, string | number>>): void;
}

export interface TablesOptions<Compiled> {
	/** Makes a table answerable. What it throws refuses the table. */
	readonly compile: (table: VersionedTable) => Compiled;
	/** What requests would wait for after the table comes into force, done before it, between them. */
	readonly prepare?: (table: VersionedTable) => Promise<void>;
	readonly kept?: number;
	readonly clock?: Clock;
}

/** When the age was last known, and what it was. */
interface KnownAge extends Moment {
	readonly ageMs: number;
}

/** Removes what is kept of another version, runs `swap`, and then keeps the newest. */
type Swapping = (version: string, swap: () => void) => Promise<void>;

export class Tables<Compiled> implements Freshness {
	readonly #compile: TablesOptions<Compiled>["compile"];
	readonly #kept: number;
	readonly #clock: Clock;
	readonly #prepare: NonNullable<TablesOptions<Compiled>["prepare"]>;
	/** The last of those that wait. */
	#wanted: VersionedTable | null = null;
	#swapping: Swapping = async (_, swap) => swap();
	/** Ends when what was given before is in force. */
	#turn: Promise<unknown> = Promise.resolve();
	readonly #takes = new Set<Promise<void>>();
	/** By version, the newest last. */
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
		// Nothing has been confirmed yet, so nothing is fresh.
		this.#knownAge = this.#from(Number.POSITIVE_INFINITY);
	}

	/** As it was given; null before the first one. */
	get newest(): VersionedTable | null {
		return this.#newest?.given ?? null;
	}

	get confirmed(): boolean {
		return this.#knownAge === null;
	}

	/**
	 * @param version null = the newest
	 * @returns null where that version is not held (any more), or there is no table at all
	 */
	get(version: string | null): Compiled | null {
		return (version === null ? this.#newest?.compiled : this.#held.get(version)) ?? null;
	}

	/**
	 * Makes a table the newest, in one step. It says nothing about its age: confirm() or setAge() do.
	 * @throws what `compile` throws; then all stays as it was.
	 */
	put(given: VersionedTable): void {
		const { version } = given;
		// Content-derived: the same version is the same table, such as after a ramp that was taken back.
		const compiled = this.#held.get(version) ?? this.#compile(given);
		this.#held.delete(version);
		this.#held.set(version, compiled);
		this.#newest = { given, compiled };
		for (const old of this.#held.keys()) {
			if (this.#held.size <= this.#kept) break;
			this.#held.delete(old);
		}
		this.#tell();
	}

	/** Some table that take() was given is not in force yet. */
	get taking(): boolean {
		return this.#takes.size > 0;
	}

	/** Ends when all that take() was given is in force, or has been refused. */
	async settled(): Promise<void> {
		while (this.taking) await Promise.allSettled(this.#takes);
	}

	/**
	 * The same as put(), when it is prepared: until then the one before answers. One after the other, so that each comes into
	 * force however many follow; of those that wait only the newest does. The first is put at once, and prepared beside.
	 * @param inForce called in the step in which it comes into force; never, where a newer one was given before
	 */
	take(given: VersionedTable, inForce: () => void = () => {}): Promise<void> {
		const swap = (): Promise<void> =>
			this.#swapping(given.version, () => {
				this.put(given);
				inForce();
			});
		let brought: Promise<void>;
		if (this.#newest === null && !this.taking) {
			brought = swap();
			this.#turn = brought.then(() => this.#prepare(given)).catch(() => {});
		} else {
			this.#wanted = given;
			brought = this.#turn.then(async () => {
				if (this.#wanted !== given) return;
				await this.#prepare(given);
				await swap();
			});
			this.#turn = brought.catch(() => {});
		}
		const taken = brought.finally(() => this.#takes.delete(taken));
		this.#takes.add(taken);
		return taken;
	}

	/** Control says that the newest table is the one to serve, and goes on saying so until lapse() or setAge(). */
	confirm(): void {
		if (this.#knownAge === null) return;
		this.#knownAge = null;
		this.#tell();
	}

	/** Nobody confirms the newest table any more: from now on it grows older. Does nothing where it already does. */
	lapse(): void {
		if (this.#knownAge === null) this.setAge(0);
	}

	/** The same, where it was certainly not confirmed for so long: that it has lapsed may have been noticed late. */
	atLeast(ageMs: number): void {
		this.setAge(Math.max(ageMs, this.ageMs()));
	}

	/** The newest table was confirmed so long ago, and grows older: for one from a file, or known to another process. */
	setAge(ageMs: number): void {
		this.#knownAge = this.#from(ageMs);
		this.#tell();
	}

	/** Never less than has passed by either clock. */
	ageMs(): number {
		const known = this.#knownAge;
		return known === null ? 0 : known.ageMs + passedMs(known, momentOf(this.#clock));
	}

	/** Called after each put(), confirm(), lapse(), atLeast() and setAge() that changed something. @returns stops it. */
	onChange(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	/** What keeps the newest table on disk is called before another version is answered by. */
	onSwap(swapping: Swapping): void {
		this.#swapping = swapping;
	}

	#from(ageMs: number): KnownAge {
		return { ageMs, ...momentOf(this.#clock) };
	}

	#tell(): void {
		for (const listener of this.#listeners) listener();
	}
}
