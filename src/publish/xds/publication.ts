/** One publication: what Envoys are given, whole or with some Services closed, and what is different from another. */
import type { EnvoyResources, Plan } from "../../compile/table/plan.js";
import { XDS_VARIANTS_MAX } from "../../limits/index.js";
import { contentHash } from "./resource.js";
import type { Snapshot, SnapshotMaker } from "./snapshot.js";

/** The parts of a plan that are published: to Envoys, and to sidecars. */
export interface Published extends Pick<Plan, "envoy" | "table" | "version"> {
	/** Left out = no Service has a DataClass. */
	readonly bound?: Plan["bound"];
	/** Left out = where an Envoy refuses the plan, nothing of it can be closed. */
	readonly closable?: Closable;
}

/** The same plan for an Envoy that refuses a part of it. */
export interface Closable {
	/** A text by qualified name of each Service, which changes whenever Envoy is given something else of it. */
	readonly forms: () => ReadonlyMap<string, string>;
	/** The resources with Services closed, by qualified name; the table stays as it is. */
	readonly close: (services: ReadonlySet<string>) => EnvoyResources;
	/** `close` has failed, or made an inconsistent plan. */
	readonly onFault?: (error: unknown) => void;
}

/** Hashes of what is declared and learned of each Service, by qualified name; made when they are first needed. */
export class Declared {
	#forms: ReadonlyMap<string, string> | null = null;

	constructor(private readonly texts: () => ReadonlyMap<string, string>) {}

	get forms(): ReadonlyMap<string, string> {
		this.#forms ??= new Map([...this.texts()].map(([name, text]) => [name, contentHash(text)]));
		return this.#forms;
	}
}

export class Publication {
	readonly whole: Snapshot;
	/** Kept of clients, without the publication itself, which is large. */
	readonly declared: Declared;
	readonly #variants = new Map<string, Snapshot>();

	/** @throws WeirError as SnapshotMaker.make does. */
	constructor(
		readonly published: Published,
		readonly revision: number,
		readonly maker: SnapshotMaker,
	) {
		this.whole = maker.make(published, revision);
		this.declared = new Declared(published.closable?.forms ?? (() => new Map()));
	}

	/** @param closed qualified names of Services */
	snapshot(closed: ReadonlySet<string>): Snapshot {
		const { closable } = this.published;
		if (closed.size === 0 || closable === undefined) return this.whole;
		const key = [...closed].sort().join("\n");
		const made = this.#variants.get(key) ?? this.#variant(closable, closed);
		// Set again, so that what is in use is the youngest.
		this.#variants.delete(key);
		this.#variants.set(key, made);
		const oldest = this.#variants.keys().next().value;
		if (this.#variants.size > XDS_VARIANTS_MAX && oldest !== undefined) this.#variants.delete(oldest);
		return made;
	}

	/** Where it cannot be made the client refuses the whole one, and keeps its last good configuration. */
	#variant({ close, onFault }: Closable, closed: ReadonlySet<string>): Snapshot {
		try {
			return this.maker.variant(this.whole, close(closed));
		} catch (error) {
			onFault?.(error);
			return this.whole;
		}
	}
}
