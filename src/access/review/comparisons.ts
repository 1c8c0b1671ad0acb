/** How much of rules is compared with rules at once: control compares them on the loop that serves everybody. */
import { RULE_LOOKUPS_MAX } from "../../limits.js";

/** So many are free where a rule is compared with its former self: what is small is, after all that is large. */
export const OWN_LOOKUPS = 250;

/** To look a text up takes the longer the longer it is. */
const CHARS_PER_LOOKUP = 64;

/** V8 makes the hash of no longer text (String::kMaxHashCalcLength is 16,383). */
const PIECE_CHARS = 16_000;

/** Of an entry of a list, or a segment of a path. */
export const lookupsOf = (text: string): number => 1 + Math.floor(text.length / CHARS_PER_LOOKUP);

/** Of all of them. */
export const lookupsOfAll = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + lookupsOf(text), 0);

/** What is worked out of a thing; the same function each time, for it is known by it. */
type Make<Of extends object, Made> = (of: Of) => Made;

/** How much may still be looked up, to tell one thing of a change as a whole. */
export class Room {
	#ranOut = false;
	readonly #made = new Map<unknown, WeakMap<object, unknown>>();
	readonly #numberOf = new WeakMap<object, number>();
	readonly #numbers = new Map<string, number>();

	constructor(
		private left = RULE_LOOKUPS_MAX,
		private readonly around: Room | null = null,
	) {}

	/** Nothing is left at all, not even for what is small. */
	get isSpent(): boolean {
		return this.left < 1 && (this.around?.isSpent ?? true);
	}

	/** Something was not looked up for want of room. */
	get ranOut(): boolean {
		return this.#ranOut;
	}

	/** For one question: with its own word on whether there was enough. @param own what it has beside the room of all */
	forOne(own = 0): Room {
		return new Room(own, this);
	}

	/** @returns whether there is room for so many; if not, it stays for what is smaller */
	take(lookups: number): boolean {
		if (lookups <= this.left) {
			this.left -= lookups;
			return true;
		}
		if (this.around?.take(lookups)) return true;
		this.#ranOut = true;
		return false;
	}

	/** Works it out once, for it is asked for again and again. Not for longer, or what is told would depend on what was asked before. */
	once<Of extends object, Made>(of: Of, make: Make<Of, Made>): Made {
		if (this.around !== null) return this.around.once(of, make);
		const known = this.#madeBy(make);
		if (!known.has(of)) known.set(of, make(of));
		return known.get(of) as Made;
	}

	/** The same of what takes some time. @returns null where there is no room for it */
	onceFor<Of extends object, Made>(of: Of, make: Make<Of, Made>, lookups: (of: Of) => number): Made | null {
		return this.#isKnown(of, make) || this.take(this.once(of, lookups)) ? this.once(of, make) : null;
	}

	/** The same number for what has the same text, and for nothing else. */
	numberOf<Of extends object>(of: Of, text: Make<Of, string>): number {
		if (this.around !== null) return this.around.numberOf(of, text);
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

	#isKnown(of: object, make: unknown): boolean {
		return this.around === null ? this.#madeBy(make).has(of) : this.around.#isKnown(of, make);
	}

	#madeBy(make: unknown): WeakMap<object, unknown> {
		const known = this.#made.get(make) ?? new WeakMap<object, unknown>();
		this.#made.set(make, known);
		return known;
	}
}

/** Who waits for the answer alone, as a command does, waits as long as it takes. */
export const unbounded = (): Room => new Room(Number.POSITIVE_INFINITY);
