/** Entries that were lost, counted until they are stored. */

/** Why an entry could not be kept; `undelivered`: Envoy dropped it. */
export const LOSSES = ["dropped", "unreadable", "undelivered"] as const;
export type Loss = (typeof LOSSES)[number];

export interface Lost {
	readonly entries: Readonly<Record<Loss, number>>;
	/** Since when Envoy may have dropped the undelivered ones; null = it dropped none. */
	readonly undeliveredSinceMs: number | null;
}

export class Losses {
	#entries: Record<Loss, number> = { dropped: 0, unreadable: 0, undelivered: 0 };
	#undeliveredSinceMs: number | null = null;

	/** @param sinceMs of undelivered ones: nothing is known of when but that it was after that */
	add(loss: Loss, entries: number, sinceMs: number | null = null): void {
		this.#entries[loss] += entries;
		this.#undeliveredSinceMs ??= sinceMs;
	}

	get any(): boolean {
		return LOSSES.some((loss) => this.#entries[loss] > 0);
	}

	/** All so far, to be stored. */
	take(): Lost {
		const lost = { entries: this.#entries, undeliveredSinceMs: this.#undeliveredSinceMs };
		this.#entries = { dropped: 0, unreadable: 0, undelivered: 0 };
		this.#undeliveredSinceMs = null;
		return lost;
	}

	/** They could not be stored. */
	giveBack({ entries, undeliveredSinceMs }: Lost): void {
		for (const loss of LOSSES) this.#entries[loss] += entries[loss];
		this.#undeliveredSinceMs = undeliveredSinceMs ?? this.#undeliveredSinceMs;
	}
}
