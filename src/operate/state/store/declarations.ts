/** Which revisions changed a resource last, and were declared or overwritten by a start of `weir up` last. */
import type { StateDatabase } from "./database.js";

export class Declarations {
	readonly #database: Pick<StateDatabase, "counters" | "transaction">;

	constructor(database: Pick<StateDatabase, "counters" | "transaction">) {
		this.#database = database;
	}

	/** Revision of the last change of a resource, by any user; 0 = nothing was ever declared. */
	get revision(): number {
		return this.#database.counters.get("declared") ?? 0;
	}

	/** The last revision that a start of `weir up` had seen; null = none. Backed up and restored with the state. */
	get startRevision(): number | null {
		return this.#database.counters.get("started") ?? null;
	}

	/** Records that a start has seen all declarations up to now. */
	start(): void {
		const { revision } = this;
		this.#database.transaction(() => this.#database.counters.putSync("started", revision));
	}
}
