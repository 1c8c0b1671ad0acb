/** How much of rules is compared with rules at once: control compares them on the loop that serves everybody. */
import { RULE_COMPARISONS_MAX } from "../../limits.js";

/** To look one entry of a list up takes as long as so many pairs. */
const PER_ENTRY = 8;
/** So much has room in any case, where one rule is compared with its former self. */
const OWN_PAIRS = 1_000;

/** What may still be compared, in pairs of path templates: for one change as a whole. */
export class Room {
	/** Something was not compared for want of it, since `begin`. */
	ranOut = false;
	#own = 0;
	readonly #made = new WeakMap<object, unknown>();

	constructor(private left = RULE_COMPARISONS_MAX) {}

	/** Of what follows it is told by ranOut whether all was compared. */
	begin(): void {
		this.ranOut = false;
	}

	/** Of one rule with its former self: what is small has room after all that is large. */
	alone<Found>(compare: () => Found): Found {
		this.#own = OWN_PAIRS;
		const found = compare();
		this.#own = 0;
		return found;
	}

	/** @returns whether there is room for so many; if not, it stays for what is smaller */
	takePairs(pairs: number): boolean {
		if (pairs <= this.#own) {
			this.#own -= pairs;
			return true;
		}
		if (pairs > this.left) {
			this.ranOut = true;
			return false;
		}
		this.left -= pairs;
		return true;
	}

	/** The same of entries of a list that are looked up. */
	takeEntries(entries: number): boolean {
		return this.takePairs(entries * PER_ENTRY);
	}

	/**
	 * What a list is looked up by, once: a policy is held against many. Not for longer, or what is told would depend on what
	 * was asked before. @param make one thing for each list; null: there is no room for it
	 */
	once<Made>(list: readonly string[], make: () => Made): Made | null {
		if (!this.#made.has(list)) {
			if (!this.takeEntries(list.length)) return null;
			this.#made.set(list, make());
		}
		return this.#made.get(list) as Made;
	}
}

/** Who waits for the answer alone, as a command does, waits as long as it takes. */
export const unbounded = (): Room => new Room(Number.POSITIVE_INFINITY);
