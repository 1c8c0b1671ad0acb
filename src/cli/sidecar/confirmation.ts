/**
 * Whether the process that control's tables come to still knows which is the newest. When it stood still (stopped, suspended, starved),
 * calls wait for it beside what control has said since, which may deny them, and nothing in them says so: it asks control anew before it
 * answers, as one that starts does, and until that is in force here. Only a control that says nothing at all is away, or begins to again
 * and again (TableFeed.silentMs): then the last table stays, as old as it is.
 */
import { SIDECAR_STOOD_STILL_MS, TABLE_CONTROL_FIRST_MS } from "../../limits.js";
import { type Clock, SYSTEM_CLOCK } from "../../sidecar/clock.js";
import type { TableFeed } from "../../sidecar/tableFeed.js";
import type { Freshness, TableLog, Tables } from "../../sidecar/tables.js";
import { Lateness, TURN_EVERY_MS } from "./lateness.js";

export interface ConfirmationOptions {
	readonly log: TableLog;
	readonly clock?: Clock;
}

/** Who is asked, and confirms the tables. */
export type Asked = Pick<TableFeed<unknown>, "askAnew" | "silentMs">;

export class Confirmation implements Freshness {
	/** null = control is not followed: nobody says anything that could lie there. */
	#followed: { readonly lateness: Lateness; readonly asked: Asked } | null = null;
	#turns: NodeJS.Timeout | null = null;
	/** While it is asked: for how long of control's silence the loop has turned. */
	#silentMs = 0;

	constructor(
		private readonly tables: Tables<unknown>,
		private readonly options: ConfirmationOptions,
	) {
		// Before whoever is told of a change asks. What says so was asked after the standstill: what had been asked before it is heard no more.
		tables.onChange(() => {
			if (tables.confirmed) this.#answered();
		});
	}

	follow(asked: Asked): void {
		const { log, clock = SYSTEM_CLOCK } = this.options;
		const onLate = (stoodMs: number): void => {
			log.warn("the process stood still: it answers when control has been asked anew", {
				ms: Math.round(stoodMs),
			});
			asked.askAnew(stoodMs);
		};
		const lateness = new Lateness(this.tables, onLate, clock, SIDECAR_STOOD_STILL_MS);
		this.#followed = { lateness, asked };
		this.#turns = setInterval(() => this.turned(), TURN_EVERY_MS).unref();
	}

	/** To be called every TURN_EVERY_MS. */
	turned(): void {
		if (this.#followed === null) return;
		const { lateness, asked } = this.#followed;
		const sinceMs = lateness.turned();
		if (!lateness.isLate) return;
		// However long the loop took to turn, it reads what has come once in it. What control said between two turns ends its silence, too.
		this.#silentMs = Math.min(this.#silentMs + Math.min(sinceMs, TURN_EVERY_MS), asked.silentMs);
		// Timers come before that, setImmediate after it.
		setImmediate(() => {
			if (Math.min(this.#silentMs, asked.silentMs) >= TABLE_CONTROL_FIRST_MS) this.#answered();
		});
	}

	/** Nobody knows how old the tables are. */
	get isLate(): boolean {
		return this.#followed?.lateness.isLate ?? false;
	}

	ageMs(): number {
		return (this.#followed?.lateness ?? this.tables).ageMs();
	}

	close(): void {
		if (this.#turns !== null) clearInterval(this.#turns);
	}

	#answered(): void {
		this.#followed?.lateness.told(Number.POSITIVE_INFINITY);
	}
}
