/** Patterns of SPIFFE ids: exact, a prefix of whole segments (`PREFIX/*`), any id (`*`), or any client (`anyone`). */

/** Any client, authenticated or not. */
export const ANYONE = "anyone";

/** The trust domain of a SPIFFE id, by its form only; undefined = it has none. */
export const domainOfId = (id: string): string | undefined => id.split("/", 3)[2];

/** @param id authenticated by TLS; null = none, which no pattern matches */
export function matchesPrincipal(id: string | null, pattern: string): boolean {
	if (pattern === ANYONE) return true;
	if (id === null) return false;
	if (pattern === "*") return true;
	const below = principalPrefix(pattern);
	return below === null ? id === pattern : id.length > below.length && id.startsWith(below);
}

/** `PREFIX/` of `PREFIX/*`; null for any other pattern. */
export function principalPrefix(pattern: string): string | null {
	return pattern.endsWith("/*") ? pattern.slice(0, -1) : null;
}

/**
 * All patterns that match an id, or that contain a pattern (isPrincipalWithin): few enough to look up each.
 * @param charsMax longest prefix pattern that matters
 */
export function patternsAround(principal: string, charsMax = principal.length): ReadonlySet<string> {
	if (principal === ANYONE) return new Set([ANYONE]);
	const below = [...principal.slice(0, charsMax).matchAll(/\/(?!$)/g)].map(
		({ index }) => `${principal.slice(0, index + 1)}*`,
	);
	return new Set([principal, ANYONE, "*", ...below]);
}
