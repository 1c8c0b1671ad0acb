/** Addresses, host names, header names and paths: what Envoy compares byte for byte, so they are strict here. */
import { z } from "zod";
import { refuse } from "./scalar.js";

const IP_HINT = "write an IPv4 or IPv6 address such as 127.0.0.1, 0.0.0.0 or ::1";

export function isIp(address: string): boolean {
	return z.ipv4().safeParse(address).success || z.ipv6().safeParse(address).success;
}

/**
 * Whether an address is this machine's own. Control's parts listen on nothing else (or a UNIX socket) until their
 * peers are authenticated; the Gateway is not one of them.
 */
export function isLoopback(address: string): boolean {
	return isIp(address) && (address.startsWith("127.") || /^(0{0,4}:){2,7}0{0,3}1$/.test(address));
}

/** An IP address in one spelling: lower case, without zeros, an IPv4 one also where it is written as IPv6. A name as it is. */
export function oneSpelling(address: string): string {
	const plain = address.includes(":") ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
	// IPv4 as IPv6 (RFC 4291 section 2.5.5.2); the URL standard writes its two groups in hex.
	const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(plain);
	return mapped === null ? plain : dotted(Number.parseInt(`${mapped[1]}`, 16), Number.parseInt(`${mapped[2]}`, 16));
}

const dotted = (high: number, low: number): string => [high >> 8, high & 255, low >> 8, low & 255].join(".");

/** A host as a URL writes it (RFC 3986 section 3.2.2), an IPv6 address without its brackets. */
export const bareHost = (host: string): string => host.replace(/^\[(.*)\]$/, "$1");

/** Likewise by name, or as a URL writes an IPv6 address: what DNS cannot lead elsewhere. */
export function isLoopbackHost(host: string): boolean {
	return host.toLowerCase() === "localhost" || isLoopback(bareHost(host));
}

export const ipAddress = z
	.string({ error: IP_HINT })
	.refine(isIp, { error: IP_HINT })
	.meta({ description: "IPv4 or IPv6 address." });

/** RFC 1123 host name, lower case. */
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

const ENDPOINT_HINT = "write an IP address or a DNS name, without scheme, port or path";

/** An absolute URL with one of these schemes (`https:`), without credentials, which logs would show, and fragment. */
export function isUrl(value: string, schemes: readonly string[]): boolean {
	if (!/^[!-~]{1,2048}$/.test(value) || !URL.canParse(value)) return false;
	const url = new URL(value);
	return schemes.includes(url.protocol) && url.username === "" && url.password === "" && !value.includes("#");
}

/** Address of an endpoint: an IP address, or a DNS name (lower-cased). */
export const endpointAddress = z
	.string({ error: ENDPOINT_HINT })
	.transform((value, context): string => {
		if (isIp(value)) return value;
		const lower = value.toLowerCase();
		// A number in last place can only be a mistyped IPv4 address, or one that is hidden (WHATWG URL, ends-in-a-number).
		const numeric = /(^|\.)([0-9]+|0x[0-9a-f]*)$/.test(lower);
		return DNS_NAME.test(lower) && !numeric ? lower : refuse(context, ENDPOINT_HINT);
	})
	.meta({ description: "IP address or DNS name." });

const HOST_HINT = "write a DNS name such as api.example.com or *.example.com, without scheme, port or path";

/** Host that clients call, lower-cased; a leading `*.` matches any subdomain (Envoy VirtualHost.domains). */
export const hostName = z
	.string({ error: HOST_HINT })
	.transform((value, context): string => {
		const lower = value.toLowerCase();
		return DNS_NAME.test(lower.startsWith("*.") ? lower.slice(2) : lower) ? lower : refuse(context, HOST_HINT);
	})
	.meta({ description: "DNS name, optionally with a leading *. ; no port." });

/** Field name of HTTP (RFC 9110 section 5.1: a token). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Headers that cannot name a person: the connection's, the proxy's, or of many values; and why credentials cannot. */
const NOT_A_UNIT = new Set([
	..."host connection keep-alive te trailer transfer-encoding upgrade content-length content-type expect".split(" "),
	..."cookie set-cookie authorization proxy-authorization proxy-authenticate proxy-connection".split(" "),
	..."accept accept-encoding accept-language date range forwarded via user-agent".split(" "),
	..."x-request-id traceparent tracestate baggage".split(" "),
]);
const NOT_A_UNIT_PREFIX = /^x[-_](weir|envoy|forwarded)[-_]/;

/**
 * Logged before any Experiment asks for it: a new header in the access log is a new listener configuration, and
 * connections opened before it would be served, but logged without their unit, until they are drained.
 */
export const USUAL_UNIT_HEADER = "x-user-id";

const HEADER_HINT = "write the name of a request header that carries a user or tenant id, such as x-user-id";

/** Name of the header that carries the unit, lower-cased. */
export const unitHeader = z
	.string({ error: HEADER_HINT })
	.transform((value, context): string => {
		const lower = value.toLowerCase();
		if (!TOKEN.test(lower)) return refuse(context, HEADER_HINT, `is ${JSON.stringify(value)}, no valid header name`);
		if (lower.length > 128) return refuse(context, HEADER_HINT, "is longer than 128 characters");
		if (NOT_A_UNIT_PREFIX.test(lower) || NOT_A_UNIT.has(lower)) {
			return refuse(context, HEADER_HINT, `is ${lower}, which the connection, the proxy or Weir itself uses`);
		}
		return lower;
	})
	.meta({ description: "Request header that carries the unit; lower-cased." });

const METHOD_HINT = "write an HTTP method in capitals such as GET or POST";

export const httpMethod = z.string({ error: METHOD_HINT }).regex(/^[A-Z][A-Z-]{0,31}$/, { error: METHOD_HINT });

/** A segment of a path that has one spelling and one reading: no escapes, dot segments or parameters (access/path.ts). */
export const isSegment = (segment: string): boolean =>
	/^[A-Za-z0-9._~!$&'()*+,=:@-]+$/.test(segment) && segment !== "." && segment !== "..";

/** Path of a health check: as a prefix, with a query allowed. */
export const requestPath = z
	.string({ error: "write a path that begins with /" })
	.regex(/^\/[!-"$-~]*$/, { error: "write a path that begins with /, without spaces or #" });

/** The wildcards that a host may lie under, the longest first: `*.b.example` and `*.example` of `a.b.example`; of one, itself first. */
export function* wildcardsOver(host: string): Generator<string, void, undefined> {
	for (let dot = host.indexOf(".", 1); dot > 0; dot = host.indexOf(".", dot + 1)) yield `*${host.slice(dot)}`;
}
