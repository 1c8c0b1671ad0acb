/** Windows of the week: edges, midnight, and days on which a zone's clock jumps. */
import t from "tap";
import { compileSchedule, isTimezone } from "../../../src/compile/access/rules/schedule.js";
import type { Schedule } from "../../../src/declare/resources/resource.js";

const minute = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
const within = (timezone: string, days: readonly number[], from: string, until: string, at: string): boolean => {
	const schedule: Schedule = { timezone, days, fromMinute: minute(from), untilMinute: minute(until) };
	return compileSchedule(schedule)(Date.parse(at));
};

t.test("a window within a day: from inclusive, until exclusive, on its days", async (t) => {
	// 2026-06-03 is a Wednesday.
	for (const [at, want] of [
		["2026-06-03T07:59:59.999Z", false],
		["2026-06-03T08:00:00Z", true],
		["2026-06-03T17:59:59.999Z", true],
		["2026-06-03T18:00:00Z", false],
		["2026-06-04T12:00:00Z", false],
	] as const) {
		t.equal(within("UTC", [3], "08:00", "18:00", at), want, at);
	}
	t.equal(within("UTC", [1, 2, 3, 4, 5, 6, 7], "00:00", "24:00", "2026-06-07T23:59:59Z"), true);
	t.equal(within("UTC", [7], "00:00", "24:00", "2026-06-07T00:00:00Z"), true, "7 is Sunday");
	t.equal(within("UTC", [7], "00:00", "24:00", "2026-06-08T00:00:00Z"), false);
});

t.test("a window over midnight belongs to the day on which it begins", async (t) => {
	for (const [at, want] of [
		["2026-06-05T21:59:00Z", false],
		["2026-06-05T22:00:00Z", true],
		["2026-06-06T00:00:00Z", true],
		["2026-06-06T05:59:00Z", true],
		["2026-06-06T06:00:00Z", false],
		["2026-06-06T22:00:00Z", false],
		["2026-06-05T00:30:00Z", false],
	] as const) {
		t.equal(within("UTC", [5], "22:00", "06:00", at), want, `Friday: ${at}`);
	}
	t.equal(within("UTC", [7], "22:00", "06:00", "2026-06-08T01:00:00Z"), true, "Sunday's goes into Monday");
	t.equal(within("UTC", [1], "22:00", "06:00", "2026-06-08T01:00:00Z"), false, "and is not Monday's");
	t.equal(within("UTC", [3], "09:00", "09:00", "2026-06-04T08:59:00Z"), true, "equal ends are a whole day");
	t.equal(within("UTC", [3], "09:00", "09:00", "2026-06-04T09:00:00Z"), false);
});

t.test("a schedule uses the clock and the day of its zone", async (t) => {
	t.equal(within("Asia/Kathmandu", [4], "00:00", "00:30", "2026-06-03T18:20:00Z"), true, "+05:45");
	t.equal(within("America/New_York", [2], "20:00", "23:00", "2026-06-03T00:30:00Z"), true, "still Tuesday");
	t.equal(within("Pacific/Kiritimati", [4], "00:00", "01:00", "2026-06-03T10:00:00Z"), true, "+14:00");
});

t.test("a clock that is put forward skips the hour, one that is put back has it twice", async (t) => {
	const everyDay = [1, 2, 3, 4, 5, 6, 7];
	const berlin = (from: string, until: string, at: string): boolean =>
		within("Europe/Berlin", everyDay, from, until, at);
	// 2026-03-29: 02:00 becomes 03:00 at 01:00Z. 2026-10-25: 03:00 becomes 02:00 at 01:00Z.
	t.equal(berlin("02:00", "03:00", "2026-03-29T00:59:59Z"), false, "01:59");
	t.equal(berlin("02:00", "03:00", "2026-03-29T01:00:00Z"), false, "03:00");
	t.equal(berlin("03:00", "04:00", "2026-03-29T01:00:00Z"), true);
	for (const at of ["2026-10-25T00:00:00Z", "2026-10-25T00:59:59Z", "2026-10-25T01:00:00Z", "2026-10-25T01:59:59Z"]) {
		t.equal(berlin("02:00", "03:00", at), true, at);
	}
	t.equal(berlin("02:00", "03:00", "2026-10-25T02:00:00Z"), false);
	// Lord Howe moves by half an hour.
	t.equal(within("Australia/Lord_Howe", everyDay, "02:00", "02:30", "2026-10-03T15:29:00Z"), false, "01:59");
	t.equal(within("Australia/Lord_Howe", everyDay, "02:30", "03:00", "2026-10-03T15:30:00Z"), true);
	// St John's moved at 00:01, which is within a quarter of an hour.
	const stJohns = (from: string, until: string, at: string) => within("America/St_Johns", everyDay, from, until, at);
	t.equal(stJohns("00:00", "00:01", "2010-11-07T02:30:00Z"), true);
	t.equal(stJohns("00:00", "00:01", "2010-11-07T02:31:00Z"), false);
	t.equal(stJohns("23:01", "23:02", "2010-11-07T02:31:00Z"), true);
	t.equal(stJohns("23:15", "23:16", "2010-11-07T02:45:00Z"), true);
});

t.test("the order of queried times does not matter", async (t) => {
	const ask = compileSchedule({ timezone: "Europe/Berlin", days: [3], fromMinute: 600, untilMinute: 601 });
	const hit = Date.parse("2026-06-03T08:00:30Z");
	for (const [at, want] of [
		[hit, true],
		[hit + 60_000, false],
		[hit, true],
		[hit - 60_000, false],
		[hit + 29_000, true],
		[hit + 30_000, false],
	] as const) {
		t.equal(ask(at), want);
	}
});

t.test("unknown time zones are invalid", async (t) => {
	for (const zone of ["Mars/Base", "", "Europe/Berlin; UTC", "CEST+"]) t.equal(isTimezone(zone), false, zone);
	t.equal(isTimezone("Europe/Berlin"), true);
	t.throws(() => compileSchedule({ timezone: "Mars/Base", days: [1], fromMinute: 0, untilMinute: 1 }), RangeError);
});
