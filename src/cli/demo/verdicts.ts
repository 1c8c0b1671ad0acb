/** What the demo came to: a line per Service, the figures of RESULT, and what differs from what was expected. */
import type { Decision } from "../../decide/rollout/decision.js";
import type { ExperimentStatus } from "../../decide/rollout/status.js";
import type { CrowdCount } from "./crowdProcess.js";
import type { DemoService } from "./modes.js";

export interface Ending {
	readonly services: readonly DemoService[];
	/** By experiment. */
	readonly statuses: Readonly<Record<string, ExperimentStatus>>;
	readonly decisions: readonly Decision[];
	readonly count: CrowdCount;
}

const phaseOf = ({ statuses }: Ending, { experiment }: DemoService): string => statuses[experiment]?.phase ?? "missing";

const inPhase = (ending: Ending, phase: string): readonly string[] =>
	ending.services.filter((service) => phaseOf(ending, service) === phase).map(({ experiment }) => experiment);

export function verdictLines(ending: Ending): readonly string[] {
	return ending.services.map((service) => {
		const own = ending.decisions.filter(({ experiment }) => experiment === service.experiment);
		const verdict = own.find(({ outcome: { action } }) => action === "promote" || action === "roll-back");
		const shown = verdict ?? own.findLast(({ outcome }) => outcome.action !== "hold");
		const summary = shown?.outcome.summary ?? "";
		return `  ${service.experiment.padEnd(20)} ${phaseOf(ending, service).padEnd(12)} ${summary}`;
	});
}

export const figuresOf = (ending: Ending) => ({
	requests: ending.count.requests,
	failed: ending.count.failed,
	promoted: inPhase(ending, "Promoted").join(","),
	rolledBack: inPhase(ending, "RolledBack"),
	denied: ending.count.denied,
	assignmentMismatches: ending.count.assignmentMismatches,
	decisions: ending.decisions.length,
});

/** Empty if all came out as expected. */
export function faultsOf(ending: Ending): readonly string[] {
	const { count, services } = ending;
	const unexpected = services.flatMap((service) => {
		const phase = phaseOf(ending, service);
		const { experiment, expected } = service;
		const isRight = expected === null ? phase !== "Promoted" : phase === expected;
		return isRight ? [] : [`${experiment} is ${phase}, expected ${expected ?? "no promotion"}`];
	});
	return [
		...unexpected,
		...(count.failed > 0 ? [`${count.failed} requests failed, the first: ${count.firstFailure}`] : []),
		...(count.denied === 0 || count.notDenied > 0
			? [`the client without rights was refused ${count.denied} times, and ${count.notDenied} times not`]
			: []),
		...(count.assignmentMismatches > 0 ? [`${count.assignmentMismatches} answers came from another arm`] : []),
		...(count.outcomesRefused > 0 ? [`${count.outcomesRefused} outcomes were refused`] : []),
	];
}
