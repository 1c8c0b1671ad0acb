/**
 * Requests that servers read in different ways, although Envoy lets them through: refused where access is judged
 * (security reference 2.5). The patterns are texts, because the compiler gives the very same ones to Envoy
 * (compiler/canonical.ts); they mean the same in RE2 and here. All are held against a header's values joined by a
 * comma, as Envoy's matchers see repeated headers, so that both executions judge the same text.
 */

export interface SentRequest {
	readonly method: string;
	/** Path with query, as Envoy has it after normalisation. */
	readonly path: string;
	/** As the client wrote it (:authority). */
	readonly host: string;
	/** Each value of a request header apart, in order, latin1; lower-case name. */
	headerValues(name: string): readonly string[];
}

/** Asked by `weir probe` through every listener: no policy can allow it (OPTIONS or any method). */
export const PROBE_PATH = "/.well-known/weir-probe";

/** A whole :path. Raw bytes fail here first, so that no pattern below meets one (CVE-2026-73552). */
export const GOOD_PATH = "/[!-~]*";

const HEX = "[0-9A-Fa-f]";
const NOT_HEX = "[!-/:-@G-`g-~]";

/**
 * Somewhere in the path without its query: path parameters (CVE-2026-73511) also escaped, backslashes, doubled
 * slashes (CVE-2021-31920), dot segments, and escapes that end strings, lines or segments, that are escaped twice,
 * that no UTF-8 has (overlong dots and slashes), or that are none.
 */
export const BAD_PATH = `[!-~]*(?:[;\\\\]|//|/\\.\\.?(?:/|$)|%(?:[01]${HEX}|2[Ff]|25${HEX}${HEX}|3[Bb]|5[Cc]|7[Ff]|[Cc][01]|[Ff][5-9A-Fa-f]|${HEX}?(?:${NOT_HEX}|$)))[!-~]*`;

/** Rules name methods in capitals; a server that takes `delete` for DELETE would not. */
export const GOOD_METHOD = "[A-Z][A-Z0-9-]*";

/** TRACE and its Microsoft twin send credentials back; CONNECT asks for a tunnel. */
export const REFUSED_METHODS: readonly string[] = ["CONNECT", "TRACE", "TRACK"];

/** One name or address, and a port: no user, no list, no path. */
export const GOOD_HOST = "(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(?::[0-9]+)?";

/** Printable, but for quotation marks, commas and equals signs. */
const NAME = "[!#-+\\--<>-~]+";
const PARAMETER = `${NAME}[ \\t]*=[ \\t]*(?:"(?:[\\t !#-\\[\\]-~]|\\\\[ -~])*"|[!#-+\\--~]*)`;

/**
 * One credential (RFC 9110 11.6.2): without a comma anything printable, with commas a scheme and its parameters, such as
 * Digest's. Two headers joined are no such thing, whichever of them a server would take. (Envoy 1.36 takes no larger
 * pattern.)
 */
export const GOOD_AUTHORIZATION = `[\\t -+\\--~]*|${NAME} +(?:${PARAMETER}[ \\t]*,?[ \\t]*)*`;

/** Schemes whose credential has no comma: `Bearer a=` and a second header `b=c` would look like parameters. */
export const BAD_AUTHORIZATION = "[\\t ]*(?:[Bb][Ee][Aa][Rr][Ee][Rr]|[Dd][Pp][Oo][Pp]|[Bb][Aa][Ss][Ii][Cc])[\\t ].*,.*";

/** One JWT (RFC 9449 4.1). */
export const GOOD_DPOP = "[A-Za-z0-9._-]*";

/** A server that believes one of these serves another method or path than the one that was judged. */
export const OVERRIDE_HEADERS: readonly string[] = [
	"x-http-method-override",
	"x-http-method",
	"x-method-override",
	"x-original-url",
	"x-rewrite-url",
];

const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`, "s");

const [goodPath, badPath, goodMethod, goodHost, goodAuthorization, badAuthorization, goodDpop] = [
	GOOD_PATH,
	BAD_PATH,
	GOOD_METHOD,
	GOOD_HOST,
	GOOD_AUTHORIZATION,
	BAD_AUTHORIZATION,
	GOOD_DPOP,
].map(whole) as [RegExp, RegExp, RegExp, RegExp, RegExp, RegExp, RegExp];

/** Why the request is not canonical, in a few words without anything of it; null = it is. */
export function canonicalFault(request: SentRequest): string | null {
	const { method, path, host } = request;
	if (!goodPath.test(path) || path.includes("#")) return "path";
	const query = path.indexOf("?");
	const plain = query < 0 ? path : path.slice(0, query);
	if (badPath.test(plain)) return "path";
	if (plain === PROBE_PATH) return "probe";
	if (!goodMethod.test(method) || REFUSED_METHODS.includes(method)) return "method";
	if (!goodHost.test(host)) return "host";
	const authorization = joined(request, "authorization");
	if (!goodAuthorization.test(authorization) || badAuthorization.test(authorization)) return "authorization";
	if (!goodDpop.test(joined(request, "dpop"))) return "dpop";
	for (const name of OVERRIDE_HEADERS) if (request.headerValues(name).length > 0) return "override header";
	return null;
}

function joined(request: SentRequest, name: string): string {
	const values = request.headerValues(name);
	return values.length === 0 ? "" : values.length === 1 ? (values[0] ?? "") : values.join(",");
}
