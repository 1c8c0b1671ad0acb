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

/**
 * Asked by the built-in probe through every listener: no policy can allow it, whatever the method. It is canonical, so
 * that it comes as far as the rules (natively weir.deny, else the sidecar) and is refused there as `forbidden`.
 */
export const PROBE_PATH = "/.well-known/weir-probe";

/** A whole :path, without `#`. Raw bytes fail here first, so that no pattern below meets one (CVE-2026-73552). */
export const GOOD_PATH = '/[!"$-~]*';

const HEX = "[0-9A-Fa-f]";
const NOT_HEX = "[!-/:-@G-`g-~]";

/**
 * Somewhere in the path without its query: path parameters (CVE-2026-73511) also escaped, backslashes, doubled
 * slashes (CVE-2021-31920), dot segments, and escapes that end strings, lines or segments, that are escaped twice,
 * that no UTF-8 has (overlong dots and slashes of two bytes), or that are none.
 */
export const BAD_PATH = `[!-~]*(?:[;\\\\]|//|/\\.\\.?(?:/|$)|%(?:[01]${HEX}|2[Ff]|25${HEX}${HEX}|3[Bb]|5[Cc]|7[Ff]|[Cc][01]|[Ff][5-9A-Fa-f]|${HEX}?(?:${NOT_HEX}|$)))[!-~]*`;

/**
 * Likewise: escapes of three and four bytes that no UTF-8 has, so overlong (a lenient server reads `%e0%80%ae` as a
 * dot), surrogates, and what is above U+10FFFF. Apart, because Envoy 1.36 takes no larger pattern.
 */
export const BAD_UTF8_PATH = "[!-~]*%(?:[Ee]0%[89]|[Ee][Dd]%[AaBb]|[Ff]0%8|[Ff]4%[9AaBb])[!-~]*";

const REST_OF_ESCAPE = "%[89ABab][!-~]";

/**
 * A whole path without its query whose escapes from %80 on are characters of UTF-8 by their length: a lead byte, and as many
 * continuation bytes as it says. Which lead bytes and which seconds there are, and that escapes are hexadecimal, is said by the two
 * patterns above; a byte that HTTP/2 brings raw is an escape by now, for Envoy's normalisation writes it so.
 */
export const GOOD_ESCAPES = `(?:[!-$&-~]|%(?:[0-7][!-~]|(?:[CDcd][!-~]|(?:[Ee][!-~]|[Ff][!-~]${REST_OF_ESCAPE})${REST_OF_ESCAPE})${REST_OF_ESCAPE}))*`;

/** Rules name methods in capitals; a server that takes `delete` for DELETE would not. */
export const GOOD_METHOD = "[A-Z][A-Z0-9-]*";

/** TRACE and its Microsoft twin send credentials back; CONNECT asks for a tunnel. */
export const REFUSED_METHODS: readonly string[] = ["CONNECT", "TRACE", "TRACK"];

/** One name or address, and a port: no user, no list, no path. */
export const GOOD_HOST = "(?:[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(?::[0-9]+)?";

/** Printable, but for quotation marks, commas and equals signs. */
const NAME = "[!#-+\\--<>-~]+";
/** Nothing in it can be read in two ways, so that one that does not fit is given up in linear time. */
const PARAMETER = `${NAME}=(?:"(?:[\\t !#-\\[\\]-~]|\\\\[ -~])*"|[!#-+\\--<>-~]*=*)`;

/**
 * One credential (RFC 9110 11.6.2): without a comma anything printable, with commas a scheme and its parameters, such as
 * Digest's. A scheme with a blank after it stands at the beginning only, so two headers joined are no such thing.
 * Undecidable here are headers whose second one is parameters itself (`Digest a=b` and `c=d`, or half a quotation):
 * Envoy joins Authorization headers before anybody looks, so the Service is sent that one text too, as it was judged.
 */
export const GOOD_AUTHORIZATION = `[\\t -+\\--~]*|${NAME} +${PARAMETER}(?:[ \\t]*,[ \\t]*${PARAMETER})*[ \\t]*`;

/** A pattern's letters in either case: RE2 and JavaScript have no flag in common. */
const anyCase = (text: string): string => text.replace(/[a-z]/gi, (a) => `[${a.toUpperCase()}${a.toLowerCase()}]`);

/**
 * The schemes whose credentials have commas, by name; any other's has none: `Bearer a=` and a second header `b=c` would
 * look like parameters. Apart from the rest, because Envoy 1.36 takes no larger pattern.
 */
export const GOOD_SCHEME = `[\\t -+\\--~]*|(?:${["AWS4-HMAC-SHA256", "Digest", "Hawk", "OAuth", "Signature"].map(anyCase).join("|")}) [\\t -~]*`;

/** One JWT (RFC 9449 4.1). */
export const GOOD_DPOP = "[A-Za-z0-9._-]*";

/**
 * A server that believes one of these serves another method or path than the one that was judged. x-forwarded-host,
 * x-original-host (Azure Application Gateway) and x-host are none of them: common proxies in front of a Gateway set them,
 * and the Service is chosen by :authority alone.
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

/** Letters, each as it is or escaped. */
const escapedOr = (text: string): string => {
	const escaped = (letter: string): string => anyCase(`%${letter.charCodeAt(0).toString(16)}`);
	return [...text].map((letter) => `(?:${letter}|${escaped(letter)})`).join("");
};

/**
 * A path with a query whose parameter `_method` says another method (Symfony, Laravel, Express's method-override). PHP reads a
 * name with blanks before it, a dot for the underscore, or a NUL and whatever behind it, as the same.
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

/** Why the request is not canonical, in a few words without anything of it; null = it is. */
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
