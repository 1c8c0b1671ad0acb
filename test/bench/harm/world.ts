/**
 * The simulated world of the harm benchmark: users arrive each minute, send one to three requests, and meet a Variant's faults.
 * All levels move with the time of day. A seed fixes the world, and every rule sees the same users.
 */

import { type Moments, NO_MOMENTS } from "../../../src/infer/statistics/statistics/moments.js";
import { normal, uniforms } from "../../calibrate/random.js";
import { addValue } from "../../infer/statistics/formulas.js";

export const PEOPLE_PER_MINUTE = 500;
export const MINUTES = 300;

/** The challenger's share of all people, as every ramp here has it, each for STEP_MINUTES. */
export const STEPS = [0.02, 0.1, 0.25] as const;
export const STEP_MINUTES = 30;

export const SEGMENTS = 10;

/** The challenger's differences from the baseline. */
export interface Fault {
	readonly name: string;
	/** Factor of the latency at a minute. */
	readonly slower: (minute: number) => number;
	/** Added to the probability that a request fails. */
	readonly errors: (segment: number) => number;
	/** Taken from the probability that the answer is right. */
	readonly wrong: number;
}

const none = (): number => 0;
const one = (): number => 1;
export const NO_FAULT: Fault = { name: "none", slower: one, errors: none, wrong: 0 };
export const FAULTS: readonly Fault[] = [
	{ name: "latency +30 %", slower: () => 1.3, errors: none, wrong: 0 },
	{ name: "errors +0.5 pp", slower: one, errors: () => 0.005, wrong: 0 },
	{ name: "accuracy −2 pp", slower: one, errors: none, wrong: 0.02 },
	{ name: "slow leak, +0.5 % a minute", slower: (minute) => 1 + 0.005 * minute, errors: none, wrong: 0 },
	{
		name: "errors +5 pp in one segment of ten",
		slower: one,
		errors: (segment) => (segment === 3 ? 0.05 : 0),
		wrong: 0,
	},
];

/** Median of a healthy service at the middle of the day. */
export const LATENCY_MS = 40;
export const LATENCY_SIGMA = 0.5;
const ERRORS = 0.002;
const ACCURACY = 0.8;

/** One person's requests. */
export interface Person {
	readonly segment: number;
	readonly requests: number;
	readonly failed: number;
	readonly latencies: readonly number[];
	readonly right: number;
}

/** Users of one minute who meet a variant, in any arm. */
export class World {
	readonly #uniform: () => number;

	constructor(
		seed: number,
		private readonly fault: Fault,
	) {
		this.#uniform = uniforms(4_711, seed);
	}

	person(minute: number, challenger: boolean): Person {
		const uniform = this.#uniform;
		const day = Math.sin((2 * Math.PI * minute) / MINUTES);
		const segment = Math.floor(uniform() * SEGMENTS);
		const requests = 1 + Math.floor(3 * uniform());
		const slower = (1 + 0.1 * day) * (challenger ? this.fault.slower(minute) : 1);
		const failing = ERRORS * (1 + 0.5 * day) + (challenger ? this.fault.errors(segment) : 0);
		const latencies: number[] = [];
		let failed = 0;
		for (let request = 0; request < requests; request++) {
			latencies.push(LATENCY_MS * slower * Math.exp(LATENCY_SIGMA * normal(uniform)));
			if (uniform() < failing) failed++;
		}
		const right = uniform() < ACCURACY + 0.01 * day - (challenger ? this.fault.wrong : 0) ? 1 : 0;
		return { segment, requests, failed, latencies, right };
	}
}

/** What a monitoring system scrapes of one variant in one minute. */
export interface Minute {
	requests: number;
	failed: number;
	latency: Moments;
	right: Moments;
}

export const emptyMinute = (): Minute => ({ requests: 0, failed: 0, latency: NO_MOMENTS, right: NO_MOMENTS });

export function scrape(minute: Minute, person: Person): void {
	minute.requests += person.requests;
	minute.failed += person.failed;
	for (const latency of person.latencies) minute.latency = addValue(minute.latency, latency);
	minute.right = addValue(minute.right, person.right);
}

/** The step that a ramp by time alone is at. */
export function stepAt(minute: number): number {
	return STEPS[Math.min(STEPS.length - 1, Math.floor(minute / STEP_MINUTES))] ?? 0;
}
