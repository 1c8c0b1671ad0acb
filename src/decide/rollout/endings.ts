/**
 * Experiments that were aborted or rolled back while outcome windows were open. Their evidence is read until the last window
 * has closed, so that a later report is complete. No decisions are made.
 */

import { type Experiment, qualifiedName } from "../../declare/resources/resource.js";
import type { EvidenceQuery } from "../../infer/statistics/evidence.js";
import { EVENTS_MARGIN_MS } from "../../limits/index.js";
import { evidenceQuery } from "./evidenceQuery.js";
import type { EvidenceSource, State } from "./ports.js";
import type { ExperimentStatus } from "./status.js";

/** Short enough for a retry: rows are kept for EVENTS_MARGIN_MS after their time. */
const LOOK_MS = 20 * 60_000;

/** Margin for Envoys that get the new plan later, and for late exposures. */
const SLACK_MS = 60_000;

interface Ending {
	readonly experiment: Experiment;
	readonly status: ExperimentStatus;
	readonly endedAtMs: number;
}

interface Looked {
	/** Distinguishes experiments that reuse a name. */
	readonly endedAtMs: number;
	readonly triedMs: number;
	/** No more evidence is expected. */
	readonly closed: boolean;
}

export class Endings {
	/** By name of the declared Experiment. */
	#looked: ReadonlyMap<string, Looked> = new Map();
	/** Due experiments, the one with the oldest look first. */
	readonly #waiting = new Map<string, Ending>();

	/** Reads one experiment per call, so that running ones do not wait. A failure is retried at the next look. */
	async look(state: State, nowMs: number, evidence: EvidenceSource): Promise<void> {
		const known = this.#wait(state, nowMs);
		for (const [name, { experiment, status, endedAtMs }] of this.#waiting) {
			this.#waiting.delete(name);
			const query = evidenceQuery(state.resources, experiment, status, nowMs);
			const dueMs = lastDueMs(query, status);
			const isGone = nowMs >= dueMs + EVENTS_MARGIN_MS;
			known.set(name, { endedAtMs, triedMs: nowMs, closed: isGone });
			if (isGone) continue;
			const looked = await evidence.evidence(query).then(
				() => true,
				() => false,
			);
			if (looked && nowMs >= dueMs) known.set(name, { endedAtMs, triedMs: nowMs, closed: true });
			return;
		}
	}

	/** Queues due experiments. @returns the known looks of declared ones */
	#wait({ resources, status }: State, nowMs: number): Map<string, Looked> {
		const known = new Map<string, Looked>();
		const waits = new Set<string>();
		for (const experiment of resources.experiments) {
			const name = qualifiedName(experiment.metadata);
			const own = status.experiments[name];
			if (own?.endedAtMs === undefined || !mayBeOpen(own)) continue;
			const { endedAtMs } = own;
			const before = this.#looked.get(name);
			if (before?.endedAtMs === endedAtMs) {
				known.set(name, before);
				if (before.closed || nowMs < before.triedMs + LOOK_MS) continue;
			}
			waits.add(name);
			this.#waiting.set(name, { experiment, status: own, endedAtMs });
		}
		this.#looked = known;
		for (const name of this.#waiting.keys()) if (!waits.has(name)) this.#waiting.delete(name);
		return known;
	}
}

/** After a takeover, units whose windows were open at its start do not count. */
const mayBeOpen = ({ phase, takeover }: ExperimentStatus): boolean =>
	(phase === "Aborted" || phase === "RolledBack") && (takeover === undefined || takeover.heldBack !== undefined);

function lastDueMs({ metrics }: EvidenceQuery, { endedAtMs = 0 }: ExperimentStatus): number {
	return endedAtMs + Math.max(0, ...metrics.map(({ windowMs, settleMs }) => windowMs + settleMs)) + SLACK_MS;
}
