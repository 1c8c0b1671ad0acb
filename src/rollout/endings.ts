/**
 * Experiments that were aborted or rolled back while windows of their people were open. Nothing is decided of them any more;
 * they are looked at until the last window is over, so that a report says what came, however late it is asked for.
 */
import type { EvidenceQuery } from "../analysis/evidence.js";
import { EVENTS_MARGIN_MS } from "../limits.js";
import { qualifiedName } from "../resources/resource.js";
import { evidenceQuery } from "./evidenceQuery.js";
import type { EvidenceSource, State } from "./ports.js";
import type { ExperimentStatus } from "./status.js";

/** Two looks and one that fails lie within EVENTS_MARGIN_MS, for which rows are kept after their time. */
const LOOK_MS = 20 * 60_000;

/** Envoys that heard of the end later, and exposures that were heard of later. */
const SLACK_MS = 60_000;

export class Endings {
	readonly #triedMs = new Map<string, number>();
	readonly #closed = new Set<string>();

	/** One at a time: those under way are looked at between. What goes wrong is tried again at the next look. */
	async look(state: State, nowMs: number, evidence: EvidenceSource): Promise<void> {
		for (const { experiment, status, key } of this.#waiting(state, nowMs)) {
			const query = evidenceQuery(state.resources, experiment, status, nowMs);
			const dueMs = lastDueMs(query, status);
			if (nowMs < dueMs + EVENTS_MARGIN_MS) {
				this.#triedMs.set(key, nowMs);
				const looked = await evidence.evidence(query).then(
					() => true,
					() => false,
				);
				if (looked && nowMs >= dueMs) this.#close(key);
				return;
			}
			this.#close(key);
		}
	}

	/** Who was looked at the longest time ago comes first, so that many keep nobody waiting for ever. */
	#waiting({ resources, status }: State, nowMs: number) {
		const open = resources.experiments.flatMap((experiment) => {
			const name = qualifiedName(experiment.metadata);
			const own = status.experiments[name];
			if (own === undefined || !mayBeOpen(own)) return [];
			const key = `${name} ${own.endedAtMs}`;
			const triedMs = this.#triedMs.get(key) ?? Number.NEGATIVE_INFINITY;
			return this.#closed.has(key) || nowMs < triedMs + LOOK_MS ? [] : [{ experiment, status: own, key, triedMs }];
		});
		// Of two that were never looked at the difference is no number.
		return open.sort((a, b) => a.triedMs - b.triedMs || 0);
	}

	#close(key: string): void {
		this.#triedMs.delete(key);
		this.#closed.add(key);
	}
}

/** After a takeover, of units that were open when it began nothing counts. */
const mayBeOpen = ({ phase, endedAtMs, takeover }: ExperimentStatus): boolean =>
	(phase === "Aborted" || phase === "RolledBack") &&
	endedAtMs !== undefined &&
	(takeover === undefined || takeover.heldBack !== undefined);

function lastDueMs({ metrics }: EvidenceQuery, { endedAtMs = 0 }: ExperimentStatus): number {
	return endedAtMs + Math.max(0, ...metrics.map(({ windowMs, settleMs }) => windowMs + settleMs)) + SLACK_MS;
}
