/** Replay protection: remembers used ids until they expire. Ids are dropped by generation, without a sweep. */
import { REPLAYS_MAX } from "../../limits/index.js";

interface Generation {
	/** Number of its time slot. */
	readonly slot: number;
	readonly ids: Set<string>;
}

/** Time slots per `keptMs`. An id is kept for this many slots, and for one more at most. */
const SLOTS = 3;

/** "unanswered": a remote memory did not respond. */
export type Taken = "first" | "again" | "full" | "unanswered";

/** Remembers used proofs, in this process or shared by several. */
export interface ProofMemory {
	/** As Replays.take. Never throws or rejects. */
	take(id: string, monotonicMs: number): Taken | Promise<Taken>;
}

export class Replays implements ProofMemory {
	/** Newest first. */
	#generations: readonly Generation[] = [];

	/** @param keptMs how long an id is kept at least; at most a third longer */
	constructor(
		private readonly keptMs: number,
		private readonly max: number = REPLAYS_MAX,
	) {}

	/** "first": not used before; it is remembered now. "full": no more ids can be remembered, so the id must be refused. */
	take(id: string, monotonicMs: number): Exclude<Taken, "unanswered"> {
		const newest = this.#rotate(monotonicMs);
		if (this.#generations.some(({ ids }) => ids.has(id))) return "again";
		if (this.#generations.reduce((count, { ids }) => count + ids.size, 0) >= this.max) return "full";
		newest.ids.add(id);
		return "first";
	}

	/** Forgets the id, so that it can be used again. */
	giveBack(id: string): void {
		for (const { ids } of this.#generations) ids.delete(id);
	}

	/** Starts a generation if a slot began, and drops old ones. @returns the newest */
	#rotate(monotonicMs: number): Generation {
		const slot = Math.floor(monotonicMs / (this.keptMs / SLOTS));
		const [newest] = this.#generations;
		if (newest !== undefined && newest.slot >= slot) return newest;
		const fresh: Generation = { slot, ids: new Set() };
		this.#generations = [fresh, ...this.#generations.filter((one) => slot - one.slot <= SLOTS)];
		return fresh;
	}
}
