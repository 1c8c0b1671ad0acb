/** How much of rules is compared with rules at once: control compares them on the loop that serves everybody. */
import { RULE_LOOKUPS_MAX } from "../../limits.js";
import { type Make, Memory } from "./memory.js";

/** So many are free where a rule is compared with its former self: what is small is, after all that is large. */
export const OWN_LOOKUPS = 250;

/** To look a text up takes the longer the longer it is. */
const CHARS_PER_LOOKUP = 64;

/** Of an entry of a list, or a segment of a path. */
export const lookupsOf = (text: string): number => 1 + Math.floor(text.length / CHARS_PER_LOOKUP);

/** Of all of them. */
export const lookupsOfAll = (texts: readonly string[]): number => texts.reduce((sum, text) => sum + lookupsOf(text), 0);

/** How much may still be looked up, to tell one thing of a change as a whole. */
export class Room {
	#ranOut = false;
	/** Of the change. */
	readonly memory: Memory;

	constructor(
		private left = RULE_LOOKUPS_MAX,
		private readonly around: Room | null = null,
	) {
		this.memory = around?.memory ?? new Memory();
	}

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

	/** What is worked out once, and takes some time. @returns null where there is no room for it */
	onceFor<Of extends object, Made>(of: Of, make: Make<Of, Made>, lookups: (of: Of) => number): Made | null {
		const { memory } = this;
		return memory.has(of, make) || this.take(memory.once(of, lookups)) ? memory.once(of, make) : null;
	}
}

/** Who waits for the answer alone, as a command does, waits as long as it takes. */
export const unbounded = (): Room => new Room(Number.POSITIVE_INFINITY);
