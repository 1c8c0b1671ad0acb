/** The demo as a readable timeline: what happened when, progress in between, and a picture at the end. */
import type { Decision } from "../../decide/rollout/decision.js";
import type { ExperimentStatus } from "../../decide/rollout/status.js";
import type { CrowdCount } from "./crowd.js";

const BARS = " ▁▂▃▄▅▆▇█";

export class Timeline {
	readonly #startedAt = performance.now();
	/** By experiment: the challenger's share of the Service's traffic, once per progress line. */
	readonly #history = new Map<string, number[]>();

	constructor(readonly write: (line: string) => void) {}

	get seconds(): number {
		return (performance.now() - this.#startedAt) / 1_000;
	}

	say(text: string): void {
		this.write(`${this.seconds.toFixed(1).padStart(6)} s  ${text}`);
	}

	decision({ experiment, outcome }: Decision): void {
		if (outcome.action === "hold") return;
		this.say(`${experiment.padEnd(20)} ${outcome.action.toUpperCase().padEnd(16)} ${outcome.reason}`);
	}

	progress(
		count: CrowdCount,
		statuses: Readonly<Record<string, ExperimentStatus>>,
		expectedMs: ReadonlyMap<string, number | null>,
	): void {
		const shares = Object.entries(statuses).map(([name, status]) => {
			const share = challengerShare(status);
			const history = this.#history.get(name) ?? [];
			history.push(share);
			this.#history.set(name, history);
			const ms = expectedMs.get(name) ?? null;
			const settled = status.phase !== "Running" && status.phase !== "Promoting";
			const state = settled
				? status.phase
				: `${Math.round(share * 100)}%${ms === null ? "" : ` (~${Math.ceil(ms / 1_000)} s to a verdict)`}`;
			return `${name} ${state}`;
		});
		this.say(`${count.requests} requests, ${count.failed} failed, ${count.denied} denied · ${shares.join(" · ")}`);
	}

	/** Share of traffic on each challenger over time, one bar a progress line. */
	picture(): readonly string[] {
		return [...this.#history].map(([name, shares]) => {
			const bars = shares.map((share) => BARS[Math.round(share * (BARS.length - 1))] ?? " ").join("");
			return `  ${name.padEnd(20)} |${bars}|`;
		});
	}
}

/** Of all units: half of the live ones while running (equal weights), the taken-over ones and those after. */
function challengerShare(status: ExperimentStatus): number {
	switch (status.phase) {
		case "Running":
		case "Paused":
			return status.allocationPpm / 2e6;
		case "Promoting":
			return (
				0.5 * (status.allocationPpm / 1e6) +
				(1 - 0.5 * (status.allocationPpm / 1e6)) * ((status.promotion?.takeoverPpm ?? 0) / 1e6)
			);
		case "Promoted":
			return 1;
		default:
			return 0;
	}
}
