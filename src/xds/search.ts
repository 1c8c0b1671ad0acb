/**
 * The search for the namespaces that a client refuses in one publication. Pure: each step says what to try next.
 *
 * A trial closes the guilty that are known and the first few of an order; closing more never makes a configuration worse,
 * so the shortest beginning that is taken ends with a guilty one. Words are a hint, never a proof: whoever writes a rule
 * writes into them. So who is named comes first in the order, and only what is refused open and taken closed is proved.
 */
import { XDS_NAMED_TRIALS_MAX, XDS_TRIALS_MAX } from "../limits.js";
import type { Publication } from "./publication.js";

/** Namespaces are told by name. */
export interface Search {
	readonly on: Publication;
	/** Proved guilty, closed in every trial; with the client's words where they are of this one alone, null = from before. */
	readonly guilty: ReadonlyMap<string, string | null>;
	/** Those that may be guilty, in the order in which they are closed. */
	readonly order: readonly string[];
	/** Closing so many of the order is refused; -1 = nothing is. */
	readonly refused: number;
	/** Closing so many is taken; null = that is not known of any number. */
	readonly taken: number | null;
	/** How many the trial under way closes. */
	readonly closes: number;
	readonly trials: number;
	/** Of the last refusal, and of the first. */
	readonly words: string;
	readonly firstWords: string;
	/** Whom words have named in this search. */
	readonly named: ReadonlySet<string>;
	/** Whom there was reason to suspect before it. */
	readonly suspects: ReadonlySet<string>;
	/** Words that came for several namespaces at once: they may tell one what another has written. */
	readonly shared: ReadonlySet<string>;
}

export type Step =
	| { readonly to: "try"; readonly search: Search }
	/** Unproved: may be guilty, the bound came first. */
	| { readonly to: "close"; readonly guilty: Search["guilty"]; readonly unproved: readonly string[] }
	/** Closing all that may be guilty is refused too. */
	| { readonly to: "give-up" };

/** @param known all but what a search begins with nothing of */
export const begun = (
	known: Pick<Search, "on" | "guilty" | "order" | "refused" | "taken"> & Partial<Search>,
): Search => ({
	closes: 0,
	trials: 0,
	words: "",
	firstWords: "",
	named: new Set(),
	suspects: new Set(),
	shared: new Set(),
	...known,
});

/** Namespaces that the trial under way closes. */
export const triedBy = ({ guilty, order, closes }: Search): ReadonlySet<string> =>
	new Set([...guilty.keys(), ...order.slice(0, closes)]);

/** What follows from what is known. */
export function nextStep(search: Search): Step {
	if (search.taken === null) return untilTaken(search);
	let { guilty, order, refused, taken } = search;
	const { trials, words, shared } = search;
	for (;;) {
		if (taken === 0 || trials >= XDS_TRIALS_MAX) return { to: "close", guilty, unproved: order.slice(0, taken) };
		if (taken - refused > 1) {
			const from = Math.max(refused, 0);
			const sorted = namedFirst(order.slice(from, taken), search);
			const first = sorted.filter((one) => search.named.has(one)).length;
			// Who is named while others are refused is tried open alone: that proves it, or opens it.
			const between = refused < 0 ? sorted : [...sorted.slice(first), ...sorted.slice(0, first)];
			const ordered = [...order.slice(0, from), ...between, ...order.slice(taken)];
			const half = from + Math.floor(between.length / 2);
			const closes = refused < 0 ? firstTrial(between, search, guilty) : first > 0 ? taken - 1 : half;
			return trial({ ...search, guilty, order: ordered, refused, taken }, closes);
		}
		const proved = order[taken - 1] ?? "";
		guilty = new Map([...guilty, [proved, shared.has(words) ? "" : words]]);
		order = order.slice(0, taken - 1);
		refused = -1;
		taken = order.length;
	}
}

/** Whom the words name, and after some of those half of the others too: they may name one a trial, of many. */
function untilTaken(search: Search): Step {
	const { order, refused, trials, named } = search;
	const rest = namedFirst(order.slice(refused), search);
	if (rest.length === 0 || trials >= XDS_TRIALS_MAX) return { to: "give-up" };
	const first = rest.filter((one) => named.has(one)).length;
	const half = Math.ceil(rest.length / 2);
	const more = first > 0 && trials < XDS_NAMED_TRIALS_MAX ? first : Math.max(first, half);
	return trial({ ...search, order: [...order.slice(0, refused), ...rest] }, refused + more);
}

/** Nothing is known to be refused: all are tried open, but before that all but those that are suspected. */
function firstTrial(between: readonly string[], { named, suspects }: Search, guilty: Search["guilty"]): number {
	const front = between.filter((one) => named.has(one) || suspects.has(one)).length;
	if (front < between.length) return front;
	// All that is left was named, and the words were right before: the next one alone is tried.
	const right = [...guilty].some(([one, words]) => words !== null && named.has(one));
	return right && between.every((one) => named.has(one)) ? between.length - 1 : 0;
}

const trial = (search: Search, closes: number): Step => ({
	to: "try",
	search: { ...search, closes, trials: search.trials + 1 },
});

/** The named, the suspected, the others, each in the order in which they are. */
function namedFirst(order: readonly string[], { named, suspects }: Search): readonly string[] {
	const rank = (one: string): number => (named.has(one) ? 0 : suspects.has(one) ? 1 : 2);
	return [...order].sort((a, b) => rank(a) - rank(b));
}
