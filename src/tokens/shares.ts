/**
 * Places that many share, none of whom can take all: an owner may have one more while it holds fewer than are free
 * (Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998). N greedy owners leave 1/(N+1) of all places to others.
 */
export class Shares {
	readonly #held = new Map<string, number>();
	#taken = 0;

	constructor(private readonly max: number) {}

	/** false: the owner has its share, or there is no place. */
	take(owner: string): boolean {
		const held = this.#held.get(owner) ?? 0;
		if (held >= this.max - this.#taken) return false;
		this.#held.set(owner, held + 1);
		this.#taken++;
		return true;
	}

	/** Gives back places that the owner holds. */
	release(owner: string, places = 1): void {
		const held = this.#held.get(owner) ?? 0;
		const given = Math.min(held, places);
		this.#taken -= given;
		if (held === given) this.#held.delete(owner);
		else this.#held.set(owner, held - given);
	}
}
