/**
 * Experiments that were aborted or rolled back while windows of their people were open. Nothing is decided of them any more;
 * they are looked at until the last window is over, so that a report says what came, however late it is asked for.
 */

import { type Experiment, qualifiedName } from "../../declare/resources/resource.js";
import type { EvidenceQuery } from "../../infer/statistics/evidence.js";
import { EVENTS_MARGIN_MS } from "../../limits/index.js";
import { evidenceQuery } from "./evidenceQuery.js";
import type { EvidenceSource, State } from "./ports.js";
import type { ExperimentStatus } from "./status.js";

/** Two looks and one that fails lie within EVENTS_MARGIN_MS, for which rows are kept after their time. */
const LOOK_MS = 20 * 60_000;

/** Envoys that heard of the end later, and exposures that were heard of later. */
const SLACK_MS = 60_000;

interface Ending {
	readonly experiment: Experiment;
	readonly status: ExperimentStatus;
	readonly endedAtMs: number;
}

interface Looked {
	/** The same name may be declared again, and end again. */
	readonly endedAtMs: number;
	readonly triedMs: number;
	/** There is no more to look for. */
	readonly closed: boolean;
}

export class Endings {
	/** By name, of those that are declared. */
	#looked: ReadonlyMap<string, Looked> = new Map();
	/** Whose time has come. Who was looked at the longest time ago comes first, so that many keep nobody waiting for ever. */
	readonly #waiting = new Map<string, Ending>();

	/** One at a time: those under way are looked at between. What goes wrong is tried again at the next look. */
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

	/** @returns what was looked at of those that are declared, to be added to */
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

/** After a takeover, of units that were open when it began nothing counts. */
const mayBeOpen = ({ phase, takeover }: ExperimentStatus): boolean =>
	(phase === "Aborted" || phase === "RolledBack") && (takeover === undefined || takeover.heldBack !== undefined);

function lastDueMs({ metrics }: EvidenceQuery, { endedAtMs = 0 }: ExperimentStatus): number {
	return endedAtMs + Math.max(0, ...metrics.map(({ windowMs, settleMs }) => windowMs + settleMs)) + SLACK_MS;
}
