import t from "tap";
import { compileAssignment } from "../../../src/compile/assignment/assign.js";
import { FRAME_UNIT_BYTES_MAX } from "../../../src/compile/assignment/frame.js";
import { parseUnit, trimUnit, UNIT_BYTES_MAX } from "../../../src/compile/assignment/unit.js";
import { tableOf } from "./experiments.js";

const GUARD = /^[!-+\--~]+$/;

t.test("exactly the bytes of the native guard are units, alone and inside a unit", async (t) => {
	for (let byte = 0; byte < 256; byte++) {
		const expected = GUARD.test(String.fromCharCode(byte));
		t.equal(parseUnit(Uint8Array.of(byte)) !== null, expected, `byte ${byte}`);
		t.equal(parseUnit(Uint8Array.of(0x61, byte, 0x62)) !== null, expected, `byte ${byte} inside`);
		t.equal(parseUnit(`a${String.fromCharCode(byte)}b`) !== null, expected, `character ${byte} inside`);
	}
	t.equal(parseUnit(Uint8Array.of(0x2c)), null, "a comma joins repeated headers");
});

const noUnits: readonly [name: string, value: string][] = [
	["empty", ""],
	["a space", " "],
	["a space inside", "user 1"],
	["a space around, not trimmed", " user-1"],
	["repeated header", "a,b"],
	["non-ASCII", "jürgen"],
	["Cyrillic look-alike", "usеr-1"],
	["full-width", "ｕｓｅｒ"],
	["emoji", "🙂"],
	["lone surrogate", "\ud800"],
	["character above 255 whose low byte is a letter", "\u0161\u0161"],
	["tab inside", "a\tb"],
	["NUL", "a\0b"],
	["DEL", "a\x7f"],
	["trailing line feed, which $ could let through", "user-1\n"],
	["too long", "x".repeat(UNIT_BYTES_MAX + 1)],
];

t.test("an invalid unit has no arm in any function", async (t) => {
	const assignment = compileAssignment(tableOf({ allocationPpm: 1_000_000 }));
	for (const [name, value] of noUnits) {
		t.equal(parseUnit(value), null, name);
		t.equal(parseUnit(Buffer.from(value)), null, `${name}, as bytes`);
		t.equal(assignment.arm(value), null, `${name}: no arm`);
		t.equal(assignment.locate(value), null, `${name}: no place`);
	}
	const long = `${"x".repeat(FRAME_UNIT_BYTES_MAX)},`;
	t.equal(assignment.arm(long), null, "a comma behind the frame");
});

t.test("unusual units are valid and unchanged", async (t) => {
	for (const value of ["!", "~", "a", "%00", "\\1", "a:b", "a|b", "x".repeat(8_192), "x".repeat(UNIT_BYTES_MAX)]) {
		t.equal(parseUnit(value), value);
		t.equal(parseUnit(Buffer.from(value)), value);
	}
});

t.test("a view into a larger buffer is read from its own offset", async (t) => {
	t.equal(parseUnit(Buffer.from("xxabcxx").subarray(2, 5)), "abc");
});

t.test("only SP and HTAB are trimmed", async (t) => {
	const cases: readonly [string, string][] = [
		[" \tuser-1\t ", "user-1"],
		["user-1\r", "user-1\r"],
		["\u00a0a\u00a0", "\u00a0a\u00a0"],
		["\va\f", "\va\f"],
		[" \t ", ""],
		["a b", "a b"],
	];
	for (const [value, expected] of cases) {
		t.equal(trimUnit(value), expected);
		t.same(Buffer.from(trimUnit(Buffer.from(value, "latin1"))), Buffer.from(expected, "latin1"));
	}
});

t.test("short and long units use the same arithmetic", async (t) => {
	const assignment = compileAssignment(
		tableOf({ weights: [3, 5, 2], slotPpm: [100_000, 900_000], allocationPpm: 400_000 }),
	);
	for (let length = 1; length <= 300; length++) {
		const unit = `${length}${"y".repeat(length)}`;
		const location = assignment.locate(unit);
		t.equal(assignment.arm(unit), location?.live ? location.region : null, `${length} characters`);
	}
});
