/**
 * Rules of Services as they were last compiled. Most versions of a table change nothing of most Services' rules, and to read a
 * megabyte of them takes some 0.3 s, in which the sidecar answers nobody.
 */
import { createHash } from "node:crypto";
import { type AccessRequest, compileAccess, compileShadow } from "../access/policy.js";
import type { AccessTable } from "../compiler/plan.js";
import type { Verdict } from "./verdict.js";

export interface ServiceAccess {
	readonly authorise: (request: AccessRequest) => Verdict;
	/** The verdict with shadow policies in force; null = there are none. */
	readonly shadow: ((request: AccessRequest) => Verdict) | null;
}

export class CompiledAccess {
	readonly #newest = new Map<string, { readonly digest: string; readonly made: ServiceAccess }>();

	/**
	 * The same object as long as the rules are the same text.
	 * @param name qualified, of the Service
	 */
	of(name: string, access: AccessTable): ServiceAccess {
		// Not XXH64, in which whoever may apply could have other rules look the same.
		const digest = createHash("sha256").update(JSON.stringify(access)).digest("base64");
		const found = this.#newest.get(name);
		if (found?.digest === digest) return found.made;
		const made = { authorise: compileAccess(access, name), shadow: compileShadow(access, name) };
		this.#newest.set(name, { digest, made });
		return made;
	}

	/** Forgets the rules of all Services but these. */
	keep(names: { has(name: string): boolean }): void {
		for (const name of this.#newest.keys()) if (!names.has(name)) this.#newest.delete(name);
	}
}
