/**
 * Arms of units by Experiment, compact: one row of numbers for all Experiments together, because a Map of objects takes 100 to
 * 150 bytes a unit, and millions are known. Of a pseudonym it keeps half, 64 bits: that one of three million units is taken for
 * another has a chance below one in a million.
 *
 * Units stand in the order in which they came, and are found by chains of those whose hash begins alike. Chains are short
 * whoever is forgotten; units that lay in one table by their hash, with a hand that frees it from front to back, would fill what
 * lies ahead of the hand without end. Where there are more units than chains, one chain is divided (linear hashing, Litwin
 * 1980): no unit waits until all of them have moved.
 *
 * Where it is full, one is forgotten for each new one: a hand goes round and takes the first that was not looked up since
 * it came by last, or since it came (the clock algorithm), so that units that come once do not drive out those that come again,
 * and of those that did not the first goes first. Who was looked up has one more round, whenever in the round that was: about
 * those not seen for longest go, not exactly those.
 *
 * Units of an Experiment that is forgotten stay where they are, unknown, until others need their places: to take millions of
 * the others closer together would stop everything for most of a second.
 */
import { Words } from "./words.js";

/** An Experiment of which units are known. */
interface Known {
	readonly name: string;
	/** Scatters units: one person is in several Experiments. */
	readonly salt: number;
	/** Numbers of its pairs, by arm. */
	readonly pairs: Map<string | null, number>;
	/** Places that its units have. */
	units: number;
	/** It is forgotten: what is here of it is room. */
	gone: boolean;
}

interface Pair {
	readonly experiment: Known;
	readonly arm: string | null;
}

/**
 * A unit's words: two of its pseudonym, the number of its pair with SEEN, where the next one of its chain is (see END), and what
 * the owner keeps.
 */
const PAIR = 2;
const NEXT = 3;
const OWN = 4;
/** It was looked up since the hand came by. */
const SEEN = 0x8000_0000;
/** Ends a chain; links are one more than where the unit is. */
const END = 0;

const CHAINS_MIN = 1_024;

export class UnitArms {
	/** Words of a unit. */
	readonly #width: number;
	readonly #experiments = new Map<string, Known>();
	readonly #pairs: (Pair | undefined)[] = [undefined];
	readonly #freePairs: number[] = [];
	#salts = 0;
	#units = new Words();
	#size = 0;
	/** Places of units that are gone, and where it looks next for one. */
	#goneUnits = 0;
	#nextGone = 0;
	/** Where it looks next for one to forget. */
	#hand = 0;
	/** First of each chain. */
	#chains = new Words();
	#chainCount = CHAINS_MIN;
	/** Bits of a hash that number chains, of which the last half may not be there yet. */
	#mask = CHAINS_MIN - 1;
	/** Takes a pseudonym apart without making bigints of its halves. */
	readonly #pseudonym = new BigUint64Array(1);
	readonly #halves = new Uint32Array(this.#pseudonym.buffer);

	/**
	 * @param max units of all Experiments together; who is in several counts in each
	 * @param own words of 32 bits that the owner keeps of a unit, which takes five more
	 * @param forgot told the Experiment of each unit that was forgotten for room
	 */
	constructor(
		private readonly max: number,
		own = 0,
		private readonly forgot: (experiment: string) => void = () => undefined,
	) {
		this.#width = OWN + own;
		this.#chains.grow(CHAINS_MIN);
	}

	get size(): number {
		return this.#size;
	}

	/** Those of which units are known. */
	get experiments(): readonly string[] {
		return [...this.#experiments.keys()];
	}

	/** Units in the longest chain, which is what a look-up passes at most; counts through all of them. */
	get longestChain(): number {
		let longest = 0;
		for (let chain = 0; chain < this.#chainCount; chain++) {
			let length = 0;
			for (let link = this.#chains.at(chain); link !== END; link = this.#units.at(link - 1 + NEXT)) length++;
			longest = Math.max(longest, length);
		}
		return longest;
	}

	/** @returns where the unit is, until the next `add` or `forget`; -1 = it is not known */
	find(experiment: string, unit: bigint): number {
		const known = this.#experiments.get(experiment);
		if (known === undefined) return -1;
		this.#pseudonym[0] = unit;
		const lo = this.#halves[0] as number;
		const hi = this.#halves[1] as number;
		for (let link = this.#chains.at(this.#chainOf(hash(lo, hi, known))); link !== END; ) {
			const at = link - 1;
			link = this.#units.at(at + NEXT);
			if (this.#units.at(at) !== lo || this.#units.at(at + 1) !== hi) continue;
			if (this.#pairAt(at).experiment !== known) continue;
			this.#units.set(at + PAIR, this.#units.at(at + PAIR) | SEEN);
			return at;
		}
		return -1;
	}

	/** Takes in a unit that is not known; what the owner keeps of it is 0. @returns where it is, as `find` does */
	add(experiment: string, unit: bigint, arm: string | null): number {
		// The place of one that is gone may be right before the hand: the mark keeps a newcomer there for a round.
		const mark = this.#goneUnits > 0 ? SEEN : 0;
		const at = this.#place();
		const known = this.#known(experiment);
		this.#pseudonym[0] = unit;
		this.#units.set(at, this.#halves[0] as number);
		this.#units.set(at + 1, this.#halves[1] as number);
		this.#units.set(at + PAIR, this.#pairOf(known, arm) + mark);
		for (let word = OWN; word < this.#width; word++) this.#units.set(at + word, 0);
		this.#link(at);
		known.units++;
		this.#size++;
		if (this.#size + this.#goneUnits > this.#chainCount) this.#divideOne();
		return at;
	}

	arm(at: number): string | null {
		return this.#pairAt(at).arm;
	}

	setArm(at: number, arm: string | null): void {
		this.#units.set(at + PAIR, this.#pairOf(this.#pairAt(at).experiment, arm) + SEEN);
	}

	/** @param index of one of the owner's words */
	own(at: number, index: number): number {
		return this.#units.at(at + OWN + index);
	}

	/** @param value its lowest 32 bits are kept */
	setOwn(at: number, index: number, value: number): void {
		this.#units.set(at + OWN + index, value);
	}

	/** Forgets these Experiments, at once. Others take their memory; all of it is given back where no other is known. */
	forget(experiments: Iterable<string>): void {
		for (const name of experiments) {
			const known = this.#experiments.get(name);
			if (known === undefined) continue;
			this.#experiments.delete(name);
			known.gone = true;
			this.#size -= known.units;
			this.#goneUnits += known.units;
			this.#freePairsOf(known);
		}
		if (this.#experiments.size === 0) this.#begin();
	}

	#pairAt(at: number): Pair {
		return this.#pairs[this.#units.at(at + PAIR) & ~SEEN] as Pair;
	}

	#known(name: string): Known {
		let known = this.#experiments.get(name);
		if (known === undefined) {
			known = { name, salt: Math.imul(++this.#salts, 0x9e37_79b1), pairs: new Map(), units: 0, gone: false };
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

	/** A chain that is not there yet is part of the one that it will be divided from. */
	#chainOf(hashed: number): number {
		const chain = hashed & this.#mask;
		return chain < this.#chainCount ? chain : chain & (this.#mask >>> 1);
	}

	#hashAt(at: number): number {
		return hash(this.#units.at(at), this.#units.at(at + 1), this.#pairAt(at).experiment);
	}

	/** Where nothing is known. */
	#begin(): void {
		this.#units = new Words();
		this.#goneUnits = 0;
		this.#nextGone = 0;
		this.#hand = 0;
		this.#chains = new Words();
		this.#chains.grow(CHAINS_MIN);
		this.#chainCount = CHAINS_MIN;
		this.#mask = CHAINS_MIN - 1;
		this.#pairs.length = 1;
		this.#freePairs.length = 0;
	}

	#link(at: number): void {
		const chain = this.#chainOf(this.#hashAt(at));
		this.#units.set(at + NEXT, this.#chains.at(chain));
		this.#chains.set(chain, at + 1);
	}

	#unlink(at: number): void {
		const chain = this.#chainOf(this.#hashAt(at));
		const next = this.#units.at(at + NEXT);
		let link = this.#chains.at(chain);
		if (link === at + 1) {
			this.#chains.set(chain, next);
			return;
		}
		let before = link - 1;
		for (link = this.#units.at(before + NEXT); link !== at + 1; link = this.#units.at(before + NEXT)) before = link - 1;
		this.#units.set(before + NEXT, next);
	}

	/** Makes one chain more, and takes its units out of the one that had them. */
	#divideOne(): void {
		const chain = this.#chainCount++;
		if (chain > this.#mask) this.#mask = 2 * this.#mask + 1;
		this.#chains.grow(this.#chainCount);
		const from = chain & (this.#mask >>> 1);
		let link = this.#chains.at(from);
		this.#chains.set(from, END);
		while (link !== END) {
			const at = link - 1;
			link = this.#units.at(at + NEXT);
			this.#link(at);
		}
	}

	/** @returns where a newcomer is put */
	#place(): number {
		if (this.#goneUnits > 0) return this.#placeOfGone();
		if (this.#size >= this.max) return this.#forgetOne();
		const at = this.#size * this.#width;
		this.#units.grow(at + this.#width);
		return at;
	}

	/** Looks through all places once at most for each time that some have gone. */
	#placeOfGone(): number {
		for (;;) {
			const at = this.#nextGone;
			this.#nextGone = this.#after(at);
			const { experiment } = this.#pairAt(at);
			if (!experiment.gone) continue;
			this.#unlink(at);
			experiment.units--;
			this.#goneUnits--;
			this.#freePairsOf(experiment);
			return at;
		}
	}

	/** Once nothing here is of an Experiment that is gone, others take the numbers of its pairs. */
	#freePairsOf({ gone, units, pairs }: Known): void {
		if (!gone || units > 0) return;
		for (const pair of pairs.values()) {
			this.#pairs[pair] = undefined;
			this.#freePairs.push(pair);
		}
	}

	/** The place after this one, the first after the last. */
	#after(at: number): number {
		const next = at + this.#width;
		return next === (this.#size + this.#goneUnits) * this.#width ? 0 : next;
	}

	/**
	 * Ends, at the latest when the hand comes round: then it has taken everybody's mark, each of which was a look-up.
	 * @returns where it was
	 */
	#forgetOne(): number {
		for (;;) {
			const at = this.#hand;
			this.#hand = this.#after(at);
			const pair = this.#units.at(at + PAIR);
			if (pair >= SEEN) {
				this.#units.set(at + PAIR, pair - SEEN);
				continue;
			}
			const { experiment } = this.#pairAt(at);
			this.#unlink(at);
			experiment.units--;
			this.#size--;
			this.forgot(experiment.name);
			return at;
		}
	}
}

/** All bits of all words count (MurmurHash3's end). Pseudonyms are keyed hashes, so that nobody can choose units that meet. */
function hash(lo: number, hi: number, { salt }: Known): number {
	let mixed = lo ^ Math.imul(hi, 0xcc9e_2d51) ^ salt;
	mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
	mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
	return mixed ^ (mixed >>> 16);
}
