/**
 * After a standstill (a stopped process, a suspended machine, a starved loop) calls wait beside what control has said since, which may
 * deny them. So nothing is answered until control has been asked by a new stream: it has answered, or that stream is down.
 */
import { SIDECAR_STALL_MS } from "../../limits/index.js";
import { type Clock, type Moment, momentOf, passedMs, SYSTEM_CLOCK } from "./clock.js";
import type { Freshness } from "./tables.js";

const TURN_EVERY_MS = 250;

export class Standstill implements Freshness {
	/** When the loop was last seen to turn. */
	#turned: Moment;
	#waits = false;
	readonly #timer: NodeJS.Timeout;

	/** @param ask asks control by a new stream; it is given for how long the loop stood still, in milliseconds */
	constructor(
		private readonly tables: Freshness,
		private readonly ask: (stoodMs: number) => void,
		private readonly clock: Clock = SYSTEM_CLOCK,
	) {
		this.#turned = momentOf(clock);
		this.#timer = setInterval(() => this.turned(), TURN_EVERY_MS).unref();
	}

	/** The loop turns. */
	turned(): void {
		this.#look();
		this.#turned = momentOf(this.clock);
	}

	/** The stream by which control was asked has answered, or is down. */
	over(): void {
		if (!this.#look()) this.#waits = false;
	}

	/** Infinite until control has answered: nothing that carries a verdict is answered by a table of an unknown age. */
	ageMs(): number {
		this.#look();
		return this.#waits ? Number.POSITIVE_INFINITY : this.tables.ageMs();
	}

	close(): void {
		clearInterval(this.#timer);
	}

	/** In the path of each call too, which may come before any timer. @returns whether a standstill was noticed */
	#look(): boolean {
		const now = momentOf(this.clock);
		const stoodMs = passedMs(this.#turned, now);
		if (stoodMs <= SIDECAR_STALL_MS) return false;
		this.#turned = now;
		this.#waits = true;
		this.ask(stoodMs);
		return true;
	}
}
