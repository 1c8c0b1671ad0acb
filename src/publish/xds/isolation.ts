/**
 * Decides which Services are closed at one client because it rejects them, so that a bad Service of one namespace
 * does not block the updates of others. Pure, one per stream.
 *
 * Envoy names a rejected cluster, but rejects a route configuration as a whole without naming a Service
 * (test/envoy/nackNames.test.ts). So first the named Services are closed. If none is named, or that does not help,
 * all Services that changed since the client's last good configuration are closed. When the client accepts that, the
 * suspects are opened again for a trial, and after a rejection in halves. Names are a hint and not proof, because a
 * rule's author can write into Envoy's error message. If closing all changes does not help, the client keeps its last
 * good configuration.
 */

import type { ClosedService } from "../../decide/rollout/ports.js";
import { printableText } from "./printableText.js";
import type { Declared, Publication } from "./publication.js";

/** NACKs of one publication after which only the Services that Envoy names are closed; it may name one at a time. */
export const XDS_NAMED_TRIALS_MAX = 10;

/** State of a client for its next stream. */
export interface Memory {
	/** Services in the last accepted configuration; null = unknown. */
	readonly accepted: Pick<Declared, "forms"> | null;
	readonly closed: readonly ClosedService[];
}

/** A rejected resource. */
export interface Refused {
	/** Weir resource, e.g. `Service employment`. */
	readonly source: string;
	/** The client's error message. */
	readonly message: string;
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
	#accepted: Memory["accepted"];
	/** By name, with the rejected form; an empty form = suspected, not proved. */
	#closed: Closed;
	/** Closed in the last accepted configuration. */
	#closedBefore: Closed;
	/** Rejections of this publication so far. */
	#refusals = 0;
	/** Closing Services of this publication did not help. */
	#gaveUp = false;
	/** The client has accepted this publication, with Services closed. */
	#settled = false;
	/** Suspects that are open in the target for a trial. */
	#trial: Services = [];
	/** Next trials. */
	#queue: readonly Services[] = [];
	#target: Target | null = null;
	#rested: { readonly revision: number; readonly closed: Services } | null = null;

	constructor({ accepted, closed }: Memory = { accepted: null, closed: [] }) {
		this.#accepted = accepted;
		this.#closed = new Map(closed.map((one) => [one.service, one]));
		this.#closedBefore = this.#closed;
	}

	/** What the client should hold; null = nothing is published. */
	get target(): Target | null {
		return this.#target;
	}

	/** The newest revision that the client has accepted, except for closed Services; null = none yet. */
	get rested(): { readonly revision: number; readonly closed: Services } | null {
		return this.#rested;
	}

	/** Closed Services, without suspects that are still to be tried. */
	get closed(): readonly ClosedService[] {
		const all = [...this.#closed.values()];
		return this.#settled && this.#trial.length === 0 ? all : all.filter(({ form }) => form !== "");
	}

	get memory(): Memory {
		return { accepted: this.#accepted, closed: [...this.#closed.values()] };
	}

	/** Sets the newest publication. Closed Services stay closed until the client has accepted it. */
	offer(publication: Publication): void {
		if (publication === this.#publication) return;
		this.#publication = publication;
		this.#refusals = 0;
		this.#gaveUp = false;
		this.#settled = false;
		this.#trial = [];
		this.#queue = [];
		this.#close(new Map([...this.#closed].filter(([name]) => this.#isChanged(name))));
	}

	/**
	 * The client rejects a part of the target.
	 * @param isFresh it has no configuration yet, so all Services may be closed
	 * @returns whether the target has changed
	 */
	refuse(
		errors: readonly Refused[],
		{ nowMs, isFresh }: { readonly nowMs: number; readonly isFresh: boolean },
	): boolean {
		const on = this.#publication;
		if (on === null || this.#gaveUp) return false;
		const message = printableText([...new Set(errors.map((one) => one.message))].join("; "));
		const sources = new Set(errors.map(({ source }) => source));
		if (this.#trial.length > 0) {
			this.#judgeTrial(this.#trial, sources, message, nowMs);
			return true;
		}
		const changed = [...on.declared.forms.keys()].filter((name) => !this.#closed.has(name) && this.#isChanged(name));
		const named = changed.filter((name) => sources.has(`Service ${name}`));
		const isNamed = named.length > 0 && this.#refusals < XDS_NAMED_TRIALS_MAX;
		const closes = isNamed ? named : this.#accepted === null && !isFresh ? [] : changed;
		this.#refusals++;
		if (closes.length > 0) {
			this.#close(new Map([...this.#closed, ...closes.map((name) => [name, suspected(name, nowMs)] as const)]));
			return true;
		}
		// The client keeps its last good configuration.
		this.#gaveUp = true;
		this.#close(this.#closedBefore);
		return this.#refusals > 1;
	}

	/**
	 * The client holds the whole target.
	 * @param isWhole it rejects nothing; false = it rejects a Gateway's own listener or filter
	 * @returns whether the target has changed
	 */
	take(isWhole: boolean): boolean {
		const on = this.#publication;
		if (on === null) return false;
		if (!this.#settled || this.#trial.length > 0) this.#accept(on);
		const isTrying = this.#trial.length > 0;
		// Suspects that are still to be tried are not reported.
		const isNews = !isTrying || [...this.#closed.values()].every(({ form }) => form !== "");
		if (isWhole && isNews) this.#rested = { revision: on.revision, closed: [...this.#closed.keys()] };
		return isTrying;
	}

	#accept(on: Publication): void {
		const closed = new Map([...this.#closed].filter(([name]) => !this.#trial.includes(name)));
		this.#accepted = closed.size === 0 ? on.declared : { forms: formsAccepted(on.declared, this.#accepted, closed) };
		this.#closed = closed;
		this.#closedBefore = closed;
		if (!this.#settled)
			this.#queue = [[...closed.keys()].filter((name) => closed.get(name)?.form !== on.declared.forms.get(name))];
		this.#settled = true;
		this.#tryNext();
	}

	/** A trial was rejected. A single Service is proved bad; several are split into two trials, the named ones last. */
	#judgeTrial(trial: Services, sources: ReadonlySet<string>, message: string, nowMs: number): void {
		const [only, ...others] = trial;
		if (only !== undefined && others.length === 0) {
			const form = this.#publication?.declared.forms.get(only) ?? "";
			const sinceMs = this.#closed.get(only)?.sinceMs ?? nowMs;
			this.#closed = new Map([...this.#closed, [only, { service: only, form, why: message || SUSPECTED, sinceMs }]]);
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

	/** The published Service differs from the one that the client accepted last. */
	#isChanged(service: string): boolean {
		const form = this.#publication?.declared.forms.get(service);
		return form !== undefined && form !== this.#accepted?.forms.get(service);
	}
}

/** A closed Service keeps its previous form. */
function formsAccepted({ forms }: Declared, before: Memory["accepted"], closed: Closed): ReadonlyMap<string, string> {
	return new Map(
		[...forms].flatMap(([name, form]) => {
			const accepted = closed.has(name) ? before?.forms.get(name) : form;
			return accepted === undefined ? [] : [[name, accepted] as const];
		}),
	);
}

/** A client's error message is never shown to a namespace that it may not be about. */
const SUSPECTED = "this Envoy refuses it, or what changed together with it";

const suspected = (service: string, sinceMs: number): ClosedService => ({ service, form: "", why: SUSPECTED, sinceMs });
