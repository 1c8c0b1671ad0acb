/**
 * Simulates a bandit to its end, with returning units: fixed points in [0, 1) of their arms' regions, one to five visits
 * at any time, the arm by the table that Envoy gets, and decide() at every look. Counted units are kept as in the
 * store: the first exposures of all units until the shares first move, then those of the core.
 */

import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import { experimentTable } from "../../../src/compile/assignment/experimentTable.js";
import { decide } from "../../../src/decide/rollout/decide.js";
import { type Outcome, RULES } from "../../../src/decide/rollout/decision.js";
import { type ExperimentStatus, initialStatus } from "../../../src/decide/rollout/status.js";
import type { Experiment } from "../../../src/declare/resources/resource.js";
import type { ArmEvidence, ExposureBatch } from "../../../src/infer/statistics/evidence.js";
import { corePoints } from "../../../src/observe/events/receive/requests/planReader.js";
import { random } from "../../infer/statistics/random.js";
import { experiment, METRICS, NOTHING_BESIDE, ROLLOUT } from "./example.js";

export interface World {
	readonly challengers: readonly string[];
	readonly metric: "accuracy" | "error-rate";
	readonly algorithm: "thompson" | "top-two";
	/** Chance of a 1 in an arm at a time 0…1. */
	readonly chance: (arm: string, time: number) => number;
	readonly looks: number;
	readonly visitsPerLook: number;
	readonly people: number;
	readonly improveBy?: number;
}

export interface Life {
	/** The outcomes other than holds, in order. */
	readonly outcomes: readonly Outcome[];
	readonly status: ExperimentStatus;
	/** Visits of the last tenth by who answered; "" = the default Variant, outside every arm. */
	readonly late: Readonly<Record<string, number>>;
	/** Units that were ever in two arms, or in an arm of another region. */
	readonly changed: number;
	readonly exposedAtEnd: Readonly<Record<string, number>>;
}

const LOOK_MS = 1_000;

export function declaredOf(world: World): Experiment {
	return experiment(world.challengers, {
		goal: { metric: world.metric, improveBy: { kind: "absolute", value: world.improveBy ?? 0.005 } },
		guardrails: [],
		rollout: {
			...ROLLOUT,
			stepsPpm: [300_000, 1_000_000],
			everyMs: 2_000,
			maxDurationMs: null,
			bandit: { algorithm: world.algorithm, floorPpm: 200_000, everyMs: 3_000 },
		},
	});
}

export function live(seed: number, world: World): Life {
	const next = random(seed);
	const declared = declaredOf(world);
	const baseline = declared.spec.arms[0]?.name ?? "";
	let status = initialStatus(declared.spec.rollout.stepsPpm, 0);
	const armOfPerson = new Map<number, string>();
	const counted = new Set<number>();
	const sums = new Map(declared.spec.arms.map(({ name }) => [name, { n: 0, sum: 0 }]));
	const batches = new Map<string, { batch: ExposureBatch; counts: Record<string, number> }>();
	const outcomes: Outcome[] = [];
	let late: Record<string, number> = {};
	let changed = 0;
	for (let look = 1; look <= world.looks; look++) {
		const nowMs = look * LOOK_MS;
		if (look === Math.floor(world.looks * 0.9)) late = {};
		const table = experimentTable(declared, null, status);
		if (table === null) break;
		const { locate } = compileAssignment(table);
		const key = JSON.stringify([table.arms.map(({ livePoints }) => livePoints), table.core]);
		const points = (arm: (typeof table.arms)[number]): number =>
			table.core?.alone === true ? corePoints(arm, table.core.ppm) : arm.livePoints;
		const counting = table.arms.filter((arm) => points(arm) > 0);
		const known = batches.get(key) ?? {
			batch: {
				planVersion: key,
				firstMs: nowMs - LOOK_MS,
				counts: {},
				livePoints: Object.fromEntries(counting.map((arm) => [arm.name, points(arm)])),
			},
			counts: Object.fromEntries(counting.map(({ name }) => [name, 0])),
		};
		batches.set(key, known);
		for (let visit = 0; visit < world.visitsPerLook; visit++) {
			// Some users come often and some rarely, so late first visits are by other users.
			const person = Math.floor(world.people * next() ** 2);
			const location = locate(`p${seed}-${person}`);
			const arm = location?.live === true ? (location.region ?? "") : "";
			late[arm] = (late[arm] ?? 0) + 1;
			if (arm === "" || location === null) continue;
			const before = armOfPerson.get(person);
			if ((before !== undefined && before !== arm) || arm !== location.region) changed++;
			armOfPerson.set(person, arm);
			const own = table.arms.find(({ name }) => name === arm);
			if (own === undefined || location.point >= own.loPpm + points(own) || counted.has(person)) continue;
			counted.add(person);
			known.counts[arm] = (known.counts[arm] ?? 0) + 1;
			const sum = sums.get(arm);
			if (sum === undefined) continue;
			sum.n += 1;
			sum.sum += next() < world.chance(arm, look / world.looks) ? 1 : 0;
		}
		const arms = [...sums].map(([arm, { n, sum }]): ArmEvidence => {
			const mean = n === 0 ? 0 : sum / n;
			const metrics = n === 0 ? {} : { [world.metric]: { n, mean, m2: n * mean * (1 - mean) } };
			return { arm, exposedUnits: n, maturedUnits: n, metrics, missingUnits: {} };
		});
		const outcome = decide({
			rules: RULES,
			experiment: declared,
			metrics: METRICS,
			status,
			evidence: {
				experiment: "main",
				asOfMs: nowMs,
				arms,
				exposures: [...batches.values()].map(({ batch, counts }) => ({ ...batch, counts: { ...counts } })),
				...NOTHING_BESIDE,
			},
			nowMs,
		});
		if (outcome.action !== "hold") outcomes.push(outcome);
		// Simulates a restart at every look: only the stored JSON remains.
		status = JSON.parse(JSON.stringify(outcome.status)) as ExperimentStatus;
		if (status.phase !== "Running") break;
	}
	const exposedAtEnd = Object.fromEntries([...sums].map(([arm, { n }]) => [arm === baseline ? "control" : arm, n]));
	return { outcomes, status, late, changed, exposedAtEnd };
}
