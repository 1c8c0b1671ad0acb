/**
 * Calibration of the sample-ratio test: three arms with changing weights, one of which is closed. `above` and `missed` count
 * the experiments with an alarm.
 */
import type { ExposureBatch } from "../../src/infer/statistics/evidence.js";
import { sampleRatio } from "../../src/infer/statistics/sequential/srm.js";
import type { Wrong } from "./experiment.js";
import { uniforms } from "./random.js";
import { ALPHA, type Scenario } from "./scenarios.js";

/** Live points of the arms, one after the other over equal parts of the experiment. */
const PLANS: readonly Readonly<Record<string, number>>[] = [
	{ a: 10_000, b: 10_000, c: 10_000 },
	{ a: 50_000, b: 50_000, c: 50_000 },
	{ a: 300_000, b: 150_000, c: 150_000 },
	{ a: 400_000, b: 200_000, c: 0 },
];

export function alarms({ seed, units }: Scenario, experiment: number, looks: number): Wrong {
	const uniform = uniforms(seed, experiment);
	const batches = PLANS.map((livePoints, index) => ({
		planVersion: `p${index}`,
		firstMs: index,
		livePoints,
		counts: { a: 0, b: 0, c: 0 } as Record<string, number>,
	}));
	for (let look = 0; look < looks; look++) {
		const plan = Math.floor((look * PLANS.length) / looks);
		const batch = batches[plan];
		if (batch === undefined) break;
		for (let unit = 0; unit < units / looks; unit++) {
			const arm = armOf(batch.livePoints, uniform());
			batch.counts[arm] = (batch.counts[arm] ?? 0) + 1;
		}
		const found = sampleRatio(batches.slice(0, plan + 1) satisfies ExposureBatch[]);
		if (found !== null && found.p <= ALPHA) return { above: 1, below: 0, missed: 1 };
	}
	return { above: 0, below: 0, missed: 0 };
}

function armOf(livePoints: Readonly<Record<string, number>>, at: number): string {
	const entries = Object.entries(livePoints);
	const total = entries.reduce((sum, [, points]) => sum + points, 0);
	let end = 0;
	for (const [arm, points] of entries) {
		end += points / total;
		if (at < end) return arm;
	}
	return "a";
}
