/**
 * Percentages and durations as text. Percentages are parsed digit by digit: floating point would be wrong for 7 % of
 * them. The schemas are in scalar.ts.
 */
import { DURATION_MS_MAX, PPM } from "../../../limits/index.js";

export const PERCENTAGE = /^([0-9]{1,3})(?:\.([0-9]{1,4}))?%$/;
export const PERCENTAGE_HINT =
	"write one to three digits, optionally a point and up to four more, then %, at most 100%, such as 2.5%";

/** Percent digits as parts per million: "7.25%" → 72500. */
function ppmOf(wholePart: string, fraction = ""): number {
	return Number(wholePart) * 10_000 + Number(fraction.padEnd(4, "0"));
}

/** Parts per million of a percentage such as `2.5%`; null if it is invalid or above 100 %. */
export function parsePercentage(value: string): number | null {
	const match = PERCENTAGE.exec(value);
	if (match === null) return null;
	const ppm = ppmOf(match[1] ?? "", match[2]);
	return ppm <= PPM ? ppm : null;
}

export const DURATION = /^(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?(?:([0-9]+)ms)?$/;
const UNIT_MS = [86_400_000, 3_600_000, 60_000, 1_000, 1];
export const DURATION_HINT =
	"write whole numbers with units d, h, m, s, ms, largest first, such as 10s, 1500ms or 1m30s";

/** Milliseconds of a duration such as `1m30s`; null if it is invalid or longer than DURATION_MS_MAX. */
export function parseDuration(value: string): number | null {
	const match = value === "" ? null : DURATION.exec(value);
	if (match === null) return null;
	const ms = UNIT_MS.reduce((total, unit, index) => total + unit * Number(match[index + 1] ?? 0), 0);
	return ms <= DURATION_MS_MAX ? ms : null;
}

/** In the largest unit without a fraction. */
export function durationText(ms: number): string {
	const index = UNIT_MS.findIndex((unit) => ms % unit === 0);
	return `${ms / Number(UNIT_MS[index])}${["d", "h", "m", "s", "ms"][index]}`;
}
