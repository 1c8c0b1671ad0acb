/**
 * Why minUnits is not reached: too few people, or missing values of a metric. The two are distinguished because more people
 * do not help if a metric's sender is broken.
 */
import type { DecisionInput } from "./decision.js";
import { expectedUnitsMs } from "./expectation.js";
import type { Explanation } from "./outcome.js";
import { type ArmCount, armCounts, fewest } from "./scarcest.js";
import { called, count } from "./summary.js";

type ValueCount = ArmCount & { readonly metric: string };

export interface Shortage {
	/** Text for a hold. */
	readonly explanation: Explanation;
	/** Text for an end without a verdict. */
	readonly cause: Explanation;
	/** Distinguishes one hold from another (Outcome.lacks). */
	readonly lacks: string;
	/** At the current pace; null = unknown. */
	readonly expectedMs: number | null;
}

/** null = no shortage. */
export function shortageOf(input: DecisionInput): Shortage | null {
	const { minUnits } = input.experiment.spec.rollout;
	const counts = armCounts(input);
	const few = counts.filter((one): one is ValueCount => one.metric !== null && one.units < minUnits);
	// No values at all: more people would not help.
	const silent = fewest(few.filter(({ units, due }) => units === 0 && due >= minUnits));
	if (silent !== null) return shortageOfValues(input, silent);
	const people = fewest(counts.filter(({ metric, units }) => metric === null && units < minUnits));
	if (people !== null) return shortageOfPeople(input, people.arm, people.units, "matured units");
	const unsent = fewest(few.filter(({ due }) => due >= minUnits));
	if (unsent !== null) return shortageOfValues(input, unsent);
	// E.g. after a threshold or cap was frozen: only later people count.
	const later = fewest(few.map((one) => ({ ...one, units: one.due })));
	return (
		later &&
		shortageOfPeople(
			input,
			later.arm,
			later.units,
			`matured units of ${later.metric}`,
			` measured by ${called(later.metric, input.metrics[later.metric])}`,
		)
	);
}

function shortageOfPeople(input: DecisionInput, arm: string, units: number, what: string, measured = ""): Shortage {
	const { minUnits } = input.experiment.spec.rollout;
	const lacks = minUnits - units;
	const reason = `arm ${arm} has ${units} of ${minUnits} ${what}`;
	return {
		explanation: {
			reason,
			summary: `too few people${measured} for a result yet (arm ${arm} has ${count(units)} of ${count(minUnits)})`,
		},
		cause: {
			reason: `${reason}, too few for a result`,
			summary: `because too few people${measured} came (arm ${arm} has ${count(units)} of ${count(minUnits)})`,
		},
		lacks: what,
		expectedMs: expectedUnitsMs(input, [arm], lacks),
	};
}

function shortageOfValues(input: DecisionInput, { arm, metric, units, due }: ValueCount): Shortage {
	const { minUnits } = input.experiment.spec.rollout;
	if (units === 0) {
		const { source, denominator } = input.metrics[metric]?.spec ?? {};
		// A ratio needs outcomes of numerator and denominator.
		const value = source === "outcome" && denominator === null ? "outcome" : "value";
		const text = (people: string) => `no ${value} of ${metric} came for arm ${arm}, of ${people}`;
		const explanation = { reason: text(`${due} matured units`), summary: text(`${count(due)} people`) };
		const cause = { reason: explanation.reason, summary: `because ${explanation.summary}` };
		return { explanation, cause, lacks: `any value of ${metric} in arm ${arm}`, expectedMs: null };
	}
	const explanation = {
		reason: `${units} of ${due} matured units of arm ${arm} have a value of ${metric}, ${minUnits} are needed`,
		summary: `${count(units)} of ${count(due)} people of arm ${arm} have a value of ${metric}, ${count(minUnits)} are needed for a result`,
	};
	const cause = { reason: explanation.reason, summary: `because only ${explanation.summary}` };
	// At the rate so far. rules/brokenData.ts detects a silent sender earlier.
	const expectedMs = expectedUnitsMs(input, [arm], minUnits - units, units / due);
	return { explanation, cause, lacks: `units with ${metric}`, expectedMs };
}
