/** One publication: a plan as snapshots, whole or with some Services closed. */
import type { CompiledPlan, EnvoyResources } from "../../compile/plan/compiledPlan.js";
import { contentHash } from "./resource.js";
import type { Snapshot, SnapshotMaker } from "./snapshot.js";

/** Configurations of one publication with closed Services that are cached: most Envoys refuse the same ones. */
const XDS_VARIANTS_MAX = 32;

/** The published parts of a plan. */
export interface Published extends Pick<CompiledPlan, "envoy" | "table" | "version"> {
	/** Left out = no Service has a DataClass. */
	readonly bound?: CompiledPlan["bound"];
	/** Left out = no Service can be closed when an Envoy rejects the plan. */
	readonly closable?: Closable;
}

/** Builds the plan for an Envoy that rejects a part of it. */
export interface Closable {
	/** A text per Service, by qualified name. It changes whenever Envoy's configuration of the Service does. */
	readonly forms: () => ReadonlyMap<string, string>;
	/** The resources with these Services (qualified names) closed. The table stays unchanged. */
	readonly close: (services: ReadonlySet<string>) => EnvoyResources;
	/** `close` failed, or made an inconsistent plan. */
	readonly onFault?: (error: unknown) => void;
}

/** Lazy hashes of each Service's declaration and learned state, by qualified name. */
export class Declared {
	#forms: ReadonlyMap<string, string> | null = null;

	constructor(private readonly texts: () => ReadonlyMap<string, string>) {}

	get forms(): ReadonlyMap<string, string> {
		this.#forms ??= new Map([...this.texts()].map(([name, text]) => [name, contentHash(text)]));
		return this.#forms;
	}
}

export class Publication {
	/** Clients keep this instead of the publication, which is large. */
	readonly declared: Declared;
	readonly #variants = new Map<string, Snapshot>();

	/** @param whole made of `published` by `maker` */
	constructor(
		readonly published: Published,
		readonly whole: Snapshot,
		readonly maker: SnapshotMaker,
	) {
		this.declared = new Declared(published.closable?.forms ?? (() => new Map()));
	}

	get revision(): number {
		return this.whole.revision;
	}

	/** @param closed qualified names of Services */
	snapshot(closed: ReadonlySet<string>): Snapshot {
		const { closable } = this.published;
		if (closed.size === 0 || closable === undefined) return this.whole;
		const key = [...closed].sort().join("\n");
		const made = this.#variants.get(key) ?? this.#variant(closable, closed);
		// Moves the entry to the end: the Map's order is the LRU order.
		this.#variants.delete(key);
		this.#variants.set(key, made);
		const oldest = this.#variants.keys().next().value;
		if (this.#variants.size > XDS_VARIANTS_MAX && oldest !== undefined) this.#variants.delete(oldest);
		return made;
	}

	/** If the variant cannot be built, the client rejects the whole plan and keeps its last good configuration. */
	#variant({ close, onFault }: Closable, closed: ReadonlySet<string>): Snapshot {
		try {
			return this.maker.variant(this.whole, close(closed));
		} catch (error) {
			onFault?.(error);
			return this.whole;
		}
	}
}
