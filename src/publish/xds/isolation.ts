/**
 * Which Services are closed at one client because it refuses them, so that one namespace's bad Service does not freeze the rules of
 * the others. Pure, one per stream.
 *
 * Envoy names the cluster that it refuses, but nothing inside a route configuration, which it refuses whole
 * (test/envoy/nackNames.test.ts). So where it names Services these are closed; where it names none, or that does not help, all that
 * changed since the client's last good configuration are closed at once. When the client has taken that, what was closed without
 * proof is tried open, and after a refusal one half of it after the other. Names are a hint and no proof, since a rule's author
 * writes into Envoy's error message. Where closing all that changed does not help either, the client keeps its last good
 * configuration.
 */

import type { ClosedService } from "../../decide/rollout/ports.js";
import { XDS_NAMED_TRIALS_MAX } from "../../limits/index.js";
import type { Declared, Publication } from "./publication.js";
import { toldWords } from "./words.js";

/** What is known of a client when it comes back. */
export interface Memory {
	/** Services in the last configuration that it took; null = unknown. */
	readonly taken: Pick<Declared, "forms"> | null;
	readonly closed: readonly ClosedService[];
}

/** One resource that the client refuses. */
export interface Refused {
	/** Weir resource, e.g. `Service employment`. */
	readonly source: string;
	/** The client's error message. */
	readonly words: string;
}

export interface Target {
	readonly publication: Publication;
	/** Qualified names of Services. */
	readonly closed: ReadonlySet<string>;
}

type Closed = ReadonlyMap<string, ClosedService>;
type Services = readonly string[];

export class Isolation {
	#publication: Publication | null = null;
	#taken: Memory["taken"];
	/** By name, with the form that was refused; an empty form = it is not proved that this one is refused. */
	#closed: Closed;
	/** Closed in the last configuration that the client took. */
	#closedBefore: Closed;
	/** Refusals of this publication so far. */
	#refusals = 0;
	/** Closing Services of this publication did not help. */
	#gaveUp = false;
	/** The client has taken this publication, with Services closed. */
	#settled = false;
	/** Closed Services that are open in the target, to see whether the client takes them. */
	#trial: Services = [];
	/** What is tried next. */
	#queue: readonly Services[] = [];
	#target: Target | null = null;
	#rested: { readonly revision: number; readonly closed: Services } | null = null;

	constructor({ taken, closed }: Memory = { taken: null, closed: [] }) {
		this.#taken = taken;
		this.#closed = new Map(closed.map((one) => [one.service, one]));
		this.#closedBefore = this.#closed;
	}

	/** What the client should have; null = nothing is published. */
	get target(): Target | null {
		return this.#target;
	}

	/** The newest revision that the client has wholly taken, except for Services that are closed; null = none yet. */
	get rested(): { readonly revision: number; readonly closed: Services } | null {
		return this.#rested;
	}

	/** Without those that are only closed until they have been tried. */
	get closed(): readonly ClosedService[] {
		const all = [...this.#closed.values()];
		return this.#settled && this.#trial.length === 0 ? all : all.filter(({ form }) => form !== "");
	}

	/** Services that the client may answer 503 for, those of a trial too. */
	get mayBeClosed(): Services {
		return [...this.#closed.keys(), ...this.#closedBefore.keys()];
	}

	get memory(): Memory {
		return { taken: this.#taken, closed: [...this.#closed.values()] };
	}

	/** The newest publication. Closed Services stay closed in it until the client has taken it. */
	offer(publication: Publication): void {
		if (publication === this.#publication) return;
		this.#publication = publication;
		this.#refusals = 0;
		this.#gaveUp = false;
		this.#settled = false;
		this.#trial = [];
		this.#queue = [];
		this.#close(new Map([...this.#closed].filter(([name]) => this.#isOther(name))));
	}

	/**
	 * The client refuses a part of the target.
	 * @param isFresh it has no configuration yet, so that all Services may be closed
	 * @returns whether the target is another now
	 */
	refuse(
		errors: readonly Refused[],
		{ nowMs, isFresh }: { readonly nowMs: number; readonly isFresh: boolean },
	): boolean {
		const on = this.#publication;
		if (on === null || this.#gaveUp) return false;
		const words = toldWords([...new Set(errors.map((one) => one.words))].join("; "));
		const sources = new Set(errors.map(({ source }) => source));
		if (this.#trial.length > 0) {
			this.#judge(this.#trial, sources, words, nowMs);
			return true;
		}
		const changed = [...on.declared.forms.keys()].filter((name) => !this.#closed.has(name) && this.#isOther(name));
		const named = changed.filter((name) => sources.has(`Service ${name}`));
		const isNamed = named.length > 0 && this.#refusals < XDS_NAMED_TRIALS_MAX;
		const closes = isNamed ? named : this.#taken === null && !isFresh ? [] : changed;
		this.#refusals++;
		if (closes.length > 0) {
			this.#close(new Map([...this.#closed, ...closes.map((name) => [name, unproved(name, nowMs)] as const)]));
			return true;
		}
		// The client keeps its last good configuration.
		this.#gaveUp = true;
		this.#close(this.#closedBefore);
		return this.#refusals > 1;
	}

	/**
	 * The client has the whole target.
	 * @param isWhole it refuses nothing of it; false = a Gateway's own listener or filter
	 * @returns whether the target is another now
	 */
	take(isWhole: boolean): boolean {
		const on = this.#publication;
		if (on === null) return false;
		if (!this.#settled || this.#trial.length > 0) this.#took(on);
		const isTrying = this.#trial.length > 0;
		// What is closed only until it has been tried is no news yet.
		const isNews = !isTrying || [...this.#closed.values()].every(({ form }) => form !== "");
		if (isWhole && isNews) this.#rested = { revision: on.revision, closed: [...this.#closed.keys()] };
		return isTrying;
	}

	#took(on: Publication): void {
		const closed = new Map([...this.#closed].filter(([name]) => !this.#trial.includes(name)));
		this.#taken = closed.size === 0 ? on.declared : { forms: formsTaken(on.declared, this.#taken, closed) };
		this.#closed = closed;
		this.#closedBefore = closed;
		if (!this.#settled)
			this.#queue = [[...closed.keys()].filter((name) => closed.get(name)?.form !== on.declared.forms.get(name))];
		this.#settled = true;
		this.#tryNext();
	}

	/** What was open in a trial is refused: one alone is proved, several are tried in two parts, the named ones last. */
	#judge(trial: Services, sources: ReadonlySet<string>, words: string, nowMs: number): void {
		const [only, ...others] = trial;
		if (only !== undefined && others.length === 0) {
			const form = this.#publication?.declared.forms.get(only) ?? "";
			const sinceMs = this.#closed.get(only)?.sinceMs ?? nowMs;
			this.#closed = new Map([...this.#closed, [only, { service: only, form, why: words || UNPROVED, sinceMs }]]);
			this.#closedBefore = this.#closed;
		} else {
			const named = trial.filter((name) => sources.has(`Service ${name}`));
			const isPart = named.length > 0 && named.length < trial.length;
			const second = isPart ? named : trial.slice(Math.ceil(trial.length / 2));
			this.#queue = [trial.filter((name) => !second.includes(name)), second, ...this.#queue];
		}
		this.#tryNext();
	}

	#tryNext(): void {
		const [next = [], ...rest] = this.#queue;
		this.#queue = rest;
		this.#trial = next;
		this.#close(this.#closed);
	}

	#close(closed: Closed): void {
		this.#closed = closed;
		const names = [...closed.keys()].filter((name) => !this.#trial.includes(name));
		this.#target = this.#publication === null ? null : { publication: this.#publication, closed: new Set(names) };
	}

	/** The published Service is not what the client took last. */
	#isOther(service: string): boolean {
		const form = this.#publication?.declared.forms.get(service);
		return form !== undefined && form !== this.#taken?.forms.get(service);
	}
}

/** A closed Service counts as it was before. */
function formsTaken({ forms }: Declared, before: Memory["taken"], closed: Closed): ReadonlyMap<string, string> {
	return new Map(
		[...forms].flatMap(([name, form]) => {
			const taken = closed.has(name) ? before?.forms.get(name) : form;
			return taken === undefined ? [] : [[name, taken] as const];
		}),
	);
}

/** No client's error message is shown to a namespace that it may not be about. */
const UNPROVED = "this Envoy refuses it, or what changed together with it";

const unproved = (service: string, sinceMs: number): ClosedService => ({ service, form: "", why: UNPROVED, sinceMs });
