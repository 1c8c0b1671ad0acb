/** Claims of a verified token as texts: the same for rules, groups, tenants and purposes. */

const SPACE_DELIMITED_CLAIMS: readonly string[] = ["scope", "permission"];

/** Whether a text at this path is a space-delimited list (RFC 8693 4.2, RFC 9068 2.2.3). */
export const isSpaceDelimited = ([name = "", ...deeper]: readonly string[]): boolean =>
	deeper.length === 0 && SPACE_DELIMITED_CLAIMS.includes(name);

/** The names from claim to claim: `org.tenant` is tenant in org. A URL (OIDC Core 5.1.2) is one name. */
export function claimPath(claim: string): readonly string[] {
	return /^https?:\/\//.test(claim) ? [claim] : claim.split(".");
}

const NONE: readonly string[] = [];

/** The value at this path; undefined = missing. */
export function valueAt(claims: Readonly<Record<string, unknown>>, path: readonly string[]): unknown {
	let value: unknown = claims;
	for (const name of path) {
		if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return;
		value = (value as Readonly<Record<string, unknown>>)[name];
	}
	return value;
}

/** The claim's text, or the texts in its list; other types are ignored. */
export function claimTexts(claims: Readonly<Record<string, unknown>>, claim: string): readonly string[] {
	return textsAt(claims, claimPath(claim));
}

/** The same, by the claim's path. */
export function textsAt(claims: Readonly<Record<string, unknown>>, path: readonly string[]): readonly string[] {
	const value = valueAt(claims, path);
	if (typeof value === "string") {
		return isSpaceDelimited(path) ? value.split(" ").filter((word) => word !== "") : [value];
	}
	return Array.isArray(value) ? value.filter((item) => typeof item === "string") : NONE;
}
