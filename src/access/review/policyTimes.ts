/**
 * Times at the bounds of rules: the edges of their validity, and where their schedules turn. Two zones that agree this week
 * may not agree after the clocks of one have changed, so weeks after each such change within a year are looked at too.
 */
import type { PolicyTable } from "../../compiler/plan.js";
import type { Schedule } from "../../resources/resource.js";
import { compileSchedule, offsetMinutes } from "../rules/schedule.js";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const YEAR_DAYS = 366;
/** A week, and the day on which clocks change before it. */
const LOOKED_AT_MINUTES = 8 * 24 * 60;

/** Where a schedule turns in the days from a time on. */
export type Turns = (schedule: Schedule, fromMs: number) => readonly number[];

/** Remembers each, for many Services are under one schedule. */
export function rememberedTurns(): Turns {
	const known = new Map<string, readonly number[]>();
	return (schedule, fromMs) => {
		const key = JSON.stringify([schedule, fromMs]);
		const turns = known.get(key) ?? walkedTurns(schedule, fromMs);
		known.set(key, turns);
		return turns;
	};
}

/** Each with the moment before. @param nowMs where no rule names a time to begin at */
export function timesAtBounds(policies: readonly PolicyTable[], nowMs: number, turnsOf: Turns): readonly number[] {
	const times = new Set<number>();
	const schedules = new Map<string, Schedule>();
	const begins = new Set<number>();
	for (const { more } of policies) {
		if (more === null) continue;
		const { validFromMs, validUntilMs, schedule } = more;
		for (const edge of [validFromMs, validUntilMs]) if (edge !== null) times.add(edge - 1).add(edge);
		if (schedule === null) continue;
		schedules.set(JSON.stringify(schedule), schedule);
		begins.add(Math.floor((validFromMs ?? nowMs) / MINUTE_MS) * MINUTE_MS);
	}
	const zones = new Set([...schedules.values()].map(({ timezone }) => timezone));
	for (const begin of begins) {
		const weeks = new Set([begin, ...[...zones].flatMap((zone) => clockChanges(zone, begin))]);
		for (const schedule of schedules.values()) {
			for (const fromMs of weeks) for (const turn of turnsOf(schedule, fromMs)) times.add(turn - 1).add(turn);
		}
	}
	return times.size === 0 ? [nowMs] : [...times];
}

/** Days within a year, to the minute of `fromMs`, in whose 24 hours the zone's clock changes. */
function clockChanges(zone: string, fromMs: number): readonly number[] {
	const found: number[] = [];
	let before = offsetMinutes(zone, fromMs);
	for (let day = 1; day <= YEAR_DAYS; day++) {
		const now = offsetMinutes(zone, fromMs + day * DAY_MS);
		if (now !== before) found.push(fromMs + (day - 1) * DAY_MS);
		before = now;
	}
	return found;
}

/** Offsets from UTC are whole quarters of an hour, so that a schedule turns at these minutes of a quarter alone. */
function walkedTurns(schedule: Schedule, fromMs: number): readonly number[] {
	const within = compileSchedule(schedule);
	const inQuarter = new Set([0, schedule.fromMinute % 15, schedule.untilMinute % 15]);
	const turns: number[] = [];
	let before = within(fromMs);
	for (let minute = 1; minute <= LOOKED_AT_MINUTES; minute++) {
		const atMs = fromMs + minute * MINUTE_MS;
		if (!inQuarter.has((atMs / MINUTE_MS) % 15)) continue;
		const now = within(atMs);
		if (now !== before) turns.push(atMs);
		before = now;
	}
	// A schedule that never turns there still has this moment.
	return turns.length === 0 ? [fromMs] : turns;
}
