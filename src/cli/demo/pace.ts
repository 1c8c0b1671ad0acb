/**
 * How many people come: as many as are meant to, or as many as this machine serves without making them wait. A crowd
 * beyond that would show the machine's queue, and no experiment.
 */

/** What comes first, while everything is cold; a queue then is no sign of a slow machine. */
const FIRST_SHARE = 0.25;
const COLD_SECONDS = 5;
const LEAST_SHARE = 0.1;
/** A second's 90th percentile: below, more people may come; above, the machine has too many. */
const EASY_MS = 25;
const TOO_MANY_MS = 50;
/** One second's stall (a collection, a compilation) does not predict the next. */
const TOO_MANY_SECONDS = 2;
const STEADY_SECONDS = 4;
const UP = 1.5;
const DOWN = 0.7;
/** Once too many have come, the way up is slower. */
const UP_AGAIN = 1.1;
/** What a machine at its limit keeps for the experiments themselves. */
const RESERVE = 0.8;

export class Pace {
	#share = FIRST_SHARE;
	#ceiling = 1;
	#up = UP;
	#tooMany = 0;
	#steady = 0;
	#settled = false;
	#seconds = 0;

	/** The share of the people meant to come, within 0.1 to 1. */
	get share(): number {
		return this.#share;
	}

	/** `steady`: seconds have passed without a reason to admit more or fewer people. `settled`: see settle(). */
	get stage(): "warming" | "steady" | "settled" {
		if (this.#settled) return "settled";
		return this.#stands ? "steady" : "warming";
	}

	get #stands(): boolean {
		return this.#steady >= STEADY_SECONDS;
	}

	/**
	 * A second has passed.
	 * @param p90Ms 90th percentile of the answers that took no longer than the machine made them take
	 */
	second(p90Ms: number): void {
		this.#seconds++;
		const isQueue = p90Ms > TOO_MANY_MS;
		const isCold = this.#seconds <= COLD_SECONDS;
		this.#tooMany = isQueue && !isCold ? this.#tooMany + 1 : 0;
		this.#steady = isQueue ? 0 : this.#steady + 1;
		if (this.#tooMany >= TOO_MANY_SECONDS) {
			this.#up = UP_AGAIN;
			this.#move(this.#share * DOWN);
		} else if (p90Ms < EASY_MS && this.#share < this.#ceiling && (!this.#settled || this.#stands)) {
			this.#move(Math.min(this.#ceiling, this.#share * this.#up));
		}
	}

	/**
	 * The experiments begin: something is kept for them where the machine's limit was met. What
	 * is measured from now on shall not move, so no more people come than now.
	 */
	settle(): void {
		this.#settled = true;
		if (this.#up === UP_AGAIN) this.#move(this.#share * RESERVE);
		this.#ceiling = this.#share;
	}

	#move(share: number): void {
		this.#share = Math.max(LEAST_SHARE, share);
		this.#tooMany = 0;
		this.#steady = 0;
	}
}
