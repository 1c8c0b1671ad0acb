/** Where what is served differs from what is declared, and why. Pure. */

import type { State } from "../../decide/rollout/ports.js";
import { type ExperimentStatus, liveDefault } from "../../decide/rollout/status.js";
import { serviceOf } from "../../declare/resources/lookup.js";
import { qualifiedName } from "../../declare/resources/resource.js";

export interface ExperimentDifference {
	readonly experiment: string;
	readonly service: string;
	readonly declared: { readonly stepsPpm: readonly number[] };
	readonly live: ExperimentStatus;
	/** One sentence each; empty = as declared. */
	readonly differences: readonly string[];
}

export interface ServiceDifference {
	readonly service: string;
	readonly declaredDefaultVariant: string;
	readonly liveDefaultVariant: string;
	readonly differences: readonly string[];
}

export interface Difference {
	readonly revision: number;
	readonly experiments: readonly ExperimentDifference[];
	readonly services: readonly ServiceDifference[];
}

/** A ramp under way is no difference; a hold, an end or a closed arm is. */
export function difference(state: State): Difference {
	const experiments = state.resources.experiments.flatMap((experiment) => {
		const name = qualifiedName(experiment.metadata);
		const live = state.status.experiments[name];
		if (live === undefined) return [];
		return {
			experiment: name,
			service: serviceOf(experiment),
			declared: { stepsPpm: experiment.spec.rollout.stepsPpm },
			live,
			differences: experimentDifferences(experiment.spec.rollout.stepsPpm, live),
		};
	});
	const services = state.resources.services.map((service) => {
		const name = qualifiedName(service.metadata);
		const declared = service.spec.defaultVariant;
		const live = liveDefault(service, state.status);
		return {
			service: name,
			declaredDefaultVariant: declared,
			liveDefaultVariant: live,
			differences:
				live === declared ? [] : [`declared default variant ${declared}, live ${live}: a promotion put it there`],
		};
	});
	return { revision: state.revision, experiments, services };
}

function experimentDifferences(stepsPpm: readonly number[], live: ExperimentStatus): string[] {
	const found: string[] = [];
	const steps = stepsPpm.map(percent).join(", ");
	switch (live.phase) {
		case "Running":
			break;
		case "Paused":
			found.push(
				`declared to ramp through ${steps}, held at ${percent(live.allocationPpm)} (${live.hold ?? "person"})`,
			);
			break;
		case "Promoting":
		case "Promoted":
			found.push(`declared to measure, ${live.phase} arm ${live.promotion?.arm ?? "?"}`);
			break;
		case "RolledBack":
		case "Aborted":
			found.push(`declared to ramp through ${steps}, ${live.phase}: everyone gets the default variant`);
			break;
	}
	if (live.phase === "Running" && live.allocationPpm !== stepsPpm[live.stepIndex]) {
		found.push(`declared steps ${steps}, live allocation ${percent(live.allocationPpm)} is none of them`);
	}
	for (const arm of live.closedArms) found.push(`arm ${arm} is declared, and closed after proven harm`);
	return found;
}

/** 500000 → `50%`; exact, since ppm has four decimals of a percent. */
function percent(ppm: number): string {
	return `${ppm / 10_000}%`;
}
