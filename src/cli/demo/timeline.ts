/** The demo as a readable timeline: what happened when, progress in between, and a picture at the end. */
import type { Decision } from "../../decide/rollout/decision.js";
import type { ExperimentStatus } from "../../decide/rollout/status.js";
import type { CrowdCount } from "./crowdProcess.js";

const BARS = " ▁▂▃▄▅▆▇█";

export class Timeline {
	readonly #startedAt = performance.now();
	/** By experiment: the challenger's share of the Service's traffic, once per progress line. */
	readonly #history = new Map<string, number[]>();

	constructor(readonly write: (line: string) => void) {}

	get seconds(): number {
		return (performance.now() - this.#startedAt) / 1_000;
	}

	print(text: string): void {
		this.write(`${this.seconds.toFixed(1).padStart(6)} s  ${text}`);
	}

	decision({ experiment, outcome }: Decision): void {
		if (outcome.action === "hold") return;
		this.print(
			`${experiment.padEnd(20)} ${outcome.action.toUpperCase().padEnd(16)} ${outcome.summary ?? outcome.reason}`,
		);
	}

	progress(
		count: CrowdCount,
		statuses: Readonly<Record<string, ExperimentStatus>>,
		nextAtMs: ReadonlyMap<string, number>,
	): void {
		const shares = Object.entries(statuses).map(([name, status]) => {
			const share = challengerShare(status);
			const history = this.#history.get(name) ?? [];
			history.push(share);
			this.#history.set(name, history);
			if (status.phase !== "Running" && status.phase !== "Promoting") return `${name} ${status.phase}`;
			const seconds = Math.round(((nextAtMs.get(name) ?? 0) - Date.now()) / 1_000);
			return `${name} ${Math.round(share * 100)}%${seconds > 0 ? ` (about ${seconds} s more)` : ""}`;
		});
		this.print(`${count.requests} requests, ${count.failed} failed, ${count.denied} denied · ${shares.join(" · ")}`);
	}

	/** Share of traffic on each challenger over time, one bar a progress line. */
	picture(): readonly string[] {
		return [...this.#history].map(([name, shares]) => {
			const bars = shares.map((share) => BARS[Math.round(share * (BARS.length - 1))] ?? " ").join("");
			return `  ${name.padEnd(20)} |${bars}|`;
		});
	}
}

/** The challenger's share of all units: half of the live ones while running (equal weights), the taken-over ones and those after. */
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
