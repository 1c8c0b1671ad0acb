/** Addresses, host names, header names and paths. Strict, because Envoy compares bytes. */
import { z } from "zod";
import { isIp } from "../address.js";
import { refuse } from "./scalar.js";

const IP_HINT = "write an IPv4 or IPv6 address such as 127.0.0.1, 0.0.0.0 or ::1";

export const ipAddress = z
	.string({ error: IP_HINT })
	.refine(isIp, { error: IP_HINT })
	.meta({ description: "IPv4 or IPv6 address." });

/** RFC 1123 host name, lower case. */
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

const ENDPOINT_HINT = "write an IP address or a DNS name, without scheme, port or path";

/** Address of an endpoint: an IP address, or a DNS name (lower-cased). */
export const endpointAddress = z
	.string({ error: ENDPOINT_HINT })
	.transform((value, context): string => {
		if (isIp(value)) return value;
		const lower = value.toLowerCase();
		// A numeric last label is a mistyped or hidden IPv4 address (WHATWG URL, ends-in-a-number).
		const numeric = /(^|\.)([0-9]+|0x[0-9a-f]*)$/.test(lower);
		return DNS_NAME.test(lower) && !numeric ? lower : refuse(context, ENDPOINT_HINT);
	})
	.meta({ description: "IP address or DNS name." });

const HOST_HINT = "write a DNS name such as api.example.com or *.example.com, without scheme, port or path";
const WILDCARD_HINT = "write at least two labels below the wildcard, such as *.example.com";

/** Host that clients call, lower-cased; a leading `*.` matches any subdomain (Envoy VirtualHost.domains). */
export const hostName = z
	.string({ error: HOST_HINT })
	.transform((value, context): string => {
		const lower = value.toLowerCase();
		// `*.com` would capture the names of all other namespaces.
		if (/^\*\.[^.]+$/.test(lower)) return refuse(context, WILDCARD_HINT);
		return DNS_NAME.test(lower.startsWith("*.") ? lower.slice(2) : lower) ? lower : refuse(context, HOST_HINT);
	})
	.meta({ description: "DNS name without a port; may begin with *. as a wildcard." });

/** Field name of HTTP (RFC 9110 section 5.1: a token). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Headers that identify no user: of the connection or proxy, or with many values. Also credentials. */
const NOT_A_UNIT = new Set([
	..."host connection keep-alive te trailer transfer-encoding upgrade content-length content-type expect".split(" "),
	..."cookie set-cookie authorization dpop proxy-authorization proxy-authenticate proxy-connection".split(" "),
	..."accept accept-encoding accept-language date range forwarded via user-agent".split(" "),
	..."x-request-id traceparent tracestate baggage".split(" "),
]);
const NOT_A_UNIT_PREFIX = /^x[-_](weir|envoy|forwarded)[-_]/;

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
	.meta({ description: "Request header with the unit id; converted to lower case." });

const METHOD_HINT = "write an HTTP method in capitals such as GET or POST";

export const httpMethod = z.string({ error: METHOD_HINT }).regex(/^[A-Z][A-Z-]{0,31}$/, { error: METHOD_HINT });

/** A path segment with only one spelling: no escapes, dot segments or parameters (access/requests/path.ts). */
export const isSegment = (segment: string): boolean =>
	/^[A-Za-z0-9._~!$&'()*+,=:@-]+$/.test(segment) && segment !== "." && segment !== "..";

/** Path of a health check: like a prefix, but a query is allowed. */
export const requestPath = z
	.string({ error: "write a path that begins with /" })
	.regex(/^\/[!-"$-~]*$/, { error: "write a path that begins with /, without spaces or #" });

/**
 * Wildcards that match a host, the longest first: `*.b.example` and `*.example` for `a.b.example`; a wildcard yields
 * itself first.
 */
export function* wildcardsOver(host: string): Generator<string, void, undefined> {
	for (let dot = host.indexOf(".", 1); dot > 0; dot = host.indexOf(".", dot + 1)) yield `*${host.slice(dot)}`;
}
