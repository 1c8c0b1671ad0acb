/**
 * Whether the process that control's tables come to still knows which is the newest. When it stood still (stopped, suspended, starved),
 * calls wait for it beside what control has said since, which may deny them, and nothing in them says so: it asks control anew before it
 * answers, as one that starts does, and for as long. Control that says nothing is away: then the last table stays, as old as it is.
 */
import { SIDECAR_STOOD_STILL_MS, TABLE_CONTROL_FIRST_MS } from "../../limits.js";
import { type Clock, type Freshness, SYSTEM_CLOCK, type TableLog, type Tables } from "../../sidecar/tables.js";
import { Lateness, TURN_EVERY_MS } from "./lateness.js";

export interface ConfirmationOptions {
	readonly log: TableLog;
	readonly clock?: Clock;
	readonly controlFirstMs?: number;
}

export class Confirmation implements Freshness {
	readonly #log: TableLog;
	readonly #clock: TurnClock;
	readonly #controlFirstMs: number;
	/** null = control is not followed: nobody says anything that could lie there. */
	#lateness: Lateness | null = null;
	#turns: NodeJS.Timeout | null = null;
	/** Runs while control is asked. */
	#patience: NodeJS.Timeout | null = null;

	constructor(
		private readonly tables: Tables<unknown>,
		{ log, clock = SYSTEM_CLOCK, controlFirstMs = TABLE_CONTROL_FIRST_MS }: ConfirmationOptions,
	) {
		this.#log = log;
		this.#clock = new TurnClock(clock);
		this.#controlFirstMs = controlFirstMs;
		// Before whoever is told of a change asks.
		tables.onChange(() => {
			if (tables.confirmed) this.#answered();
		});
	}

	/** @param askAnew asks control, which confirms the tables again; until then they are so old at least */
	follow(askAnew: (ageMs: number) => void): void {
		const lateness = new Lateness(
			this.tables,
			(stoodMs) => {
				this.#log.warn("the process stood still: it answers when control has been asked anew", {
					ms: Math.round(stoodMs),
				});
				if (this.#patience !== null) clearTimeout(this.#patience);
				this.#patience = setTimeout(() => this.#answered(), this.#controlFirstMs).unref();
				askAnew(stoodMs);
			},
			() => this.#clock.nowMs(),
			SIDECAR_STOOD_STILL_MS,
		);
		this.#lateness = lateness;
		this.#turns = setInterval(() => this.turned(), TURN_EVERY_MS).unref();
	}

	/** To be called again and again. */
	turned(): void {
		this.#lateness?.turned();
		this.#clock.turned();
	}

	/** Nobody knows how old the tables are. */
	get isLate(): boolean {
		return this.#lateness?.isLate ?? false;
	}

	ageMs(): number {
		return (this.#lateness ?? this.tables).ageMs();
	}

	close(): void {
		for (const timer of [this.#turns, this.#patience]) if (timer !== null) clearTimeout(timer);
	}

	/** What says so was asked after the standstill: what had been asked before it is heard no more. */
	#answered(): void {
		if (this.#patience === null) return;
		clearTimeout(this.#patience);
		this.#patience = null;
		this.#lateness?.told(Number.POSITIVE_INFINITY);
	}
}

/** Milliseconds by whichever clock has gone further since the last turn: the monotonic one stands still in a suspend. */
class TurnClock {
	#wallMs: number;
	#monotonicMs: number;
	#beforeMs = 0;

	constructor(private readonly clock: Clock) {
		this.#wallMs = clock.wallMs();
		this.#monotonicMs = clock.monotonicMs();
	}

	nowMs(): number {
		const wall = this.clock.wallMs() - this.#wallMs;
		return this.#beforeMs + Math.max(0, wall, this.clock.monotonicMs() - this.#monotonicMs);
	}

	turned(): void {
		this.#beforeMs = this.nowMs();
		this.#wallMs = this.clock.wallMs();
		this.#monotonicMs = this.clock.monotonicMs();
	}
}
