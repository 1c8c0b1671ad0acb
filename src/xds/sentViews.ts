/**
 * What the versions that were sent lately stand for. An Envoy whose stream breaks comes back with a version: with
 * its view the server knows which clusters the client's routes still need.
 */
import type { TypeName } from "./resource.js";
import type { View } from "./snapshot.js";
import type { SentViews } from "./stream.js";

export class RecentViews implements SentViews {
	readonly #views = new Map<string, View>();

	constructor(readonly max: number) {}

	remember(type: TypeName, version: string, view: View): void {
		const key = `${type} ${version}`;
		// Set again, so that what is in use is the youngest.
		this.#views.delete(key);
		this.#views.set(key, view);
		const oldest = this.#views.keys().next().value;
		if (this.#views.size > this.max && oldest !== undefined) this.#views.delete(oldest);
	}

	recall(type: TypeName, version: string): View | null {
		return this.#views.get(`${type} ${version}`) ?? null;
	}
}
