/** What was seen once and must not be seen again, for as long as it would hold. By generations: nothing is swept. */
import { REPLAYS_MAX } from "../limits.js";
import { Shares } from "./shares.js";

interface Generation {
	/** Which part of all time it is of. */
	readonly part: number;
	readonly ids: Set<string>;
	/** How many each owner has in it. */
	readonly owners: Map<string, number>;
}

/** An id is kept for this many parts of its time, and for one more at most. */
const PARTS = 3;

/** "unanswered": who remembers was asked, and does not say. */
export type Taken = "first" | "again" | "full" | "unanswered";

/** Where used proofs are remembered: here, or where others who are shown the same ones ask too. */
export interface ProofMemory {
	/** As Replays.take. Never throws or rejects. */
	take(id: string, owner: string, monotonicMs: number): Taken | Promise<Taken>;
}

export class Replays implements ProofMemory {
	/** The youngest is first. */
	#generations: readonly Generation[] = [];
	readonly #shares: Shares;

	/** @param keptMs each id is kept for at least so long, and at most for a third longer */
	constructor(
		private readonly keptMs: number,
		max: number = REPLAYS_MAX,
	) {
		this.#shares = new Shares(max);
	}

	/**
	 * "first": it may be taken, and is remembered. "full": nothing more of this owner can be remembered, so nothing may
	 * be taken.
	 * @param owner who makes the ids, and is verified: none of them can fill the memory
	 */
	take(id: string, owner: string, monotonicMs: number): Exclude<Taken, "unanswered"> {
		const youngest = this.#turned(monotonicMs);
		if (this.#generations.some(({ ids }) => ids.has(id))) return "again";
		if (!this.#shares.take(owner)) return "full";
		youngest.ids.add(id);
		youngest.owners.set(owner, (youngest.owners.get(owner) ?? 0) + 1);
		return "first";
	}

	/** What was taken may be taken once more: nothing came of it. */
	giveBack(id: string, owner: string): void {
		const generation = this.#generations.find(({ ids }) => ids.has(id));
		if (generation === undefined) return;
		generation.ids.delete(id);
		generation.owners.set(owner, (generation.owners.get(owner) ?? 1) - 1);
		this.#shares.release(owner);
	}

	/** The generation that is filled now; those whose time is over are gone. */
	#turned(monotonicMs: number): Generation {
		const part = Math.floor(monotonicMs / (this.keptMs / PARTS));
		const [youngest] = this.#generations;
		if (youngest !== undefined && youngest.part >= part) return youngest;
		const kept = this.#generations.filter((one) => part - one.part <= PARTS);
		for (const { owners } of this.#generations.slice(kept.length)) {
			for (const [owner, places] of owners) this.#shares.release(owner, places);
		}
		const fresh: Generation = { part, ids: new Set(), owners: new Map() };
		this.#generations = [fresh, ...kept];
		return fresh;
	}
}
