/** What was seen once and must not be seen again, for as long as it would hold. By generations: nothing is swept. */
import { REPLAYS_MAX } from "../../limits/index.js";

interface Generation {
	/** Which part of all time it is of. */
	readonly part: number;
	readonly ids: Set<string>;
}

/** An id is kept for this many parts of its time, and for one more at most. */
const PARTS = 3;

/** "unanswered": who remembers was asked, and does not say. */
export type Taken = "first" | "again" | "full" | "unanswered";

/** Where used proofs are remembered: here, or where others who are shown the same ones ask too. */
export interface ProofMemory {
	/** As Replays.take. Never throws or rejects. */
	take(id: string, monotonicMs: number): Taken | Promise<Taken>;
}

export class Replays implements ProofMemory {
	/** The youngest is first. */
	#generations: readonly Generation[] = [];

	/** @param keptMs each id is kept for at least so long, and at most for a third longer */
	constructor(
		private readonly keptMs: number,
		private readonly max: number = REPLAYS_MAX,
	) {}

	/** "first": it may be taken, and is remembered. "full": nothing more can be remembered, so nothing may be taken. */
	take(id: string, monotonicMs: number): Exclude<Taken, "unanswered"> {
		const youngest = this.#turned(monotonicMs);
		if (this.#generations.some(({ ids }) => ids.has(id))) return "again";
		if (this.#generations.reduce((count, { ids }) => count + ids.size, 0) >= this.max) return "full";
		youngest.ids.add(id);
		return "first";
	}

	/** What was taken may be taken once more: nothing came of it. */
	giveBack(id: string): void {
		for (const { ids } of this.#generations) ids.delete(id);
	}

	/** The generation that is filled now; those whose time is over are gone. */
	#turned(monotonicMs: number): Generation {
		const part = Math.floor(monotonicMs / (this.keptMs / PARTS));
		const [youngest] = this.#generations;
		if (youngest !== undefined && youngest.part >= part) return youngest;
		const fresh: Generation = { part, ids: new Set() };
		this.#generations = [fresh, ...this.#generations.filter((one) => part - one.part <= PARTS)];
		return fresh;
	}
}
