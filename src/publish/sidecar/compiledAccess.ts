/** A cache of compiled rules across table versions: parsing 1 MB of rules blocks the sidecar for some 0.3 s. */
import { createHash } from "node:crypto";
import { type AccessRequest, accessSteps, shadowSteps } from "../../compile/access/rules/policy.js";
import type { AccessTable, ServiceTable } from "../../compile/plan/compiledPlan.js";
import type { Steps } from "../../limits/slices.js";
import type { Verdict } from "./verdict.js";

export interface ServiceAccess {
	readonly authorise: (request: AccessRequest) => Verdict;
	/** The verdict with shadow policies in force; null = there are none. */
	readonly shadow: ((request: AccessRequest) => Verdict) | null;
}

/** Shorter rules are compiled at their first request, in a few milliseconds. */
const AHEAD_CHARS_MIN = 8_192;

/** The compilation of one Service's rules. */
class Building {
	readonly #steps: Steps<ServiceAccess>;
	#made: ServiceAccess | null = null;
	#failed: { readonly error: unknown } | null = null;

	constructor(
		readonly digest: string,
		access: AccessTable,
		name: string,
	) {
		this.#steps = serviceSteps(access, name);
	}

	/** null = unfinished. */
	get made(): ServiceAccess | null {
		return this.#made;
	}

	/** @throws the error of the compilation, at each call, because a generator that threw is over */
	advance(): ServiceAccess | null {
		if (this.#made !== null) return this.#made;
		if (this.#failed !== null) throw this.#failed.error;
		try {
			const { done, value } = this.#steps.next();
			if (done) this.#made = value;
		} catch (error) {
			this.#failed = { error };
			throw error;
		}
		return this.#made;
	}

	/** Finishes the compilation. */
	finish(): ServiceAccess {
		for (;;) {
			const made = this.advance();
			if (made !== null) return made;
		}
	}
}

function* serviceSteps(access: AccessTable, name: string): Steps<ServiceAccess> {
	const authorise = yield* accessSteps(access, name);
	return { authorise, shadow: yield* shadowSteps(access, name) };
}

export class CompiledAccess {
	readonly #newest = new Map<string, { readonly digest: string; readonly made: ServiceAccess }>();
	/** Rules that are being compiled for the next or the newest table. */
	readonly #ahead = new Map<string, Building>();
	readonly #digests = new WeakMap<AccessTable, string>();

	/**
	 * The same object while the rules have the same text.
	 * @param name the Service's qualified name
	 */
	of(name: string, access: AccessTable): ServiceAccess {
		const digest = this.#digests.get(access) ?? digestOf(JSON.stringify(access));
		const found = this.#newest.get(name);
		if (found?.digest === digest) return found.made;
		const ahead = this.#ahead.get(name);
		const building = ahead?.digest === digest ? ahead : new Building(digest, access, name);
		const made = building.finish();
		this.#newest.set(name, { digest, made });
		return made;
	}

	/** Compiles the changed large rules of the next table, so that no request waits for them; of() finishes the rest. */
	*ahead(services: readonly Pick<ServiceTable, "name" | "access">[]): Steps<void> {
		for (const { name, access } of services) {
			yield;
			// An unfinished compilation of a previous table stays: there may be no time for it now.
			const before = this.#ahead.get(name);
			const text = JSON.stringify(access);
			if (text.length < AHEAD_CHARS_MIN) {
				this.#ahead.delete(name);
				continue;
			}
			yield;
			const digest = digestOf(text);
			this.#digests.set(access, digest);
			if (this.#newest.get(name)?.digest === digest) {
				this.#ahead.delete(name);
				continue;
			}
			const building = before?.digest === digest ? before : new Building(digest, access, name);
			this.#ahead.set(name, building);
			try {
				while (building.advance() === null) yield;
			} catch {
				// The first request reports the error; the other Services continue.
			}
		}
	}

	/** Drops the rules of Services that are not in the newest table. */
	keep(names: { has(name: string): boolean }): void {
		for (const [name, { digest, made }] of this.#ahead) {
			if (made === null) continue;
			this.#newest.set(name, { digest, made });
			this.#ahead.delete(name);
		}
		for (const of of [this.#newest, this.#ahead]) for (const name of of.keys()) if (!names.has(name)) of.delete(name);
	}
}

/** Not XXH64: a user who may apply rules could create a collision. */
const digestOf = (text: string): string => createHash("sha256").update(text).digest("base64");
