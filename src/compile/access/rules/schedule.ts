/** Weekly windows in an IANA time zone, by its local clock: an hour repeated by a clock change counts twice. */
import type { Schedule } from "../../../declare/resources/resource.js";

/** The local clock of a zone. */
interface WallClock {
	/** 1 = Monday … 7 = Sunday. */
	readonly day: number;
	readonly minute: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const DAY_MINUTES = 1_440;
const QUARTER_MINUTES = 15;
/** Cached offsets of a zone: two years of quarter hours. */
const OFFSETS_MAX = 70_000;

/** Epoch milliseconds to local clock, by an offset that changes only at quarter hours. */
type Zone = (nowMs: number) => WallClock;

/** By lower-case name, because Intl accepts any case: at most the number of IANA zones. */
const zones = new Map<string, Zone>();
/** Invalid names: Intl takes 40 microseconds to reject one, and many Services may share a policy. */
const unknown = new Set<string>();
const UNKNOWN_MAX = 100;

/**
 * Caches offsets by quarter hour, and the local clock of the last minute: Intl takes microseconds per call, and `weir
 * policy diff` evaluates weeks.
 * @throws RangeError for an invalid zone
 */
function zoneOf(timezone: string): Zone {
	const name = timezone.toLowerCase();
	const known = zones.get(name);
	if (known !== undefined) return known;
	const ask = intlOffset(timezone);
	const offsets = new Map<number, number>();
	const atQuarter = (quarter: number): number => {
		const known = offsets.get(quarter);
		if (known !== undefined) return known;
		if (offsets.size >= OFFSETS_MAX) offsets.clear();
		const offset = ask(quarter * QUARTER_MINUTES);
		offsets.set(quarter, offset);
		return offset;
	};
	// No clock changes twice within a quarter of an hour; some changed at a minute past one (St John's until 2011).
	const offsetAt = (minute: number): number => {
		const quarter = Math.floor(minute / QUARTER_MINUTES);
		const offset = atQuarter(quarter);
		return minute === quarter * QUARTER_MINUTES || offset === atQuarter(quarter + 1) ? offset : ask(minute);
	};
	let lastMinute = Number.NaN;
	let last: WallClock = { day: 0, minute: 0 };
	const zone: Zone = (nowMs) => {
		const minute = Math.floor(nowMs / MINUTE_MS);
		if (minute === lastMinute) return last;
		const offset = offsetAt(minute);
		const days = Math.floor((minute + offset) / DAY_MINUTES);
		// 1970-01-01 was a Thursday.
		last = { day: ((((days + 3) % 7) + 7) % 7) + 1, minute: minute + offset - days * DAY_MINUTES };
		lastMinute = minute;
		return last;
	};
	zones.set(name, zone);
	return zone;
}

/** Minutes since 1970 to the zone's offset from UTC. @throws RangeError for an invalid zone */
function intlOffset(timezone: string): (minute: number) => number {
	const format = new Intl.DateTimeFormat("en-US", {
		timeZone: timezone,
		hourCycle: "h23",
		year: "numeric",
		month: "numeric",
		day: "numeric",
		hour: "numeric",
		minute: "numeric",
	});
	return (minute) => {
		const parts: Record<string, number> = {};
		for (const { type, value } of format.formatToParts(minute * MINUTE_MS)) parts[type] = Number(value);
		const { year = 0, month = 1, day = 1, hour = 0 } = parts;
		return Math.floor(Date.UTC(year, month - 1, day) / DAY_MS) * DAY_MINUTES + hour * 60 + (parts.minute ?? 0) - minute;
	};
}

/** Whether this Node.js knows the zone. */
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
 * @throws RangeError at compile time, for an invalid time zone
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
