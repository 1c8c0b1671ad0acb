/** Times of RFC 3339 (5.6), in capitals and without leap seconds. Pure. */

const RFC_3339 =
	/^(\d{4})-(\d{2})-(\d{2})T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;

/** Epoch milliseconds of an RFC 3339 time, a longer fraction truncated; null = invalid. */
export function epochMs(text: string): number | null {
	const match = RFC_3339.exec(text);
	if (match === null) return null;
	const [, year, month, day] = match.map(Number) as [number, number, number, number];
	// Date takes 30 February for 2 March.
	const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
	return month >= 1 && month <= 12 && day >= 1 && day <= days ? Date.parse(text) : null;
}
