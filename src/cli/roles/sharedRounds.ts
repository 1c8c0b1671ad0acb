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
	#closed = false;

	constructor(options: SharedRoundsOptions<Report>) {
		this.#options = options;
	}

	/** The one that is under way, or one now. */
	now(): Promise<Report | null> {
		this.#underWay ??= this.#begin();
		return this.#underWay;
	}

	/** Another one, when that which is under way has ended; what was told before is told no more. */
	async again(): Promise<void> {
		this.#told = null;
		await this.#underWay?.catch(() => {});
		if (!this.#closed) await this.now();
	}

	/** The one that is under way, or the last one within PROBE_SHARED_MS of its end, or one now; where that takes long, what stood. */
	async recent(): Promise<Report | null> {
		const { holds, late } = this.#options;
		const state = this.#options.state();
		const told = this.#told;
		if (this.#underWay === null && told !== null && performance.now() < told.untilMs && told.state === state)
			return told.report;
		const ended = this.now().then((report) => {
			if (report !== null && holds()) this.#told = { untilMs: performance.now() + PROBE_SHARED_MS, state, report };
			return report;
		});
		const isLate = this.#late;
		return late === undefined || isLate === null ? ended : Promise.race([ended, isLate.then(late.report)]);
	}

	/** Nothing is begun by itself any more. */
	close(): void {
		this.#closed = true;
	}

	#begin(): Promise<Report | null> {
		const { round, late } = this.#options;
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
		});
	}
}
