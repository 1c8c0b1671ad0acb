/** A cache of compiled rules across table versions, so that a ramp or another Service's change compiles none. */
import { createHash } from "node:crypto";
import { type AccessRequest, compileAccess, compileShadow } from "../../compile/access/rules/policy.js";
import type { AccessTable } from "../../compile/table/plan.js";
import type { Verdict } from "./verdict.js";

export interface ServiceAccess {
	readonly authorise: (request: AccessRequest) => Verdict;
	/** The verdict with shadow policies in force; null = there are none. */
	readonly shadow: ((request: AccessRequest) => Verdict) | null;
}

export class CompiledAccess {
	readonly #newest = new Map<string, { readonly digest: string; readonly made: ServiceAccess }>();

	/**
	 * The same object while the rules have the same text. The largest allowed rules (RULE_VALUES_MAX) take some 0.1 s.
	 * @param name the Service's qualified name
	 */
	of(name: string, access: AccessTable): ServiceAccess {
		// Not XXH64: a user who may apply rules could create a collision.
		const digest = createHash("sha256").update(JSON.stringify(access)).digest("base64");
		const found = this.#newest.get(name);
		if (found?.digest === digest) return found.made;
		const made = { authorise: compileAccess(access, name), shadow: compileShadow(access, name) };
		this.#newest.set(name, { digest, made });
		return made;
	}

	/** Drops the rules of Services that are not in the newest table. */
	keep(names: { has(name: string): boolean }): void {
		for (const name of this.#newest.keys()) if (!names.has(name)) this.#newest.delete(name);
	}
}
