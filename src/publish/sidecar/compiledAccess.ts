/**
 * Rules of Services as they were last compiled. Most versions of a table change nothing of most Services' rules, and to read a
 * megabyte of them takes some 0.3 s, in which the sidecar would answer nobody.
 */
import { createHash } from "node:crypto";
import { type AccessRequest, accessSteps, shadowSteps } from "../../compile/access/rules/policy.js";
import type { Steps } from "../../compile/access/rules/steps.js";
import type { AccessTable, ServiceTable } from "../../compile/table/plan.js";
import type { Verdict } from "./verdict.js";

export interface ServiceAccess {
	readonly authorise: (request: AccessRequest) => Verdict;
	/** The verdict with shadow policies in force; null = there are none. */
	readonly shadow: ((request: AccessRequest) => Verdict) | null;
}

/** Rules whose text is shorter are read at their first request: in a few milliseconds. */
const AHEAD_CHARS_MIN = 8_192;

/** Rules of one Service on their way to be answerable. */
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

	/** null = there is work left. */
	get made(): ServiceAccess | null {
		return this.#made;
	}

	/** @throws what keeps them from being made, each time: a generator that has thrown is over, and gives nothing */
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

	/** Does at once what is left. */
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
	/** Of the table that comes next, or has just come. */
	readonly #ahead = new Map<string, Building>();
	readonly #digests = new WeakMap<AccessTable, string>();

	/**
	 * The same object as long as the rules are the same text.
	 * @param name qualified, of the Service
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

	/** Reads what a table to come has changed of large rules, so that no request waits for it; of() finishes what is left. */
	*ahead(services: readonly Pick<ServiceTable, "name" | "access">[]): Steps<void> {
		for (const { name, access } of services) {
			yield;
			// What a former table left half done stays until it is looked at: there may be no time for it now.
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
				// Nor can the first request have them: it says so, and other Services' rules wait for nothing.
			}
		}
	}

	/** The newest table has these Services and no others; what was read ahead is what it has. */
	keep(names: { has(name: string): boolean }): void {
		for (const [name, { digest, made }] of this.#ahead) {
			if (made === null) continue;
			this.#newest.set(name, { digest, made });
			this.#ahead.delete(name);
		}
		for (const of of [this.#newest, this.#ahead]) for (const name of of.keys()) if (!names.has(name)) of.delete(name);
	}
}

/** Not XXH64, in which whoever may apply could have other rules look the same. */
const digestOf = (text: string): string => createHash("sha256").update(text).digest("base64");
