/** One publication: what Envoys are given, whole or with some Services closed, and what is different from another. */
import type { EnvoyResources, Plan } from "../compiler/plan.js";
import { XDS_VARIANTS_MAX } from "../limits.js";
import { contentHash } from "./resource.js";
import type { Snapshot, SnapshotMaker } from "./snapshot.js";

/** The parts of a plan that are published: to Envoys, and to sidecars. */
export interface Published extends Pick<Plan, "envoy" | "table" | "version"> {
	/** Left out = none. */
	readonly residents?: Plan["residents"];
	/** Left out = none. */
	readonly regionRules?: Plan["regionRules"];
	/** Left out = none. */
	readonly placings?: Plan["placings"];
	/** Left out = where an Envoy refuses the plan, nothing of it can be closed. */
	readonly closable?: Closable;
}

/** The same plan for an Envoy that refuses a part of it. */
export interface Closable {
	/** Texts by `Service NAME` and `Gateway NAME`: what changes of them for Envoy shows there. */
	readonly forms: () => ReadonlyMap<string, string>;
	/** The resources with Services closed, by qualified name; the table stays as it is. */
	readonly close: (services: ReadonlySet<string>) => EnvoyResources;
}

export class Publication {
	readonly whole: Snapshot;
	readonly #variants = new Map<string, Snapshot>();
	readonly #bySet = new WeakMap<ReadonlySet<string>, Snapshot>();
	#forms: ReadonlyMap<string, string> | null = null;

	/** @throws WeirError as SnapshotMaker.make does. */
	constructor(
		readonly published: Published,
		readonly revision: number,
		readonly maker: SnapshotMaker,
	) {
		this.whole = maker.make(published, revision);
	}

	/** Hashes of what is declared and learned, by `Service NAME` and `Gateway NAME`; made when they are first needed. */
	get forms(): ReadonlyMap<string, string> {
		this.#forms ??= new Map(
			[...(this.published.closable?.forms() ?? [])].map(([title, text]) => [title, contentHash(text)]),
		);
		return this.#forms;
	}

	/** @param closed qualified names of Services @throws WeirError as SnapshotMaker.make does. */
	snapshot(closed: ReadonlySet<string>): Snapshot {
		const { closable } = this.published;
		if (closed.size === 0 || closable === undefined) return this.whole;
		const known = this.#bySet.get(closed);
		if (known !== undefined) return known;
		const key = [...closed].sort().join("\n");
		const made = this.#variants.get(key) ?? this.maker.variant(this.whole, closable.close(closed));
		// Set again, so that what is in use is the youngest.
		this.#variants.delete(key);
		this.#variants.set(key, made);
		const oldest = this.#variants.keys().next().value;
		this.#bySet.set(closed, made);
		if (this.#variants.size > XDS_VARIANTS_MAX && oldest !== undefined) this.#variants.delete(oldest);
		return made;
	}
}
