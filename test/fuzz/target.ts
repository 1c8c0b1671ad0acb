/** One parser that reads the network, and its invariant for every input. */
export interface Target {
	/** Key in the corpus file. */
	readonly name: string;
	/** Valid messages, which are bent. */
	readonly seeds: readonly Buffer[];
	/** Share of the inputs: targets with cryptography get fewer. */
	readonly weight: number;
	/** @throws if it crashed or allowed a forbidden request. Its own refusals are no crash. */
	run(input: Buffer): void | Promise<void>;
}

export const text = (input: Buffer): string => input.toString("latin1");

/** Runs a parser whose refusals are errors of these kinds; others are crashes. */
export function refusing(kinds: readonly (abstract new (...args: never[]) => Error)[], run: () => void): void {
	try {
		run();
	} catch (error) {
		if (!kinds.some((kind) => error instanceof kind)) throw error;
	}
}

/** The verdict was an allow, or an identity was accepted. */
export function never(what: string): never {
	throw new Error(`let pass: ${what}`);
}
