/**
 * A bandit under Weir's promise that a person never changes arm.
 *
 * Assignment has no memory: a unit's arm follows from its hash and the arms' regions. Moving the borders of regions
 * towards a leading arm would take people out of one arm and put them into another, with the outcomes of both; and
 * "only new units follow new weights" cannot be told from a hash. What can move is how much of its own region each
 * arm has live: live_k = the first floor(size_k × allocation × share_k) points (assignment/region.ts). A unit then goes between its own arm
 * and the default Variant, never to another arm. So a bandit here shrinks the losing challengers; it cannot give the
 * leader more than its declared region, that is what promotion is for, whose takeover gives it everybody.
 *
 * Rules:
 * 1. share_k = f + (1 − f)·g_k, g_k = (w_k/d_k) ÷ max_j (w_j/d_j), with w the bandit's weights (weights.ts), d the declared
 *    ones and f the floor: the arm that is to gain most over its declared weight is wholly live, one without a
 *    chance has the floor.
 * 2. The baseline is always wholly live. Outside their live points people get the default Variant, which is the
 *    baseline's own: shrinking it would change nobody's answer and throw away the comparison's larger half.
 * 3. So the first floor(size_k × allocation × f) points of every open arm are live whatever the data say: the core. Its
 *    units are an experiment with fixed shares inside the bandit; what holds of a fixed design holds of them.
 * 4. Live points are a prefix of the region, so a change of share moves |new − old| points and no other, the least
 *    that any set of that size could. Shares that would move less than DEADBAND_PPM stay, so that the same few people
 *    are not taken in and put out again with every look.
 * 5. Nothing moves before each open arm has `minUnits`; closed arms have 0, and their weight goes to nobody.
 *
 * A unit that drops out of an arm keeps its first exposure there, but gets the default Variant from then on. Outcomes
 * of windows that were still open are a mixture of both, which hides harm; they do not belong into an analysis. The
 * core's units never drop out but by a closing or a step back of the whole experiment.
 *
 * Until shares first move every live unit is as good as the core's: all arms opened by one ramp, and their live points
 * are in the declared ratio. So evidence is of everybody whose outcomes were due by then, and of the core's newcomers
 * after (events/evidence/eras.ts): at every moment in one ratio, whatever the outcomes were. A ramp after that would add points
 * that are new in one arm and known in another; shares move at the last step only (rollout/rules/bandit.ts). The
 * posteriors are of the same units: a smaller truth than all of them would give, and one that holds for people who
 * come back.
 *
 * Why nothing is tested on the other units (test/infer/statistics/bandit/core.test.ts shows both):
 * - Simpson. Let means rise over the day, and an arm get more units late in the day: its pooled mean is higher for the
 *   hour alone. Sample means of adaptively collected units are biased and not normal (Nie, Tian, Taylor & Zou, arXiv
 *   1708.01977), AsympCS wants one allocation, and the Bernoulli mixture one mean per arm.
 * - Who comes back. Live points that are opened later are full of people who have been here before: an arm that grows
 *   gets its first exposures from them, one that stays from newcomers. Neither are the counts in the ratio of the live
 *   points, nor are the people alike.
 * Betting by known propensities (Waudby-Smith et al., arXiv 2210.10768) stands the first on all units, but not the second.
 */

import type { Bandit } from "../../../declare/resources/resource.js";
import { PPM } from "../../../limits/index.js";
import type { ArmPosteriors } from "../bayes/posterior.js";
import { type Direction, type Ranking, ranking } from "../bayes/ranking.js";
import { banditWeights } from "./weights.js";

/** Shares do not move by less: a change for under 2 % of an arm's people is not worth a change for them. */
const DEADBAND_PPM = 20_000;

export interface BanditArm {
	/** Declared weight; its region of the hash space is its share of their sum. Above 0. */
	readonly weight: number;
	readonly baseline: boolean;
	readonly closed: boolean;
	/** Units with matured outcomes. */
	readonly units: number;
	/** How much of its allocation is live now, in ppm; 10⁶ at the start. */
	readonly sharePpm: number;
}

export interface BanditSettings {
	readonly algorithm: Bandit["algorithm"];
	/** Which way the goal's metric improves. */
	readonly direction: Direction;
	/** Least share of an open arm, 0…10⁶, and so the core. */
	readonly floorPpm: number;
	/** Units with matured outcomes that each open arm needs before anything moves. */
	readonly minUnits: number;
}

export interface BanditShares {
	/** By arm: how much of its allocation is to be live, in ppm. */
	readonly sharesPpm: readonly number[];
	/** null where nothing was computed. Closed arms: 0. */
	readonly ranking: Ranking | null;
	/** Why nothing moves, or empty. */
	readonly held: string;
}

/**
 * The shares to set next. Posteriors are by arm, in the order of `arms`, closed ones included; null where there is
 * none yet (no data, no variance): then nothing moves but closed arms to 0. Deterministic.
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
