/**
 * What the loop knows of whom promotions would shut out. To tell it can take up to a second, and all Experiments share the
 * loop: so it is told once for the same rules, after the look at everybody, and for so long a tick. Who waits the longest is told
 * first, so that nobody waits for ever for others whose rules change all the time.
 * Bounded by the promotions that are ready: what was not asked in a tick is forgotten.
 */
import type { ShutOut } from "./decision.js";
import type { ShutOutQuestion } from "./shutOut.js";

interface Known {
	readonly basis: readonly string[];
	readonly found: ShutOut | null;
}

export class ShutOutAnswers {
	/** By Experiment. */
	readonly #known = new Map<string, Known>();
	readonly #waiting = new Map<string, ShutOutQuestion>();
	readonly #asked = new Set<string>();

	/** null: nobody; undefined: it is told in its turn, and is to be asked again at the next tick. */
	find(experiment: string, question: ShutOutQuestion): ShutOut | null | undefined {
		const { basis } = question;
		if (basis.length === 0) return null;
		this.#asked.add(experiment);
		const known = this.#known.get(experiment);
		if (known === undefined || !isSame(known.basis, basis)) {
			this.#waiting.set(experiment, question);
			return undefined;
		}
		// The texts of now: all answers share them, and those of former ticks can go.
		this.#known.set(experiment, { basis, found: known.found });
		this.#waiting.delete(experiment);
		return known.found;
	}

	/** It could not be asked in this tick, and nothing is forgotten for that. */
	keep(experiment: string): void {
		this.#asked.add(experiment);
	}

	/**
	 * The end of a tick: answers for about so long, one at the least.
	 * @param failed told of each that could not be answered; it is asked again
	 */
	answer(milliseconds: number, failed: (experiment: string, thrown: unknown) => void): void {
		this.#forget();
		const fromMs = performance.now();
		for (const [experiment, { basis, answer }] of this.#waiting) {
			this.#waiting.delete(experiment);
			try {
				this.#known.set(experiment, { basis, found: answer() });
			} catch (thrown) {
				failed(experiment, thrown);
			}
			if (performance.now() - fromMs >= milliseconds) return;
		}
	}

	#forget(): void {
		for (const experiment of this.#known.keys()) if (!this.#asked.has(experiment)) this.#known.delete(experiment);
		for (const experiment of this.#waiting.keys()) if (!this.#asked.has(experiment)) this.#waiting.delete(experiment);
		this.#asked.clear();
	}
}

const isSame = (one: readonly string[], other: readonly string[]): boolean =>
	one.length === other.length && one.every((text, at) => text === other[at]);
