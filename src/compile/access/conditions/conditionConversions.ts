/**
 * Strict int(), double() and timestamp() for conditions. The library accepts "" and "0b1" as numbers and 31 February as
 * a day; an invalid text must be an error, so that it allows no one. Pure.
 */
import { epochMs } from "../requests/rfc3339.js";

const TIMESTAMP = "google.protobuf.Timestamp";
const INT64 = 2n ** 63n;

/** The library allows no second function of the same name and type, so these have internal names. */
export const CONVERSIONS: Readonly<Record<string, string>> = {
	int: "strict_int",
	double: "strict_double",
	timestamp: "strict_timestamp",
};

/** The original names, for messages. */
export const asWritten = (text: string): string => text.replaceAll(/\bstrict_(?=int|double|timestamp)/g, "");

/** Conversions by CEL signature; each throws for an invalid value. */
export const OVERLOADS: readonly (readonly [string, (value: never) => unknown])[] = [
	["strict_int(int): int", (value: bigint) => value],
	["strict_int(double): int", (value: number) => inInt64(BigInt(Math.trunc(value)))],
	["strict_int(string): int", whole],
	["strict_double(double): double", (value: number) => value],
	["strict_double(int): double", (value: bigint) => Number(value)],
	["strict_double(uint): double", (value: { valueOf(): bigint }) => Number(value.valueOf())],
	["strict_double(string): double", decimal],
	[`strict_timestamp(int): ${TIMESTAMP}`, (value: bigint) => time(Number(value) * 1_000)],
	[`strict_timestamp(string): ${TIMESTAMP}`, (value: string) => time(epochMs(value))],
];

function inInt64(value: bigint): bigint {
	if (value < -INT64 || value >= INT64) throw new RangeError("no int");
	return value;
}

function whole(text: string): bigint {
	return inInt64(/^[-+]?\d{1,100}$/.test(text) ? BigInt(text.replace(/^\+/, "")) : INT64);
}

/** No infinity, and no NaN, which compares false with any limit. */
function decimal(text: string): number {
	// No ambiguity in this pattern, so that matching is linear.
	const value = /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?$/.test(text) ? Number(text) : Number.NaN;
	if (!Number.isFinite(value)) throw new RangeError("no double");
	return value;
}

/** Years 1 to 9999, as in CEL. */
function time(ms: number | null): Date {
	if (ms === null || ms < -62_135_596_800_000 || ms >= 253_402_300_800_000) throw new RangeError("no timestamp");
	return new Date(ms);
}
