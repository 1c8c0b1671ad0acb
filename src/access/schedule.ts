/** Windows of the week in an IANA time zone, by the wall clock there: what a clock change repeats counts twice. */
import type { Schedule } from "../resources/resource.js";

/** The wall clock of a zone. */
interface WallClock {
	/** 1 = Monday … 7 = Sunday. */
	readonly day: number;
	readonly minute: number;
	/** What it is ahead of UTC, in minutes. */
	readonly offset: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** Epoch milliseconds to the wall clock: by offset, which changes at whole quarters of an hour at most. */
type Zone = (nowMs: number) => WallClock;

/** By lower-case name, so that there are no more than the zones of IANA: Intl takes a name in any case. */
const zones = new Map<string, Zone>();
/** Names of no zone, a few: Intl takes some 40 microseconds to say so, and many Services may share a policy. */
const unknown = new Set<string>();
const UNKNOWN_MAX = 100;

/**
 * Remembers the wall clock of the last minute: to ask Intl takes some microseconds, and requests of one minute are many.
 * @throws RangeError for a zone that is none
 */
function zoneOf(timezone: string): Zone {
	const name = timezone.toLowerCase();
	const known = zones.get(name);
	if (known !== undefined) return known;
	const format = new Intl.DateTimeFormat("en-US", {
		timeZone: timezone,
		hourCycle: "h23",
		year: "numeric",
		month: "numeric",
		day: "numeric",
		hour: "numeric",
		minute: "numeric",
	});
	let lastMinute = Number.NaN;
	let last: WallClock = { day: 0, minute: 0, offset: 0 };
	const zone: Zone = (nowMs) => {
		const minute = Math.floor(nowMs / MINUTE_MS);
		if (minute === lastMinute) return last;
		const parts: Record<string, number> = {};
		for (const { type, value } of format.formatToParts(minute * MINUTE_MS)) parts[type] = Number(value);
		const { year = 0, month = 1, day = 1, hour = 0 } = parts;
		// 1970-01-01 was a Thursday.
		const days = Math.floor(Date.UTC(year, month - 1, day) / DAY_MS);
		const ofDay = hour * 60 + (parts.minute ?? 0);
		last = { day: ((((days + 3) % 7) + 7) % 7) + 1, minute: ofDay, offset: days * 1_440 + ofDay - minute };
		lastMinute = minute;
		return last;
	};
	zones.set(name, zone);
	return zone;
}

/** How far the zone's clock is ahead of UTC at a time (epoch milliseconds). @throws RangeError for a zone that is none */
export const offsetMinutes = (timezone: string, nowMs: number): number => zoneOf(timezone)(nowMs).offset;

/** Whether the zone is one that this Node.js knows. */
export function isTimezone(timezone: string): boolean {
	if (unknown.has(timezone)) return false;
	try {
		zoneOf(timezone);
		return true;
	} catch {
		if (unknown.size >= UNKNOWN_MAX) unknown.clear();
		unknown.add(timezone);
		return false;
	}
}

/**
 * Whether a time (epoch milliseconds) is within the schedule.
 * @throws RangeError when made, for a time zone that is none
 */
export function compileSchedule({ timezone, days, fromMinute, untilMinute }: Schedule): (nowMs: number) => boolean {
	const zone = zoneOf(timezone);
	// By ISO day; Monday also at 8, for the day after Sunday.
	const begins = Array.from({ length: 9 }, (_, day) => days.includes(day === 8 ? 1 : day));
	if (untilMinute > fromMinute) {
		return (nowMs) => {
			const { day, minute } = zone(nowMs);
			return begins[day] === true && minute >= fromMinute && minute < untilMinute;
		};
	}
	return (nowMs) => {
		const { day, minute } = zone(nowMs);
		if (minute >= fromMinute) return begins[day] === true;
		return minute < untilMinute && begins[day === 1 ? 7 : day - 1] === true;
	};
}
