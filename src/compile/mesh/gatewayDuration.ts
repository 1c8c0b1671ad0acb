/** Durations of the Gateway API (GEP-2257): whole h, m, s and ms, each of at most five digits. */

const UNITS = [
	["h", 3_600_000],
	["m", 60_000],
	["s", 1_000],
	["ms", 1],
] as const;

/** @param milliseconds a non-negative integer; above 99,999 hours the result is the longest valid one */
export function gatewayDuration(milliseconds: number): string {
	let rest = Math.min(milliseconds, 99_999 * 3_600_000);
	let text = "";
	for (const [unit, size] of UNITS) {
		const count = Math.floor(rest / size);
		rest -= count * size;
		if (count > 0) text += `${count}${unit}`;
	}
	return text === "" ? "0s" : text;
}
