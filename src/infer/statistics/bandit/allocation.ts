/**
 * A bandit that never moves a person to another arm.
 *
 * Assignment has no memory: a unit's arm follows from its hash and the arms' regions. Moving the borders of regions
 * would move people to another arm, with outcomes of both, and a hash cannot distinguish new units. What can change is the
 * live share of each arm's own region: live_k = the first floor(size_k × allocation × share_k) points (assignment/region.ts). A unit then moves only between its
 * own arm and the default Variant. So the bandit shrinks losing challengers; it cannot give the leader more than its declared
 * region, which only a promotion does.
 *
 * Rules:
 * 1. share_k = f + (1 − f)·g_k, g_k = (w_k/d_k) ÷ max_j (w_j/d_j), with w the bandit's weights (weights.ts), d the declared
 *    ones and f the floor: the arm with the largest gain over its declared weight is fully live, one without
 *    a chance has the floor.
 * 2. The baseline is always fully live. Outside live points people get the default Variant, which is the baseline's:
 *    shrinking it would change no response and only lose data.
 * 3. So the first floor(size_k × allocation × f) points of every open arm are always live: the core. Its units are an
 *    experiment with fixed shares inside the bandit, so the theory of a fixed design applies to them.
 * 4. Live points are a prefix of the region, so a change of share moves |new − old| points and no other, the least
 *    that any set of that size could. Changes below DEADBAND_PPM are ignored, so that the same few people do not
 *    switch at every look.
 * 5. No move before each open arm has `minUnits`. Closed arms have 0, and their weight is not redistributed.
 *
 * A unit that drops out of an arm keeps its first exposure there, but gets the default Variant from then on. Outcomes
 * of open windows are then a mixture of both, which hides harm, so they are excluded. The core's units drop out only if an arm
 * is closed or the whole experiment steps back.
 *
 * Until the first move all live units are like the core's: all arms ramped equally, and their live points are in the declared
 * ratio. So the evidence has all units whose outcomes were due by then, and later only new units of the core
 * (events/evidence/eras.ts): the ratio is constant and independent of outcomes. A ramp after that would add points
 * that are new in one arm and known in another; shares move at the last step only (rollout/rules/bandit.ts). The
 * posteriors use the same units: less data, but valid for returning people.
 *
 * Why the other units are not used (test/infer/statistics/bandit/core.test.ts shows both):
 * - Simpson. Let means rise over the day, and an arm get more units late in the day: its pooled mean is higher for the
 *   hour alone. Sample means of adaptively collected units are biased and not normal (Nie, Tian, Taylor & Zou, arXiv
 *   1708.01977), AsympCS wants one allocation, and the Bernoulli mixture one mean per arm.
 * - Returning people. Points that become live later have many returning people: a growing arm gets its first exposures from
 *   them, an unchanged one from new people. So the counts do not match the live points, and the populations differ.
 * Betting by known propensities (Waudby-Smith et al., arXiv 2210.10768) solves the first problem, but not the second.
 */

import type { Bandit } from "../../../declare/resources/resource.js";
import { PPM } from "../../../limits/index.js";
import type { ArmPosteriors } from "../bayes/posterior.js";
import { type Direction, type Ranking, ranking } from "../bayes/ranking.js";
import { banditWeights } from "./weights.js";

/** Smaller changes are ignored: under 2 % of an arm's people. */
const DEADBAND_PPM = 20_000;

export interface BanditArm {
	/** Declared weight; its region of the hash space is its share of their sum. Above 0. */
	readonly weight: number;
	readonly baseline: boolean;
	readonly closed: boolean;
	/** Units with matured outcomes. */
	readonly units: number;
	/** Current live share of its allocation, in ppm; 10⁶ at the start. */
	readonly sharePpm: number;
}

export interface BanditSettings {
	readonly algorithm: Bandit["algorithm"];
	/** Which way the goal's metric improves. */
	readonly direction: Direction;
	/** Minimum share of an open arm, 0…10⁶, which is the core. */
	readonly floorPpm: number;
	/** Units with matured outcomes that each open arm needs before a move. */
	readonly minUnits: number;
}

export interface BanditShares {
	/** By arm: the next live share of its allocation, in ppm. */
	readonly sharesPpm: readonly number[];
	/** null = not computed. Closed arms have 0. */
	readonly ranking: Ranking | null;
	/** Why there is no move, or empty. */
	readonly held: string;
}

/**
 * The next shares. Deterministic.
 * @param posteriors in the order of `arms`, with closed ones; null = none yet (no data, no variance): only closed arms change
 */
export function banditShares(
	arms: readonly BanditArm[],
	posteriors: ArmPosteriors | null,
	settings: BanditSettings,
): BanditShares {
	const held = (why: string): BanditShares => ({
		sharesPpm: arms.map((arm) => (arm.closed ? 0 : arm.sharePpm)),
		ranking: null,
		held: why,
	});
	const open = arms.flatMap((arm, index) => (arm.closed || !(arm.weight > 0) ? [] : [index]));
	if (open.length < 2) return held("fewer than two arms are open");
	const least = Math.min(...open.map((index) => arms[index]?.units ?? 0));
	if (!(least >= settings.minUnits)) return held(`the smallest arm has ${least} of ${settings.minUnits} units`);
	if (posteriors === null || posteriors.arms.length !== arms.length) return held("an arm has no data to rank it by");

	const among = ranking(chosen(posteriors, open), settings.direction);
	const gains = banditWeights(settings.algorithm, among).map(
		(share, place) => share / (arms[open[place] ?? 0]?.weight ?? 1),
	);
	const most = Math.max(...gains);
	const { floorPpm } = settings;
	const sharesPpm = arms.map((arm, index) => {
		const place = open.indexOf(index);
		if (place === -1) return 0;
		if (arm.baseline) return PPM;
		const wanted = floorPpm + Math.round(((PPM - floorPpm) * (gains[place] ?? 0)) / most);
		const stays = Math.abs(wanted - arm.sharePpm) < DEADBAND_PPM && arm.sharePpm >= floorPpm;
		return stays ? arm.sharePpm : wanted;
	});
	const spread = (values: readonly number[]): number[] => {
		const all = new Array<number>(arms.length).fill(0);
		for (const [place, index] of open.entries()) all[index] = values[place] ?? 0;
		return all;
	};
	return {
		sharesPpm,
		ranking: { best: spread(among.best), second: spread(among.second), loss: spread(among.loss) },
		held: "",
	};
}

function chosen(posteriors: ArmPosteriors, indices: readonly number[]): ArmPosteriors {
	const pick = <Posterior>(all: readonly Posterior[]): Posterior[] =>
		indices.flatMap((index) => all.slice(index, index + 1));
	return posteriors.family === "beta"
		? { family: "beta", arms: pick(posteriors.arms) }
		: { family: "gaussian", arms: pick(posteriors.arms) };
}
