/**
 * A bounded cache in two generations: what was used in the younger one survives when the older is thrown away.
 * Keeps nearly what an LRU keeps, at one map lookup a hit and without reordering: several are asked at each entry.
 */
export class Generations<Key, Value> {
	#young = new Map<Key, Value>();
	#old = new Map<Key, Value>();

	/** Holds between one and two times `size` entries. */
	constructor(private readonly size: number) {}

	get(key: Key): Value | undefined {
		const value = this.#young.get(key);
		if (value !== undefined) return value;
		const older = this.#old.get(key);
		if (older !== undefined) this.set(key, older);
		return older;
	}

	set(key: Key, value: Value): void {
		if (this.#young.size >= this.size) {
			this.#old = this.#young;
			this.#young = new Map();
		}
		this.#young.set(key, value);
	}
}
