/**
 * Simulates an experiment through a promotion into a holdback: new units at every look, the arm by the table that Envoy
 * gets, counted units by the store's own query, and decide() at every look. The outcomes' level moves
 * with the season, alike in both arms.
 */

import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import { experimentTable } from "../../../src/compile/assignment/experimentTable.js";
import { sharePoints } from "../../../src/compile/assignment/region.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import { type DecisionInput, type Outcome, RULES } from "../../../src/decide/rollout/decision.js";
import { evidenceQuery } from "../../../src/decide/rollout/evidenceQuery.js";
import { type ExperimentStatus, initialStatus } from "../../../src/decide/rollout/status.js";
import type { ArmEvidence, Evidence, ExposureBatch } from "../../../src/infer/statistics/evidence.js";
import { resourceSet } from "../../fixtures/resources.js";
import { random } from "../../infer/statistics/random.js";
import { experiment, METRICS, NOTHING_BESIDE, ROLLOUT, rate } from "./example.js";

export interface Season {
	/** Share of ones in the baseline until the holdback, and ten looks into it. */
	readonly before: number;
	readonly after: number;
	/** How much higher it is in the challenger. */
	readonly better: number;
	/** The same since the holdback began; absent: as before. */
	readonly betterLater?: number;
	readonly looks: number;
	readonly rules?: number;
}

export interface HeldLife {
	/** Look at which the holdback began; null: it never did. */
	readonly heldAt: number | null;
	/** What was decided at the end, and when. */
	readonly end: { readonly look: number; readonly input: DecisionInput; readonly outcome: Outcome } | null;
}

export const PEOPLE_PER_LOOK = 1_500;
const LOOK_MS = 1_000;
/** The metric's window with its delivery: a unit is measured two looks after its arrival. */
const DUE_MS = 1_500;

export const HELD = experiment(["boosted"], {
	goal: { metric: "accuracy", improveBy: { kind: "absolute", value: 0 } },
	guardrails: [],
	rollout: {
		...ROLLOUT,
		stepsPpm: [500_000, 1_000_000],
		everyMs: 2_000,
		maxDurationMs: null,
		holdback: { sharePpm: 50_000, forMs: 1e9 },
	},
});

const RESOURCES = resourceSet({ experiments: [HELD], metrics: Object.values(METRICS) });

/** People of one arm who came in one look. */
interface Crowd {
	readonly arm: string;
	readonly plan: string;
	readonly firstMs: number;
	readonly n: number;
	readonly ones: number;
}

export function live(seed: number, season: Season): HeldLife {
	const { before, after, better, betterLater = better, looks, rules = RULES } = season;
	const next = random(seed);
	let status: ExperimentStatus = initialStatus(HELD.spec.rollout.stepsPpm, 0);
	const people: Crowd[] = [];
	const plans = new Map<string, Readonly<Record<string, number>>>();
	let heldAt: number | null = null;
	for (let look = 1; look <= looks; look++) {
		const nowMs = look * LOOK_MS;
		const table = experimentTable(HELD, null, status);
		if (table === null) break;
		const { locate } = compileAssignment(table);
		const plan = JSON.stringify([table.arms.map(({ livePoints }) => livePoints), table.takeover]);
		const takenPpm = table.takeover?.ppm ?? 0;
		plans.set(
			plan,
			Object.fromEntries(
				table.arms.map(({ name, livePoints, baseline }) => [
					name,
					baseline ? livePoints - sharePoints(livePoints, takenPpm) : livePoints,
				]),
			),
		);
		if (status.promotion?.heldBackFromMs !== undefined) heldAt ??= look;
		const level = heldAt === null ? before : before + (after - before) * Math.min(1, (look - heldAt) / 10);
		const gain = heldAt === null ? better : betterLater;
		const came: Record<string, { n: number; ones: number }> = {};
		for (let i = 0; i < PEOPLE_PER_LOOK; i++) {
			const location = locate(`u${seed}-${look}-${i}`);
			const draw = next();
			if (!table.exposing || location === null || !location.live || location.takenOver) continue;
			const arm = location.region ?? "";
			came[arm] ??= { n: 0, ones: 0 };
			came[arm].n++;
			came[arm].ones += draw < level + (arm === "boosted" ? gain : 0) ? 1 : 0;
		}
		for (const [arm, crowd] of Object.entries(came)) people.push({ arm, plan, firstMs: nowMs - LOOK_MS + 1, ...crowd });
		const input: DecisionInput = {
			rules,
			experiment: HELD,
			metrics: METRICS,
			status,
			evidence: evidenceOf(people, plans, status, nowMs),
			nowMs,
		};
		const outcome = decide(input);
		if (outcome.action === "roll-back") return { heldAt, end: { look, input, outcome } };
		status = outcome.status;
	}
	return { heldAt, end: null };
}

/** As the store answers. */
function evidenceOf(
	people: readonly Crowd[],
	plans: ReadonlyMap<string, Readonly<Record<string, number>>>,
	status: ExperimentStatus,
	nowMs: number,
): Evidence {
	const { exposedAfterMs = -1, closeUntilMs = nowMs } = evidenceQuery(RESOURCES, HELD, status, nowMs);
	const sums: Record<string, { exposed: number; n: number; ones: number }> = {};
	const counts = new Map<string, Record<string, number>>();
	for (const { arm, plan, firstMs, n, ones } of people) {
		if (firstMs <= exposedAfterMs || firstMs >= closeUntilMs) continue;
		sums[arm] ??= { exposed: 0, n: 0, ones: 0 };
		const sum = sums[arm];
		sum.exposed += n;
		const own = counts.get(plan) ?? {};
		counts.set(plan, own);
		own[arm] = (own[arm] ?? 0) + n;
		if (firstMs + DUE_MS >= Math.min(nowMs, closeUntilMs)) continue;
		sum.n += n;
		sum.ones += ones;
	}
	const arms = HELD.spec.arms.map(({ name: arm }): ArmEvidence => {
		const { exposed = 0, n = 0, ones = 0 } = sums[arm] ?? {};
		const metrics = n === 0 ? {} : { accuracy: rate(n, ones / n) };
		return { arm, exposedUnits: exposed, maturedUnits: n, metrics, missingUnits: {} };
	});
	const exposures = [...counts].map(([planVersion, own], index): ExposureBatch => {
		return { planVersion, firstMs: index, counts: own, livePoints: plans.get(planVersion) ?? {} };
	});
	const health = [{ variant: "v2", requests: 100, failures: 0 }];
	return { experiment: "main", asOfMs: nowMs, arms, exposures, ...NOTHING_BESIDE, health };
}
