/**
 * Arms of units by Experiment, compact: one open-addressing table of numbers for all Experiments together, with linear
 * probing, because a Map of objects takes 100 to 150 bytes a unit, and millions are known. Of a pseudonym it keeps half, 64
 * bits: that one of three million units is taken for another has a chance below one in a million.
 *
 * Where it is full, one is forgotten for each new one: a hand goes round and takes the first that was not looked up since
 * it came by last (the clock algorithm), so that units that come once do not drive out those that come again.
 */

/** An Experiment of which units are known. */
interface Known {
	readonly name: string;
	/** Scatters units: one person is in several Experiments. */
	readonly salt: number;
	/** Numbers of its pairs, by arm. */
	readonly pairs: Map<string | null, number>;
	units: number;
}

interface Pair {
	readonly experiment: Known;
	readonly arm: string | null;
}

/** A unit's words: two of its pseudonym, the number of its pair (0 = the slot is free) with SEEN, and what the owner keeps. */
const PAIR = 2;
const OWN = 3;
/** It was looked up since the hand came by. */
const SEEN = 0x8000_0000;

const SLOTS_MIN = 1_024;
const LOAD_MAX = 0.75;

export class UnitArms {
	/** Words of a slot. */
	readonly #width: number;
	readonly #experiments = new Map<string, Known>();
	readonly #pairs: (Pair | undefined)[] = [undefined];
	readonly #freePairs: number[] = [];
	#salts = 0;
	#slots = SLOTS_MIN;
	#shift = shiftFor(SLOTS_MIN);
	#words: Uint32Array;
	#size = 0;
	/** The slot that it looks at next. */
	#hand = 0;
	/** Takes a pseudonym apart without making bigints of its halves. */
	readonly #pseudonym = new BigUint64Array(1);
	readonly #halves = new Uint32Array(this.#pseudonym.buffer);

	/**
	 * @param max units of all Experiments together; who is in several counts in each
	 * @param own words of 32 bits that the owner keeps of a unit
	 * @param forgot told the Experiment of each unit that was forgotten for room
	 */
	constructor(
		private readonly max: number,
		own = 0,
		private readonly forgot: (experiment: string) => void = () => undefined,
	) {
		this.#width = OWN + own;
		this.#words = new Uint32Array(this.#slots * this.#width);
	}

	get size(): number {
		return this.#size;
	}

	/** Those of which units are known. */
	get experiments(): readonly string[] {
		return [...this.#experiments.keys()];
	}

	/** @returns where the unit is, until the next `add` or `forget`; -1 = it is not known */
	find(experiment: string, unit: bigint): number {
		const known = this.#experiments.get(experiment);
		if (known === undefined) return -1;
		this.#pseudonym[0] = unit;
		const lo = this.#halves[0] as number;
		const hi = this.#halves[1] as number;
		for (let slot = this.#home(lo, hi, known); ; slot = (slot + 1) & (this.#slots - 1)) {
			const at = slot * this.#width;
			const pair = this.#word(at + PAIR);
			if (pair === 0) return -1;
			if (this.#word(at) !== lo || this.#word(at + 1) !== hi || this.#pairAt(at).experiment !== known) continue;
			if (pair < SEEN) this.#words[at + PAIR] = pair + SEEN;
			return at;
		}
	}

	/** Takes in a unit that is not known; what the owner keeps of it is 0. @returns where it is, as `find` does */
	add(experiment: string, unit: bigint, arm: string | null): number {
		if (this.#size >= this.max) this.#forgetOne();
		if (this.#size >= this.#slots * LOAD_MAX) this.#rebuild(2 * this.#slots);
		const known = this.#known(experiment);
		this.#pseudonym[0] = unit;
		const lo = this.#halves[0] as number;
		const hi = this.#halves[1] as number;
		const at = this.#freeAt(lo, hi, known);
		this.#words.fill(0, at, at + this.#width);
		this.#words[at] = lo;
		this.#words[at + 1] = hi;
		this.#words[at + PAIR] = this.#pairOf(known, arm);
		known.units++;
		this.#size++;
		return at;
	}

	arm(at: number): string | null {
		return this.#pairAt(at).arm;
	}

	setArm(at: number, arm: string | null): void {
		this.#words[at + PAIR] = this.#pairOf(this.#pairAt(at).experiment, arm) + SEEN;
	}

	/** @param index of one of the owner's words */
	own(at: number, index: number): number {
		return this.#word(at + OWN + index);
	}

	/** @param value its lowest 32 bits are kept */
	setOwn(at: number, index: number, value: number): void {
		this.#words[at + OWN + index] = value;
	}

	/** Forgets these Experiments and gives their memory back: some 0.2 s for a full table, and nothing where none is known. */
	forget(experiments: Iterable<string>): void {
		const gone = new Set<Known>();
		let kept = this.#size;
		for (const name of experiments) {
			const known = this.#experiments.get(name);
			if (known === undefined || gone.has(known)) continue;
			gone.add(known);
			kept -= known.units;
		}
		if (gone.size === 0) return;
		this.#rebuild(slotsFor(kept), gone);
		this.#size = kept;
		for (const { name, pairs } of gone) {
			this.#experiments.delete(name);
			for (const pair of pairs.values()) {
				this.#pairs[pair] = undefined;
				this.#freePairs.push(pair);
			}
		}
	}

	#pairAt(at: number): Pair {
		return this.#pairs[this.#word(at + PAIR) & ~SEEN] as Pair;
	}

	#word(index: number): number {
		return this.#words[index] as number;
	}

	#known(name: string): Known {
		let known = this.#experiments.get(name);
		if (known === undefined) {
			known = { name, salt: Math.imul(++this.#salts, 0x9e37_79b1), pairs: new Map(), units: 0 };
			this.#experiments.set(name, known);
		}
		return known;
	}

	#pairOf(experiment: Known, arm: string | null): number {
		let pair = experiment.pairs.get(arm);
		if (pair === undefined) {
			pair = this.#freePairs.pop() ?? this.#pairs.length;
			this.#pairs[pair] = { experiment, arm };
			experiment.pairs.set(arm, pair);
		}
		return pair;
	}

	/**
	 * Where its probing begins. Pseudonyms are keyed hashes, so that nobody can choose units that meet. By the highest bits, so
	 * that a rebuild reads and writes from front to back.
	 */
	#home(lo: number, hi: number, { salt }: Known): number {
		const mixed = Math.imul(lo ^ Math.imul(hi, 0x85eb_ca6b) ^ salt, 0xc2b2_ae35);
		return Math.imul(mixed ^ (mixed >>> 15), 0x27d4_eb2f) >>> this.#shift;
	}

	/** Where a unit is put that is not there. */
	#freeAt(lo: number, hi: number, experiment: Known): number {
		let slot = this.#home(lo, hi, experiment);
		while (this.#word(slot * this.#width + PAIR) !== 0) slot = (slot + 1) & (this.#slots - 1);
		return slot * this.#width;
	}

	/** Moves all but those of the Experiments that are gone into a table of so many slots. */
	#rebuild(slots: number, gone: ReadonlySet<Known> = new Set()): void {
		const former = this.#words;
		this.#slots = slots;
		this.#shift = shiftFor(slots);
		this.#words = new Uint32Array(slots * this.#width);
		this.#hand = 0;
		for (let from = 0; from < former.length; from += this.#width) {
			const pair = former[from + PAIR] as number;
			if (pair === 0) continue;
			const { experiment } = this.#pairs[pair & ~SEEN] as Pair;
			if (gone.has(experiment)) continue;
			const at = this.#freeAt(former[from] as number, former[from + 1] as number, experiment);
			for (let index = 0; index < this.#width; index++) this.#words[at + index] = former[from + index] as number;
		}
	}

	/** Ends, at the latest when the hand comes round: then it has taken everybody's mark. */
	#forgetOne(): void {
		for (; ; this.#hand = (this.#hand + 1) & (this.#slots - 1)) {
			const at = this.#hand * this.#width;
			const pair = this.#word(at + PAIR);
			if (pair === 0) continue;
			if (pair >= SEEN) {
				this.#words[at + PAIR] = pair - SEEN;
				continue;
			}
			const { experiment } = this.#pairAt(at);
			experiment.units--;
			this.#size--;
			this.#vacate(this.#hand);
			this.forgot(experiment.name);
			return;
		}
	}

	/** Whoever was put behind it for want of this slot moves up: no probing may meet a gap before its unit. */
	#vacate(slot: number): void {
		const mask = this.#slots - 1;
		let gap = slot;
		for (let next = (gap + 1) & mask; ; next = (next + 1) & mask) {
			const at = next * this.#width;
			if (this.#word(at + PAIR) === 0) break;
			const home = this.#home(this.#word(at), this.#word(at + 1), this.#pairAt(at).experiment);
			if (((next - home) & mask) < ((next - gap) & mask)) continue;
			this.#words.copyWithin(gap * this.#width, at, at + this.#width);
			gap = next;
		}
		this.#words[gap * this.#width + PAIR] = 0;
	}
}

/** Leaves of 32 bits as many as number the slots. */
const shiftFor = (slots: number): number => Math.clz32(slots) + 1;

/** Fewest, a power of two, in which so many units have room. */
function slotsFor(units: number): number {
	let slots = SLOTS_MIN;
	while (slots * LOAD_MAX < units) slots *= 2;
	return slots;
}
