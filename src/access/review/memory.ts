/**
 * What is worked out of rules while they are compared, once for each: for one change, and not for longer, or what is told would depend
 * on what was asked before.
 */

/** What is worked out of a thing; the same function each time, for it is known by it. */
export type Make<Of extends object, Made> = (of: Of) => Made;

/** V8 makes the hash of no longer text (String::kMaxHashCalcLength is 16,383). */
const PIECE_CHARS = 16_000;

export class Memory {
	readonly #made = new Map<unknown, WeakMap<object, unknown>>();
	readonly #numberOf = new WeakMap<object, number>();
	readonly #numbers = new Map<string, number>();

	once<Of extends object, Made>(of: Of, make: Make<Of, Made>): Made {
		const known = this.#madeBy(make);
		if (!known.has(of)) known.set(of, make(of));
		return known.get(of) as Made;
	}

	has(of: object, make: unknown): boolean {
		return this.#madeBy(make).has(of);
	}

	/** The same number for what has the same text, and for nothing else. */
	numberOf<Of extends object>(of: Of, text: Make<Of, string>): number {
		const known = this.#numberOf.get(of) ?? this.#count(text(of));
		this.#numberOf.set(of, known);
		return known;
	}

	/** Piece by piece, each with what the text before it has: V8 tells longer ones apart by their length alone, until it compares them. */
	#count(text: string): number {
		let number = 0;
		for (let from = 0; from < text.length; from += PIECE_CHARS) {
			const piece = `${number} ${text.slice(from, from + PIECE_CHARS)}`;
			number = this.#numbers.get(piece) ?? this.#numbers.size + 1;
			this.#numbers.set(piece, number);
		}
		return number;
	}

	#madeBy(make: unknown): WeakMap<object, unknown> {
		const known = this.#made.get(make) ?? new WeakMap<object, unknown>();
		this.#made.set(make, known);
		return known;
	}
}
