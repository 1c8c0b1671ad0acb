/**
 * Rounds of the built-in probe at one Envoy, for all who ask: one at a time, so that askers queue none, and what one came to is
 * told for a while. Of one that takes long it is told what stood.
 */
import { PROBE_SHARED_MS } from "../../limits.js";

export interface SharedRoundsOptions<Report> {
	/** null = no Envoy is there to be asked yet. */
	readonly round: () => Promise<Report | null>;
	/** Whether what the last one came to holds for a while. */
	readonly holds: () => boolean;
	/** Another text where other things are there to be probed. */
	readonly state: () => string;
	/** Told why one that nobody asked for, but again(), could not be made. */
	readonly onFailed?: (error: unknown) => void;
	/** Left out = each is awaited, however long it takes. */
	readonly late?: {
		readonly afterMs: number;
		/** Called when one takes longer. */
		readonly tell: () => void;
		/** Of who asks then. */
		readonly report: () => Report;
	};
}

export class SharedRounds<Report> {
	readonly #options: SharedRoundsOptions<Report>;
	#underWay: Promise<Report | null> | null = null;
	/** Resolves if the one under way takes long. */
	#late: Promise<void> | null = null;
	/** What the last one came to, and what the Envoy had then. */
	#told: { readonly untilMs: number; readonly state: string; readonly report: Report } | null = null;
	/** How many. */
	#begun = 0;
	#endedMs = Number.NEGATIVE_INFINITY;
	/** Another one is due since that which is under way began, or the last one did. */
	#isDue = false;
	/** Of that one. */
	#timer: NodeJS.Timeout | null = null;
	#closed = false;

	constructor(options: SharedRoundsOptions<Report>) {
		this.#options = options;
	}

	/** The one that is under way, or one now. */
	now(): Promise<Report | null> {
		this.#underWay ??= this.#begin();
		return this.#underWay;
	}

	/**
	 * Another one, PROBE_SHARED_MS after the last one's end at the soonest: it is called as often as others please. What was told before,
	 * and what that which is under way comes to, is told no more.
	 */
	again(): void {
		this.#told = null;
		this.#isDue = true;
		this.#wait();
	}

	/** The one that is under way, or the last one within PROBE_SHARED_MS of its end, or one now; where that takes long, what stood. */
	async recent(): Promise<Report | null> {
		const { holds, late } = this.#options;
		const state = this.#options.state();
		const told = this.#told;
		if (this.#underWay === null && told !== null && performance.now() < told.untilMs && told.state === state)
			return told.report;
		const round = this.now();
		const number = this.#begun;
		const ended = round.then((report) => {
			if (report !== null && holds() && number === this.#begun && !this.#isDue)
				this.#told = { untilMs: performance.now() + PROBE_SHARED_MS, state, report };
			return report;
		});
		const isLate = this.#late;
		return late === undefined || isLate === null ? ended : Promise.race([ended, isLate.then(late.report)]);
	}

	/** Nothing is begun by itself any more. */
	close(): void {
		this.#closed = true;
		this.#settle();
	}

	#begin(): Promise<Report | null> {
		const { round, late } = this.#options;
		this.#begun++;
		this.#settle();
		let timer: NodeJS.Timeout | undefined;
		if (late !== undefined) {
			this.#late = new Promise((resolve) => {
				timer = setTimeout(resolve, late.afterMs).unref();
			});
			void this.#late.then(() => this.#closed || late.tell());
		}
		return round().finally(() => {
			clearTimeout(timer);
			this.#underWay = null;
			this.#endedMs = performance.now();
			this.#wait();
		});
	}

	/** Another one is due no more. */
	#settle(): void {
		this.#isDue = false;
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
	}

	#wait(): void {
		if (!this.#isDue || this.#underWay !== null || this.#timer !== null || this.#closed) return;
		const ms = Math.max(0, this.#endedMs + PROBE_SHARED_MS - performance.now());
		this.#timer = setTimeout(() => this.now().catch((error) => this.#options.onFailed?.(error)), ms).unref();
	}
}
