/** Which revisions changed a resource last, and were declared or overwritten by a start of `weir up` last. */
import type { StateDatabase } from "./database.js";

export class Declarations {
	readonly #database: Pick<StateDatabase, "counters" | "transaction">;

	constructor(database: Pick<StateDatabase, "counters" | "transaction">) {
		this.#database = database;
	}

	/** Of the last change of a resource, whoever made it; 0 = nothing was ever declared. */
	get revision(): number {
		return this.#database.counters.get("declared") ?? 0;
	}

	/** Of the last one that a start had taken into account; null = none has. Lost and brought back with the state that it is about. */
	get startRevision(): number | null {
		return this.#database.counters.get("started") ?? null;
	}

	/** A start has taken into account all that was declared up to now. */
	start(): void {
		const { revision } = this;
		this.#database.transaction(() => this.#database.counters.putSync("started", revision));
	}
}
