/** The allocation over time, from the decisions. */
import type { Decision } from "../rollout/decision.js";
import type { Phase } from "../rollout/status.js";

export interface AllocationStep {
	readonly atMs: number;
	readonly sequence: number;
	/** Live share of the slot from here on. */
	readonly allocationPpm: number;
	/** Part of the remaining traffic that the winner has taken over; 0 before a promotion. */
	readonly takeoverPpm: number;
	readonly phase: Phase;
}

/** One entry for each decision that changed the share, the takeover or the phase, oldest first. */
export function allocationOf(decisions: readonly Decision[]): readonly AllocationStep[] {
	const steps: AllocationStep[] = [];
	for (const { sequence, atMs, outcome } of decisions) {
		const { phase, promotion } = outcome.status;
		const ended = phase === "RolledBack" || phase === "Aborted";
		const allocationPpm = ended ? 0 : outcome.status.allocationPpm;
		const takeoverPpm = ended ? 0 : (promotion?.takeoverPpm ?? 0);
		const last = steps.at(-1);
		if (
			last === undefined ||
			last.allocationPpm !== allocationPpm ||
			last.takeoverPpm !== takeoverPpm ||
			last.phase !== phase
		)
			steps.push({ atMs, sequence, allocationPpm, takeoverPpm, phase });
	}
	return steps;
}
