/** Lost entries, counted until the counts are stored. */

/** Why an entry was lost; `undelivered`: Envoy dropped it. */
export const LOSSES = ["dropped", "unreadable", "undelivered"] as const;
export type Loss = (typeof LOSSES)[number];

export interface Lost {
	readonly entries: Readonly<Record<Loss, number>>;
	/** Start of the period in which Envoy may have dropped entries; null = it dropped none. */
	readonly undeliveredSinceMs: number | null;
}

export class Losses {
	#entries: Record<Loss, number> = { dropped: 0, unreadable: 0, undelivered: 0 };
	#undeliveredSinceMs: number | null = null;

	/** @param sinceMs of undelivered entries: they were dropped at an unknown time after that */
	add(loss: Loss, entries: number, sinceMs: number | null = null): void {
		this.#entries[loss] += entries;
		this.#undeliveredSinceMs ??= sinceMs;
	}

	get any(): boolean {
		return LOSSES.some((loss) => this.#entries[loss] > 0);
	}

	/** All losses so far, to be stored. */
	take(): Lost {
		const lost = { entries: this.#entries, undeliveredSinceMs: this.#undeliveredSinceMs };
		this.#entries = { dropped: 0, unreadable: 0, undelivered: 0 };
		this.#undeliveredSinceMs = null;
		return lost;
	}

	/** Puts back losses that could not be stored. */
	giveBack({ entries, undeliveredSinceMs }: Lost): void {
		for (const loss of LOSSES) this.#entries[loss] += entries[loss];
		this.#undeliveredSinceMs = undeliveredSinceMs ?? this.#undeliveredSinceMs;
	}
}
