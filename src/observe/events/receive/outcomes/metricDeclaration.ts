/** Metric declarations from control: the names outcomes may carry, and how long their rows are needed. */

import type { Judge } from "../../../../decide/rollout/judges.js";
import { WeirError } from "../../../../error.js";

/** How long metric declarations are cached. */
const METRICS_CACHE_MS = 1_000;

export interface MetricDeclaration {
	/** Name in outcomes and evidence queries. */
	readonly name: string;
	readonly type: "mean" | "rate" | "ratio" | "quantile";
	readonly source: "outcome" | "latency" | "errors";
	readonly windowMs: number;
	/** Rows this long before a unit's first exposure are needed too; absent or null = none. */
	readonly covariateMs?: number | null;
	/** Every value must be within these bounds; absent or null = any finite number. */
	readonly range?: { readonly lo: number; readonly hi: number } | null;
	/** SPIFFE ids that may post its outcomes; absent or empty = the local owner only. */
	readonly senders?: readonly string[];
	/** Running experiments that use it; absent = none known. */
	readonly judges?: readonly Judge[];
}

type Declarations = ReadonlyMap<string, MetricDeclaration>;

/** Metric declarations, fetched at most once a second; the last known ones while control does not answer. */
export class MetricCatalogue {
	#known: Declarations | null = null;
	#askedMs = Number.NEGATIVE_INFINITY;
	#asking: Promise<Declarations> | null = null;

	constructor(
		private readonly source: () => Promise<readonly MetricDeclaration[]>,
		private readonly monotonicMs = () => performance.now(),
	) {}

	/** Throws `unavailable` if they were never fetched. */
	async current(): Promise<Declarations> {
		if (this.#known !== null && this.monotonicMs() - this.#askedMs < METRICS_CACHE_MS) return this.#known;
		return this.refresh();
	}

	/** Fetches now, without the one-second limit: a Metric may have been declared since. */
	refresh(): Promise<Declarations> {
		this.#asking ??= this.#ask().finally(() => {
			this.#asking = null;
		});
		return this.#asking;
	}

	async #ask(): Promise<Declarations> {
		try {
			const all = await this.source();
			this.#known = new Map(all.map((metric) => [metric.name, metric]));
		} catch (thrown) {
			if (this.#known === null) {
				throw new WeirError("unavailable", "the declared metrics are not known yet", "try again in a moment", {
					cause: thrown,
				});
			}
		}
		this.#askedMs = this.monotonicMs();
		return this.#known ?? new Map();
	}
}
