/**
 * What one client is given where it refuses what is published, so that whoever may apply in one namespace cannot freeze
 * the rules of all: the newest publication with the changed Services of the guilty namespaces closed. Pure, one per stream.
 *
 * Changed is what differs from what the client took last. The guilty are looked for on one publication, newer ones wait:
 * first those that the words name, else by halves. A trial closes the first few of an order; closing more never makes a
 * configuration worse, so the shortest beginning that is taken ends with a guilty one. It stays closed, and those before
 * it are tried open, until nothing more is to be opened.
 *
 * A guilty namespace that changes is first published closed, so that others need not wait for it, and then tried whole.
 * Where closing all that changed does not help, everything stays at the last good, as the stream keeps it by itself.
 */
import { XDS_TRIALS_MAX } from "../limits.js";
import type { ClosedService } from "../rollout/ports.js";
import type { Publication } from "./publication.js";

/** One resource that the client refuses of what it should have. */
export interface Refused {
	readonly type: string;
	/** Weir resource, e.g. `Service employment`. */
	readonly source: string;
	/** The client's own words. */
	readonly words: string;
}

/** What is known of a client when it comes back. */
export interface Memory {
	/** What it took last: hashes by `Service NAME` and `Gateway NAME`; null = not known. */
	readonly taken: Taken | null;
	readonly closed: readonly ClosedService[];
}

type Taken = Pick<Publication, "forms">;

export interface Target {
	readonly publication: Publication;
	/** Qualified names of Services. */
	readonly closed: ReadonlySet<string>;
}

/** Namespaces are told by name. */
interface Search {
	readonly on: Publication;
	/** Proved guilty: closed in every trial. */
	readonly guilty: ReadonlySet<string>;
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
}

export class Isolation {
	/** What the client should have when no search is under way. */
	#publication: Publication | null = null;
	/** Newer than what is searched on. */
	#waiting: Publication | null = null;
	#search: Search | null = null;
	#taken: Taken | null;
	/** By name, with the form that was refused; an empty one was never tried. */
	#closed: ReadonlyMap<string, ClosedService>;
	/** Publication that the client has taken, as far as it is not closed. */
	#settled: Publication | null = null;
	/** undefined = to be made anew. */
	#target: Target | null | undefined;
	#rested: { readonly revision: number; readonly closed: readonly string[] } | null = null;
	/** Where closing all that changed did not help, and what was refused there. */
	#hopeless: { readonly on: Publication | null; readonly words: string } | null = null;

	constructor({ taken, closed }: Memory = { taken: null, closed: [] }) {
		this.#taken = taken;
		this.#closed = new Map(closed.map((one) => [one.service, one]));
	}

	/** The newest publication; while a search is under way it waits for its end. */
	offer(publication: Publication): void {
		if (this.#search !== null) this.#waiting = publication;
		else if (publication !== this.#publication) {
			this.#publication = publication;
			this.#settled = null;
			this.#target = undefined;
		}
	}

	/** What the client should have now; null = nothing is published. The same object until it is another. */
	get target(): Target | null {
		const made = this.#target;
		if (made !== undefined) return made;
		const on = this.#search?.on ?? this.#publication;
		const closes = this.#search === null ? this.#guilty() : tried(this.#search);
		const closed = on === null ? NOTHING : this.#closing(on, closes, this.#search !== null);
		this.#target = on === null ? null : { publication: on, closed };
		return this.#target;
	}

	get searching(): boolean {
		return this.#search !== null;
	}

	/** The client has taken the target, and there is nothing to try. */
	get settled(): boolean {
		return this.#search === null && this.#publication !== null && this.#settled === this.#publication;
	}

	/** The newest publication that the client has taken wholly, but for closed Services; null = none yet. */
	get rested(): { readonly revision: number; readonly closed: readonly string[] } | null {
		return this.#rested;
	}

	get closed(): readonly ClosedService[] {
		return [...this.#closed.values()];
	}

	/** Without the publication itself, which is large. */
	get memory(): Memory {
		return { taken: this.#taken === null ? null : { forms: this.#taken.forms }, closed: this.closed };
	}

	/** A refused listener of a Gateway that changed is that Gateway's own matter: its last good one stays, alone. */
	ofGateway({ type, source }: Refused): boolean {
		if (type !== "listeners" || !source.startsWith("Gateway ")) return false;
		const publication = this.#search?.on ?? this.#publication;
		return this.#taken === null || this.#taken.forms.get(source) !== publication?.forms.get(source);
	}

	/**
	 * The client refuses a part of the target.
	 * @param all whether of a client of which nothing is known all that is declared may be closed: it serves nothing yet
	 * @returns whether the target is another now
	 */
	refuse(errors: readonly Refused[], { nowMs, all }: { readonly nowMs: number; readonly all: boolean }): boolean {
		const words = errors.map((one) => one.words).join("; ");
		if (this.#search === null) {
			const on = this.#publication;
			if (on === null || on === this.#hopeless?.on || words === this.#hopeless?.words) return false;
			const guilty = this.#guilty();
			const named = namespacesIn(errors);
			const changed = namespacesOf(this.#closing(on, null, true)).filter((one) => !guilty.has(one));
			const order = changed.filter((one) => this.#taken !== null || all || named.has(one));
			const none = { closes: 0, trials: 0, taken: null };
			return this.#go({ ...none, on, guilty, order, refused: 0, words, firstWords: words }, named, nowMs);
		}
		const refused = Math.max(this.#search.refused, this.#search.closes);
		return this.#go({ ...this.#search, refused, words }, namespacesIn(errors), nowMs);
	}

	/**
	 * The client has the whole target, or did not refuse it in time.
	 * @param gateways titles of those whose listeners it refuses for themselves
	 * @returns whether the target is another now
	 */
	take(gateways: readonly string[], nowMs: number): boolean {
		if (this.#search !== null) return this.#go({ ...this.#search, taken: this.#search.closes }, new Set(), nowMs);
		const on = this.#publication;
		if (on === null || on === this.#settled) return false;
		this.#settled = on;
		this.#hopeless = null;
		this.#target = undefined;
		const guilty = this.#guilty();
		const closing = this.#closing(on, guilty, false);
		const before = this.#closed;
		this.#closed = new Map(
			[...closing].map((service) => [service, before.get(service) ?? this.#besides(service, nowMs)]),
		);
		const otherGateways = closing.size > 0 && gatewaysDiffer(on, this.#taken);
		this.#taken = merged(on, this.#taken, [...[...closing].map((name) => `Service ${name}`), ...gateways]);
		if (gateways.length === 0) this.#rested = { revision: on.revision, closed: [...closing] };
		// A namespace is another as soon as one of its refused Services is, or is refused no more; Gateways concern all.
		const changed = new Set(
			namespacesOf([
				...[...before.keys()].filter((name) => !closing.has(name)),
				...[...closing].filter((name) => this.#closed.get(name)?.form !== on.forms.get(`Service ${name}`)),
			]),
		);
		const order = namespacesOf(closing).filter((one) => otherGateways || changed.has(one));
		if (order.length === 0) return false;
		const others = new Set([...guilty].filter((one) => !order.includes(one)));
		const none = { closes: 0, trials: 0, refused: -1, words: "", firstWords: "" };
		return this.#go({ ...none, on, guilty: others, order, taken: order.length }, new Set(), nowMs);
	}

	/** What is tried cannot be made: the search ends, and everything stays at the last good. */
	fail(): void {
		const on = this.#search?.on ?? this.#publication;
		this.#hopeless = { on, words: this.#search?.firstWords ?? "" };
		this.#end(on);
	}

	/** The next trial, or the end. */
	#go(search: Search, named: ReadonlySet<string>, nowMs: number): true {
		let { guilty, order, refused, taken } = search;
		const { on, trials, words } = search;
		for (;;) {
			if (taken === null) {
				const rest = order.slice(refused);
				const first = rest.filter((one) => named.has(one));
				order = [...order.slice(0, refused), ...first, ...rest.filter((one) => !named.has(one))];
				this.#search = { ...search, order, refused };
				if (rest.length === 0 || trials >= XDS_TRIALS_MAX) this.fail();
				else this.#try(refused + (first.length || Math.ceil(rest.length / 2)));
				return true;
			}
			if (taken === 0 || trials >= XDS_TRIALS_MAX) {
				this.#close(on, new Set([...guilty, ...order.slice(0, taken)]), words, nowMs);
				return true;
			}
			if (taken - refused > 1) {
				this.#search = { ...search, guilty, order, refused, taken };
				this.#try(refused < 0 ? 0 : Math.floor((refused + taken) / 2));
				return true;
			}
			guilty = new Set([...guilty, ...order.slice(taken - 1, taken)]);
			order = order.slice(0, taken - 1);
			refused = -1;
			taken = order.length;
		}
	}

	#try(closes: number): void {
		this.#target = undefined;
		if (this.#search !== null) this.#search = { ...this.#search, closes, trials: this.#search.trials + 1 };
	}

	/** The search has ended with what is to be closed. */
	#close(on: Publication, namespaces: ReadonlySet<string>, words: string, nowMs: number): void {
		const before = this.#closed;
		this.#closed = new Map(
			[...this.#closing(on, namespaces, true)].map((service) => {
				const form = on.forms.get(`Service ${service}`) ?? "";
				const known = before.get(service);
				const why = known !== undefined && (known.form === form || words === "") ? known.why : words;
				return [service, { service, form, why, sinceMs: known?.sinceMs ?? nowMs }];
			}),
		);
		this.#end(on);
	}

	#end(on: Publication | null): void {
		this.#search = null;
		this.#settled = null;
		this.#target = undefined;
		this.#publication = this.#waiting ?? on;
		this.#waiting = null;
	}

	/** Changed together with what is closed; of itself nothing is known yet. */
	#besides(service: string, nowMs: number): ClosedService {
		const beside = [...this.#closed.values()].find((one) => namespaceOf(one.service) === namespaceOf(service));
		return { service, form: "", why: beside?.why ?? "", sinceMs: nowMs };
	}

	#guilty(): ReadonlySet<string> {
		return new Set(namespacesOf(this.#closed.keys()));
	}

	/**
	 * Services of the namespaces that differ from what the client took.
	 * @param namespaces null = all
	 * @param all of a client of which nothing is known: all its Services, else those alone that are known to be closed
	 */
	#closing(on: Publication, namespaces: ReadonlySet<string> | null, all: boolean): ReadonlySet<string> {
		if (namespaces?.size === 0) return NOTHING;
		const found = new Set<string>();
		for (const [title, form] of on.forms) {
			if (!title.startsWith(SERVICE)) continue;
			const name = title.slice(SERVICE.length);
			if (namespaces !== null && !namespaces.has(namespaceOf(name))) continue;
			const changed = this.#taken === null ? all || this.#closed.has(name) : this.#taken.forms.get(title) !== form;
			if (changed) found.add(name);
		}
		return found;
	}
}

const SERVICE = "Service ";
const NOTHING: ReadonlySet<string> = new Set();

const tried = ({ guilty, order, closes }: Search): ReadonlySet<string> =>
	new Set([...guilty, ...order.slice(0, closes)]);

/** @param but titles of which it keeps what it had before */
function merged(on: Publication, before: Taken | null, but: readonly string[]): Taken {
	if (but.length === 0) return on;
	const forms = new Map(on.forms);
	for (const title of but) {
		const kept = before?.forms.get(title);
		if (kept === undefined) forms.delete(title);
		else forms.set(title, kept);
	}
	return { forms };
}

function gatewaysDiffer({ forms }: Taken, before: Taken | null): boolean {
	const of = (all: ReadonlyMap<string, string> = new Map()): string =>
		JSON.stringify([...all].filter(([title]) => title.startsWith("Gateway ")).sort());
	return before !== null && of(forms) !== of(before.forms);
}

/** Sorted, each once. */
const namespacesOf = (services: Iterable<string>): readonly string[] =>
	[...new Set([...services].map(namespaceOf))].sort();

/** Of the Services and Experiments that the errors were put down to. */
const namespacesIn = (errors: readonly Refused[]): ReadonlySet<string> =>
	new Set(
		errors.flatMap(({ source }) => {
			const name = /^(?:Service|Experiment) (.+)$/.exec(source)?.[1];
			return name === undefined ? [] : [namespaceOf(name)];
		}),
	);

/** Of a qualified name. */
function namespaceOf(name: string): string {
	const cut = name.indexOf("/");
	return cut < 0 ? "default" : name.slice(0, cut);
}
