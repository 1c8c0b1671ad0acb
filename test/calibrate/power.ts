/**
 * The cost of validity at every look: three designs on the same data with one true effect, which a one-sided fixed-horizon
 * test at ALPHA detects with 90 % at its horizon.
 */

import { normalIsf } from "../../src/infer/statistics/distributions/normal.js";
import { isNoEstimate } from "../../src/infer/statistics/estimators/estimate.js";
import { groupBoundaries } from "../../src/infer/statistics/groupSequential/boundaries.js";
import { ASYMPCS_MIN_UNITS } from "../../src/infer/statistics/sequential/asympCs.js";
import { logEvidence, PRIOR_RATE } from "../../src/infer/statistics/sequential/bernoulliMixture.js";
import { contrastInterval } from "../infer/statistics/formulas.js";
import { looksOf } from "./experiment.js";
import { drawOf } from "./outcomes.js";
import { uniforms } from "./random.js";
import { ArmSample } from "./sample.js";
import { ALPHA, type Law } from "./scenarios.js";

const HORIZON = 20_000;
/** The sequence goes on to twice the horizon; the two planned designs end at it. */
const LOOKS = 100;
const GROUP_LOOKS = 5;
const POWER = 0.9;
const SEED = 301;

interface Case {
	readonly name: string;
	readonly law: Law;
	/** Standard deviation of a unit's value, for the effect's size. */
	readonly sd: number;
	readonly proved: (challenger: ArmSample, baseline: ArmSample) => boolean;
}

const CASES: readonly Case[] = [
	{
		name: "mean, AsympCS",
		law: { of: "normal" },
		sd: 1,
		proved: (t, c) =>
			Math.min(t.n, c.n) >= ASYMPCS_MIN_UNITS && contrastInterval(t.moments(), c.moments(), 1, ALPHA).lower > 0,
	},
	{
		name: "rate 78 %, Bernoulli mixture",
		law: { of: "rate", p: 0.78 },
		sd: Math.sqrt(0.78 * 0.22),
		proved: (t, c) => {
			const sample = (arm: ArmSample) => ({ n: arm.n, sum: arm.n * arm.moments().mean });
			return logEvidence("above", sample(t), sample(c), { slope: 1, offset: 0 }, PRIOR_RATE) >= -Math.log(ALPHA);
		},
	},
];

/** Units at which each design proved the effect; Infinity: never. */
interface Proofs {
	sequential: number;
	group: number;
	fixed: number;
}

const zOf = (t: ArmSample, c: ArmSample): number => {
	const [challenger, baseline] = [t.moments(), c.moments()];
	const variance = challenger.m2 / (challenger.n - 1) / challenger.n + baseline.m2 / (baseline.n - 1) / baseline.n;
	return (challenger.mean - baseline.mean) / Math.sqrt(variance);
};

function groupCritical(): readonly number[] {
	const information = Array.from({ length: GROUP_LOOKS }, (_, look) => (look + 1) / GROUP_LOOKS);
	const design = { alpha: ALPHA, sides: 1, spending: { kind: "obrien-fleming" } } as const;
	const looks = groupBoundaries(design, information);
	if (isNoEstimate(looks)) throw new Error(looks.reason);
	return looks.map(({ z }) => z ?? Number.POSITIVE_INFINITY);
}

function one({ law, sd, proved }: Case, experiment: number, critical: readonly number[]): Proofs {
	const line = (normalIsf(ALPHA) + normalIsf(1 - POWER)) * sd * Math.sqrt(4 / HORIZON);
	const draw = drawOf({ name: "", law, method: "asympcs-difference", line, units: 0, seed: 0 });
	const uniform = uniforms(SEED, experiment);
	const [t, c] = [new ArmSample(), new ArmSample()];
	const out = new Float64Array(2);
	const proofs: Proofs = {
		sequential: Number.POSITIVE_INFINITY,
		group: Number.POSITIVE_INFINITY,
		fixed: Number.POSITIVE_INFINITY,
	};
	const looks = new Set(looksOf(2 * HORIZON, LOOKS));
	for (let units = 1; units <= 2 * HORIZON; units++) {
		const inChallenger = uniform() < 0.5;
		draw(inChallenger, 0, uniform, out);
		(inChallenger ? t : c).add(out[0] ?? 0, 0);
		if (proofs.sequential > units && looks.has(units) && proved(t, c)) proofs.sequential = units;
		const look = (units * GROUP_LOOKS) / HORIZON;
		if (look <= GROUP_LOOKS && Number.isInteger(look) && proofs.group > units)
			if (zOf(t, c) >= (critical[look - 1] ?? Number.POSITIVE_INFINITY)) proofs.group = units;
		if (units === HORIZON && zOf(t, c) >= normalIsf(ALPHA)) proofs.fixed = units;
	}
	return proofs;
}

/** Markdown. */
export function powerTable(experiments: number): readonly string[] {
	const critical = groupCritical();
	const rows = CASES.map((it) => {
		const all = Array.from({ length: experiments }, (_, experiment) => one(it, experiment, critical));
		const by = (design: keyof Proofs, units: number): string =>
			`${((100 * all.filter((proofs) => proofs[design] <= units).length) / experiments).toFixed(1)} %`;
		const mean = (design: keyof Proofs, end: number): number =>
			Math.round(all.reduce((sum, proofs) => sum + Math.min(proofs[design], end), 0) / experiments);
		return [
			it.name,
			by("sequential", HORIZON),
			by("sequential", 2 * HORIZON),
			mean("sequential", 2 * HORIZON),
			by("group", HORIZON),
			mean("group", HORIZON),
			by("fixed", HORIZON),
			HORIZON,
		].join(" | ");
	});
	return [
		"| | sequential: power at the horizon | at twice the horizon | mean units until it stops | group-sequential, 5 looks: power | mean units | fixed horizon: power | units |",
		"|---|---|---|---|---|---|---|---|",
		...rows.map((row) => `| ${row} |`),
	];
}
