/** Runs a scenario many times and counts the experiments with a false claim. */
import { alarms } from "./assignment.js";
import { wrongClaims } from "./events.js";
import { type Method, methodOf } from "./methods.js";
import { type Draw, drawOf } from "./outcomes.js";
import { uniforms } from "./random.js";
import { ArmSample } from "./sample.js";
import { FIRST_LOOKS, RAMP, type Scenario } from "./scenarios.js";

/** Experiments with a wrong claim at any look that counts. */
export interface Wrong {
	above: number;
	below: number;
	missed: number;
}

export interface Tally {
	readonly experiments: number;
	/** All looks count. */
	readonly always: Wrong;
	/** Looks count from so many units in the smaller arm on, in the order of FIRST_LOOKS. */
	readonly from: readonly Wrong[];
}

const none = (): Wrong => ({ above: 0, below: 0, missed: 0 });

/** Units of both arms at each look: the ramp's allocations, up to the scenario's units. */
export function looksOf(units: number, looks: number): readonly number[] {
	const steps = Array.from({ length: looks }, (_, look) => {
		const at = (look + 0.5) / looks;
		let end = 0;
		for (const [share, allocation] of RAMP) {
			end += share;
			if (at < end) return allocation;
		}
		return 1;
	});
	const total = steps.reduce((sum, step) => sum + step, 0);
	let sum = 0;
	return steps.map((step) => {
		sum += step;
		return Math.round((units * sum) / total);
	});
}

/** Experiments [first, first + count) of the scenario; each has a stream of its own, so any split gives the same tally. */
export function run(
	scenario: Scenario,
	first: number,
	count: number,
	looks: number,
	method: Method | null = methodOf(scenario),
): Tally {
	if (method === null) return assign(scenario, first, count, looks);
	const schedule = looksOf(scenario.units, looks);
	const draw = drawOf(scenario);
	const always = none();
	const from = FIRST_LOOKS.map(none);
	for (let experiment = first; experiment < first + count; experiment++)
		runOne(scenario, experiment, schedule, draw, method, [always, ...from]);
	return { experiments: count, always, from };
}

function assign(scenario: Scenario, first: number, count: number, looks: number): Tally {
	const schedule = looksOf(scenario.units, looks);
	const ofOne = (experiment: number): Wrong =>
		scenario.law.of === "assignment"
			? alarms(scenario, experiment, looks)
			: wrongClaims(scenario, experiment, schedule);
	const one = (index: number): Tally => ({
		experiments: 1,
		always: ofOne(first + index),
		from: FIRST_LOOKS.map(none),
	});
	return Array.from({ length: count }, (_, index) => one(index)).reduce(merge);
}

function runOne(
	{ seed, method, share = 0.5 }: Scenario,
	experiment: number,
	schedule: readonly number[],
	draw: Draw,
	by: Method,
	tallies: readonly Wrong[],
): void {
	const uniform = uniforms(seed, experiment);
	const betting = method.startsWith("betting") || method.startsWith("averaged");
	const wide = method === "asympcs-cuped-ratio";
	const [challenger, baseline] = [new ArmSample(betting, wide), new ArmSample(betting, wide)];
	const out = new Float64Array(4);
	const ever = tallies.map(() => ({ above: false, below: false, missed: false }));
	const last = schedule.at(-1) ?? 0;
	let units = 0;
	for (const until of schedule) {
		for (; units < until; units++) {
			const inChallenger = uniform() < share;
			draw(inChallenger, units / last, uniform, out);
			(inChallenger ? challenger : baseline).add(out[0] ?? 0, out[1] ?? 0, out[2] ?? 0, out[3] ?? 0);
		}
		const claims = by.claims(challenger, baseline);
		if (!claims.above && !claims.below && !claims.missed) continue;
		const smaller = Math.min(challenger.n, baseline.n);
		for (const [index, one] of ever.entries()) {
			if (index > 0 && smaller < (FIRST_LOOKS[index - 1] ?? 0)) continue;
			one.above ||= claims.above;
			one.below ||= claims.below;
			one.missed ||= claims.missed;
		}
	}
	for (const [index, one] of ever.entries()) {
		const tally = tallies[index];
		if (tally === undefined) continue;
		tally.above += Number(one.above);
		tally.below += Number(one.below);
		tally.missed += Number(one.missed);
	}
}

/** Both together. */
export function merge(a: Tally, b: Tally): Tally {
	const add = (x: Wrong, y: Wrong | undefined): Wrong => ({
		above: x.above + (y?.above ?? 0),
		below: x.below + (y?.below ?? 0),
		missed: x.missed + (y?.missed ?? 0),
	});
	return {
		experiments: a.experiments + b.experiments,
		always: add(a.always, b.always),
		from: a.from.map((wrong, index) => add(wrong, b.from[index])),
	};
}
