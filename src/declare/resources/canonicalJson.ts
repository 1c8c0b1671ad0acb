/**
 * JSON with keys in code-unit order and no spaces: equal values have equal bytes. Follows RFC 8785 for the values that
 * Weir stores (finite numbers, strings, plain objects and arrays).
 */

/** Fields that are undefined are omitted, as in JSON.stringify. */
export function canonicalJson(value: unknown): string {
	if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(",")}]`;
	if (typeof value === "object" && value !== null) {
		const fields = Object.entries(value)
			.filter(([, field]) => field !== undefined)
			.sort(([x], [y]) => (x < y ? -1 : x > y ? 1 : 0))
			.map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`);
		return `{${fields.join(",")}}`;
	}
	return JSON.stringify(value ?? null);
}
