/**
 * What one client is given where it refuses what is published, so that whoever may apply in one namespace cannot freeze
 * the rules of all: the newest publication with the changed Services of the guilty namespaces closed. Pure, one per stream.
 *
 * Changed is what differs from what the client took last. The guilty are looked for on one publication (search.ts), newer
 * ones wait. Where the bound of a search comes first, those that are not proved are closed too, the newest publication is
 * taken so, and after a pause they are searched on: in the end nobody but the proved is closed.
 *
 * A guilty namespace that changes is first published closed, so that others need not wait for it, and then tried whole.
 * Where closing all that changed does not help, everything stays at the last good, as the stream keeps it by itself.
 */
import { XDS_SEARCH_PAUSE_MS, XDS_TRIALS_MAX } from "../limits.js";
import { namespaceOf } from "../resources/resource.js";
import type { ClosedService } from "../rollout/ports.js";
import type { Publication } from "./publication.js";
import { namespacesIn, namespacesOf, type Refused, sharedOf } from "./refused.js";
import { begun, nextStep, type Search, triedBy } from "./search.js";
import { gatewaysDiffer, merged, type Taken } from "./taken.js";
import { toldWords } from "./words.js";

/** What is known of a client when it comes back. */
export interface Memory {
	/** What it took last: hashes by `Service NAME` and `Gateway NAME`; null = not known. */
	readonly taken: Taken | null;
	readonly closed: readonly ClosedService[];
}

export interface Target {
	readonly publication: Publication;
	/** Qualified names of Services. */
	readonly closed: ReadonlySet<string>;
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
	/** Closed in what the client took last, or in what it was to have since. */
	#mayBeClosed: ReadonlySet<string>;
	/** undefined = to be made anew. */
	#target: Target | null | undefined;
	#rested: { readonly revision: number; readonly closed: readonly string[] } | null = null;
	/** Where closing all that changed did not help, what was refused there, and what had changed. */
	#hopeless: { readonly on: Publication | null; readonly words: string; readonly changed: string } | null = null;
	/** Closed namespaces that are to be tried open, and from when on. */
	#due: readonly string[] = [];
	#resumeMs = Number.NEGATIVE_INFINITY;
	/** Of a search that came to its bound. */
	#named: Search["named"] = NOTHING;
	#shared: Search["shared"] = NOTHING;

	constructor({ taken, closed }: Memory = { taken: null, closed: [] }) {
		this.#taken = taken;
		this.#closed = new Map(closed.map((one) => [one.service, one]));
		this.#mayBeClosed = new Set(this.#closed.keys());
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
		const closes = this.#search === null ? this.#guilty() : triedBy(this.#search);
		const closed = on === null ? NOTHING : this.#closing(on, closes, this.#search !== null);
		this.#target = on === null ? null : { publication: on, closed };
		this.#mayBeClosed = new Set([...this.#mayBeClosed, ...closed]);
		return this.#target;
	}

	get searching(): boolean {
		return this.#search !== null;
	}

	/** The client has taken the target, and there is nothing to try. */
	get settled(): boolean {
		return this.#search === null && this.#publication !== null && this.#settled === this.#publication;
	}

	/** When `resume` has something to do; null = it has not. */
	get resumesAtMs(): number | null {
		return this.settled && this.#due.length > 0 ? this.#resumeMs : null;
	}

	/** The newest publication that the client has taken wholly, but for closed Services; null = none yet. */
	get rested(): { readonly revision: number; readonly closed: readonly string[] } | null {
		return this.#rested;
	}

	/** Services that the client may answer 503 for, innocent ones of a trial too. */
	get mayBeClosed(): ReadonlySet<string> {
		return this.#mayBeClosed;
	}

	get closed(): readonly ClosedService[] {
		return [...this.#closed.values()];
	}

	/** Without the publication itself, which is large. */
	get memory(): Memory {
		return { taken: this.#taken === null ? null : { forms: this.#taken.forms }, closed: this.closed };
	}

	/**
	 * A refused listener of a Gateway that changed is that Gateway's own matter: its last good one stays, alone. So is a refused
	 * filter, whatever changed, for no route needs a newer one to hold; and a listener of such a Gateway, for Envoy may refuse it
	 * for the filter.
	 * @param all that is refused
	 */
	ofGateway({ type, source }: Refused, all: readonly Refused[] = []): boolean {
		if (type === "extensions") return true;
		if (type !== "listeners" || !source.startsWith("Gateway ")) return false;
		if (all.some((one) => one.type === "extensions" && one.source === source)) return true;
		const publication = this.#search?.on ?? this.#publication;
		return this.#taken === null || this.#taken.forms.get(source) !== publication?.forms.get(source);
	}

	/**
	 * The client refuses a part of the target.
	 * @param all whether of a client of which nothing is known all that is declared may be closed: it serves nothing yet
	 * @returns whether the target is another now
	 */
	refuse(errors: readonly Refused[], { nowMs, all }: { readonly nowMs: number; readonly all: boolean }): boolean {
		// Each once: of a thousand refused resources all may have the same.
		const words = toldWords([...new Set(errors.map((one) => one.words))].join("; "));
		const named = namespacesIn(errors);
		const shared = [...sharedOf(errors), ...(named.size > 1 ? [words] : [])];
		const search = this.#search;
		if (search !== null) {
			// Of a client of which nothing is known those alone are tried that are named, however late.
			const more = this.#taken === null && search.taken === null ? [...named] : [];
			return this.#go(
				{
					...search,
					order: [...search.order, ...more.filter((one) => !search.guilty.has(one) && !search.order.includes(one))],
					refused: Math.max(search.refused, search.closes),
					words,
					named: new Set([...search.named, ...named]),
					shared: new Set([...search.shared, ...shared]),
				},
				nowMs,
			);
		}
		const on = this.#publication;
		if (on === null || on === this.#hopeless?.on) return false;
		if (words === this.#hopeless?.words && this.#changedOf(on) === this.#hopeless.changed) return false;
		const guilty = this.#guilty();
		const changed = namespacesOf(this.#closing(on, null, true)).filter((one) => !guilty.has(one));
		const order = changed.filter((one) => this.#taken !== null || all || named.has(one));
		return this.#go(
			begun({
				...{ on, order, words, named, refused: 0, taken: null, firstWords: words },
				guilty: new Map([...guilty].map((one) => [one, null])),
				shared: new Set([...this.#shared, ...shared]),
			}),
			nowMs,
		);
	}

	/**
	 * A trial has had no answer in time, which proves nothing: what may be guilty is closed unproved, and searched on after
	 * the pause.
	 * @returns whether the target is another now
	 */
	giveTime(nowMs: number): boolean {
		if (this.#search === null) return false;
		const { taken, closes } = this.#search;
		return this.#go({ ...this.#search, trials: XDS_TRIALS_MAX, taken: taken ?? closes }, nowMs);
	}

	/**
	 * The client has the whole target.
	 * @param gateways titles of those whose listeners it refuses for themselves
	 * @returns whether the target is another now
	 */
	take(gateways: readonly string[], nowMs: number): boolean {
		this.#mayBeClosed = this.target?.closed ?? NOTHING;
		if (this.#search !== null) return this.#go({ ...this.#search, taken: this.#search.closes }, nowMs);
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
		const otherGateways = closing.size > 0 && gatewaysDiffer(on, this.#taken, gateways);
		this.#taken = merged(on, this.#taken, [...[...closing].map((name) => `Service ${name}`), ...gateways]);
		if (gateways.length === 0) this.#rested = { revision: on.revision, closed: [...closing] };
		// A namespace is another as soon as one of its refused Services is, or is refused no more; Gateways concern all.
		const changed = new Set(
			namespacesOf([
				...[...before.keys()].filter((name) => !closing.has(name)),
				...[...closing].filter((name) => this.#closed.get(name)?.form !== on.forms.get(`Service ${name}`)),
			]),
		);
		this.#due = namespacesOf(closing).filter((one) => otherGateways || changed.has(one) || this.#due.includes(one));
		return this.resume(nowMs);
	}

	/**
	 * Tries what is due of what is closed, some time after a search that came to its bound.
	 * @returns whether the target is another now
	 */
	resume(nowMs: number): boolean {
		const on = this.#publication;
		if (on === null || this.resumesAtMs === null || nowMs < this.resumesAtMs) return false;
		const order = this.#due;
		this.#due = [];
		const others = [...this.#guilty()].filter((one) => !order.includes(one));
		const proved = [...this.#closed.values()].filter(({ form }) => form !== "").map(({ service }) => service);
		return this.#go(
			begun({
				...{ on, order, refused: -1, taken: order.length },
				guilty: new Map(others.map((one) => [one, null])),
				shared: this.#shared,
				suspects: new Set([...this.#named, ...namespacesOf(proved)]),
			}),
			nowMs,
		);
	}

	/** What is tried cannot be made: the search ends, and everything stays at the last good. */
	fail(): void {
		const on = this.#search?.on ?? this.#publication;
		const changed = on === null ? "" : this.#changedOf(on);
		this.#hopeless = { on, words: this.#search?.firstWords ?? "", changed };
		this.#end(on);
	}

	/** The next trial, or the end. */
	#go(search: Search, nowMs: number): true {
		const step = nextStep(search);
		this.#search = step.to === "try" ? step.search : search;
		this.#target = undefined;
		if (step.to === "give-up") this.fail();
		if (step.to !== "close") return true;
		const unproved = new Set(step.unproved);
		this.#named = new Set([...search.named, ...search.suspects].filter((one) => unproved.has(one)));
		this.#shared = unproved.size > 0 ? search.shared : NOTHING;
		if (unproved.size > 0) this.#resumeMs = nowMs + XDS_SEARCH_PAUSE_MS;
		this.#close(search.on, step.guilty, unproved, nowMs);
		return true;
	}

	/** The search has ended with what is to be closed. */
	#close(on: Publication, guilty: Search["guilty"], unproved: ReadonlySet<string>, nowMs: number): void {
		const before = this.#closed;
		const namespaces = new Set([...guilty.keys(), ...unproved]);
		this.#closed = new Map(
			[...this.#closing(on, namespaces, true)].map((service) => {
				const sinceMs = before.get(service)?.sinceMs ?? nowMs;
				if (unproved.has(namespaceOf(service))) return [service, { service, form: "", why: UNPROVED, sinceMs }];
				const said = guilty.get(namespaceOf(service));
				const words = said ?? this.#besides(service, nowMs).why;
				// Null: it was closed before this search, which proved nothing of what it is now.
				const form = said === null ? (before.get(service)?.form ?? "") : (on.forms.get(`Service ${service}`) ?? "");
				return [service, { service, form, why: words || NOT_NAMED, sinceMs }];
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

	/** Which Services a search would be among; where nothing is known of the client, as they are declared. */
	#changedOf(on: Publication): string {
		const form = (name: string): string => (this.#taken === null ? (on.forms.get(`Service ${name}`) ?? "") : "");
		return [...this.#closing(on, null, true)]
			.map((name) => `${name} ${form(name)}`)
			.sort()
			.join("\n");
	}

	/** Namespaces of which something is closed. */
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

/** Where the client's words are not of one namespace alone, or the search has not come to it: nobody is told another's. */
const NOT_NAMED = "this Envoy refuses it, and its words are not of this namespace alone";
const UNPROVED = "it changed together with what this Envoy refuses, and is being tried";
