/**
 * Numbers of 32 bits in a row that grows: in blocks, so that growing copies nothing and takes no more than a block ahead. One
 * array that doubles stops everything for as long as it is copied, and is half empty after.
 */

const BLOCK_BITS = 16;
const BLOCK = 1 << BLOCK_BITS;

export class Words {
	readonly #blocks: Uint32Array[] = [];

	/** Makes room for so many; those that are new are 0. */
	grow(length: number): void {
		while (this.#blocks.length * BLOCK < length) this.#blocks.push(new Uint32Array(BLOCK));
	}

	/** @param index below the length that it has grown to */
	at(index: number): number {
		return (this.#blocks[index >>> BLOCK_BITS] as Uint32Array)[index & (BLOCK - 1)] as number;
	}

	/** @param value its lowest 32 bits are kept */
	set(index: number, value: number): void {
		(this.#blocks[index >>> BLOCK_BITS] as Uint32Array)[index & (BLOCK - 1)] = value;
	}
}
