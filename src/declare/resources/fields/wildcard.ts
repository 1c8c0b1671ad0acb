/** Refuses `*` where it is not a wildcard. A rule would match it literally, so a deny would have no effect. */
import type { z } from "zod";
import { isSegment } from "./host.js";
import { withHint } from "./strict.js";

const found = (value: string): string => `is ${JSON.stringify(value.slice(0, 80))}, and * is no pattern here`;

/** A segment that looks like a pattern: `*`, `v2*`, `*.json`. Inside a segment `*` is a usual character (RFC 3986 3.3). */
const readsAsPattern = (segment: string): boolean => segment.startsWith("*") || segment.endsWith("*");

/** The issue message for a path prefix that looks like a pattern; null = it does not. */
export function prefixPattern(value: string): string | null {
	const segments = value.split("/").slice(1);
	const at = segments.findIndex(readsAsPattern);
	if (at === -1) return null;
	const beginning = segments[at]?.replace(/\*+$/, "") ?? "";
	const whole = isSegment(beginning) && !readsAsPattern(beginning) ? [beginning] : [];
	const prefix = `/${[...segments.slice(0, at), ...whole].join("/")}`;
	return withHint(
		found(value),
		at === segments.length - 1
			? `a prefix holds all below it, by whole segments: write ${prefix}`
			: `write ${prefix} for all below it, or pathTemplates with {name} for exactly one segment`,
	);
}

/** The same for a path template. */
export const templatePattern = (value: string): string | null =>
	value.split("/").some(readsAsPattern)
		? withHint(found(value), "write {name} for exactly one segment, or pathPrefixes for all below a path")
		: null;

/** The same for `ISSUER#SUB`, except for its valid patterns. */
export const userPattern = (value: string): string | null =>
	value === "*" || !value.replace(/^([^#]*)#\*$/, "$1").includes("*")
		? null
		: withHint(
				found(value),
				"write ISSUER#SUB in full, ISSUER#* for all of its users, or claims where a * is part of the text",
			);

/** The same for a group, tenant or purpose. */
export const wordPattern = (what: string, value: string): string | null =>
	value.includes("*")
		? withHint(
				found(value),
				`write each ${what} in full, users: ['*'] for any user, or claims where a * is part of the text`,
			)
		: null;

/** Refuses a text for which `pattern` returns a message. */
export const unless =
	(pattern: (value: string) => string | null) =>
	(value: string, context: z.core.$RefinementCtx): void => {
		const message = pattern(value);
		if (message !== null) context.addIssue({ code: "custom", message });
	};
