/**
 * Requests that servers read in different ways, although Envoy forwards them: refused where access is decided.
 * The compiler gives the same patterns to Envoy (compile/envoy/canonical.ts); they mean the same in RE2 and
 * here. All match a header's values joined by a comma, as Envoy's matchers see repeated headers.
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

/**
 * The path of the built-in probe through every listener: no policy can allow it, for any method. It is canonical, so
 * that the rules refuse it as `forbidden` (natively weir.deny, otherwise the sidecar).
 */
export const PROBE_PATH = "/.well-known/weir-probe";

/** A whole :path, without `#`. Excludes raw bytes, so that no pattern below meets one (CVE-2026-73552). */
export const GOOD_PATH = '/[!"$-~]*';

const HEX = "[0-9A-Fa-f]";
const NOT_HEX = "[!-/:-@G-`g-~]";

/**
 * Anywhere in the path without its query: path parameters (CVE-2026-73511), also escaped, backslashes, doubled slashes
 * (CVE-2021-31920), dot segments, and escapes that end strings, lines or segments, that are escaped twice, that are not
 * in UTF-8 (overlong dots and slashes of two bytes), or that are invalid.
 */
export const BAD_PATH = `[!-~]*(?:[;\\\\]|//|/\\.\\.?(?:/|$)|%(?:[01]${HEX}|2[Ff]|25${HEX}${HEX}|3[Bb]|5[Cc]|7[Ff]|[Cc][01]|[Ff][5-9A-Fa-f]|${HEX}?(?:${NOT_HEX}|$)))[!-~]*`;

/**
 * The same for escapes of three and four bytes that are not in UTF-8: overlong ones (a lenient server reads `%e0%80%ae`
 * as a dot), surrogates, and code points above U+10FFFF. Separate, because Envoy 1.36 accepts no larger pattern.
 */
export const BAD_UTF8_PATH = "[!-~]*%(?:[Ee]0%[89]|[Ee][Dd]%[AaBb]|[Ff]0%8|[Ff]4%[9AaBb])[!-~]*";

const REST_OF_ESCAPE = "%[89ABab][!-~]";

/**
 * A whole path without its query whose escapes from %80 on have the length of UTF-8 characters: a lead byte and its
 * continuation bytes. The two patterns above check the valid lead and second bytes, and hexadecimal digits. Raw bytes of
 * HTTP/2 are already escaped by Envoy's normalisation.
 */
export const GOOD_ESCAPES = `(?:[!-$&-~]|%(?:[0-7][!-~]|(?:[CDcd][!-~]|(?:[Ee][!-~]|[Ff][!-~]${REST_OF_ESCAPE})${REST_OF_ESCAPE})${REST_OF_ESCAPE}))*`;

/** Rules have methods in capitals; a server that accepts `delete` as DELETE would bypass them. */
export const GOOD_METHOD = "[A-Z][A-Z0-9-]*";

/** TRACE and Microsoft's TRACK return credentials; CONNECT opens a tunnel. */
export const REFUSED_METHODS: readonly string[] = ["CONNECT", "TRACE", "TRACK"];

/** One name or address, and a port: no user, no list, no path. */
export const GOOD_HOST = "(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(?::[0-9]+)?";

/** Printable characters except quotation marks, commas and equals signs. */
const NAME = "[!#-+\\--<>-~]+";
/** Unambiguous, so that a mismatch takes linear time. */
const PARAMETER = `${NAME}=(?:"(?:[\\t !#-\\[\\]-~]|\\\\[ -~])*"|[!#-+\\--<>-~]*=*)`;

/**
 * One credential (RFC 9110 11.6.2): any printable text without a comma, or a scheme and its parameters, such as
 * Digest's. Only the beginning has a scheme with a space after it, so two joined headers do not match. Undecidable are
 * headers whose second one is parameters itself (`Digest a=b` and `c=d`, or half a quotation): Envoy joins Authorization
 * headers first, so the Service gets the same text that was checked.
 */
export const GOOD_AUTHORIZATION = `[\\t -+\\--~]*|${NAME} +${PARAMETER}(?:[ \\t]*,[ \\t]*${PARAMETER})*[ \\t]*`;

/** Matches any case: RE2 and JavaScript have no common flag for it. */
const anyCase = (text: string): string => text.replace(/[a-z]/gi, (a) => `[${a.toUpperCase()}${a.toLowerCase()}]`);

/**
 * Schemes whose credentials contain commas; for others `Bearer a=` and a second header `b=c` would look like parameters.
 * Separate, because Envoy 1.36 accepts no larger pattern.
 */
export const GOOD_SCHEME = `[\\t -+\\--~]*|(?:${["AWS4-HMAC-SHA256", "Digest", "Hawk", "OAuth", "Signature"].map(anyCase).join("|")}) [\\t -~]*`;

/** One JWT (RFC 9449 4.1). */
export const GOOD_DPOP = "[A-Za-z0-9._-]*";

/**
 * A server that trusts one of these serves another method or path than the one that was checked. Not x-forwarded-host,
 * x-original-host (Azure Application Gateway) and x-host: common proxies in front of a Gateway set them, and only
 * :authority selects the Service.
 */
export const OVERRIDE_HEADERS: readonly string[] = [
	"x-http-method-override",
	"x-http-methodoverride",
	"x-http-method",
	"x-method-override",
	"x-original-url",
	"x-original-uri",
	"x-override-url",
	"x-forwarded-path",
	"x-rewrite-url",
];

/** Each letter literal or escaped. */
const escapedOr = (text: string): string => {
	const escaped = (letter: string): string => anyCase(`%${letter.charCodeAt(0).toString(16)}`);
	return [...text].map((letter) => `(?:${letter}|${escaped(letter)})`).join("");
};

/**
 * A path with a query whose parameter `_method` overrides the method (Symfony, Laravel, Express's method-override). PHP
 * also accepts leading blanks, a dot for the underscore, or a NUL and any text after it.
 */
export const OVERRIDE_QUERY = `[!->@-~]*\\?(?:[!-~]*[&;])?(?:\\+|%20)*(?:[_.]|%5[Ff]|%2[Ee])${escapedOr("method")}(?:(?:[=&;]|%00)[!-~]*)?`;

const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`, "s");

const [
	goodPath,
	badPath,
	badUtf8Path,
	goodEscapes,
	goodMethod,
	goodHost,
	goodAuthorization,
	goodScheme,
	goodDpop,
	overrideQuery,
] = [
	GOOD_PATH,
	BAD_PATH,
	BAD_UTF8_PATH,
	GOOD_ESCAPES,
	GOOD_METHOD,
	GOOD_HOST,
	GOOD_AUTHORIZATION,
	GOOD_SCHEME,
	GOOD_DPOP,
	OVERRIDE_QUERY,
].map(whole) as [RegExp, RegExp, RegExp, RegExp, RegExp, RegExp, RegExp, RegExp, RegExp, RegExp];

/** Why the request is not canonical, without any of its text; null = canonical. */
export function canonicalFault(request: SentRequest): string | null {
	const { method, path, host } = request;
	if (!goodPath.test(path)) return "path";
	const query = path.indexOf("?");
	const plain = query < 0 ? path : path.slice(0, query);
	if (badPath.test(plain) || badUtf8Path.test(plain) || !goodEscapes.test(plain)) return "path";
	if (query >= 0 && overrideQuery.test(path)) return "override parameter";
	if (!goodMethod.test(method) || REFUSED_METHODS.includes(method)) return "method";
	if (!goodHost.test(host)) return "host";
	const authorization = joined(request, "authorization");
	if (!goodAuthorization.test(authorization) || !goodScheme.test(authorization)) return "authorization";
	if (!goodDpop.test(joined(request, "dpop"))) return "dpop";
	for (const name of OVERRIDE_HEADERS) if (request.headerValues(name).length > 0) return "override header";
	return null;
}

function joined(request: SentRequest, name: string): string {
	const values = request.headerValues(name);
	return values.length === 0 ? "" : values.length === 1 ? (values[0] ?? "") : values.join(",");
}
