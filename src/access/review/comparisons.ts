/** How much of rules is compared with rules at once: control compares them on the loop that serves everybody. */
import { RULE_COMPARISONS_MAX } from "../../limits.js";

/** To look one entry of a list up takes as long as so many pairs. */
const PER_ENTRY = 8;

/** So much has room in any case, where one rule is compared with its former self alone. */
const OWN_PAIRS = 1_000;

/** What may still be compared, in pairs of path templates: for one change as a whole. */
export class Room {
	/** Something was not compared for want of it, since `begin`. */
	ranOut = false;
	#own = 0;

	constructor(private left = RULE_COMPARISONS_MAX) {}

	/** @param own of one rule with its former self: what is small has room after all that is large */
	begin(own: boolean): void {
		this.ranOut = false;
		this.#own = own ? OWN_PAIRS : 0;
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
}

/** Who waits for the answer alone, as a command does, waits as long as it takes. */
export const unbounded = (): Room => new Room(Number.POSITIVE_INFINITY);
