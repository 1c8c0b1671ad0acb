/**
 * Canonical requests on a Gateway with a protected Service: hardening of the listener, and the rule that refuses requests
 * that Envoy accepts and servers interpret differently. The same patterns as access/requests/canonical.ts.
 */

import { PATH_CHARS_MAX } from "../../limits/index.js";
import {
	BAD_PATH,
	BAD_UTF8_PATH,
	GOOD_AUTHORIZATION,
	GOOD_DPOP,
	GOOD_ESCAPES,
	GOOD_HOST,
	GOOD_METHOD,
	GOOD_PATH,
	GOOD_SCHEME,
	OVERRIDE_HEADERS,
	OVERRIDE_QUERY,
	PROBE_PATH,
	REFUSED_METHODS,
} from "../access/requests/canonical.js";
import { AMBIGUOUS_PATH_PARTS, ESCAPED_UNRESERVED } from "../access/rules/policy.js";
import { DECISION_HEADER } from "../access/signedDecision.js";
import {
	ARM_HEADER,
	FORWARDED_CERT_HEADER,
	VARIANT_HEADER,
	WEIR_HEADER_PREFIX,
	WEIR_HEADER_SPELLINGS,
} from "../plan/headers.js";
import { call, field, ident, integer } from "./celTree.js";
import { protoDuration } from "./duration.js";

/**
 * For a Gateway that protects a Service. headers: browsers send 30, Envoy's default is 100.
 * headersMs: limits slow request heads. streams and windows: limit rapid resets and floods (CVE-2023-44487), 1 MiB
 * unread per HTTP/2 connection.
 */
export const GATEWAY_HARDENING = {
	headers: 100,
	headersMs: 5_000,
	streams: 100,
	streamWindowBytes: 65_536,
	connectionWindowBytes: 1_048_576,
} as const;

/** Name of the built-in deny rule in Envoy's statistics and response details; no AccessPolicy can have it. */
const NOT_CANONICAL = "(not canonical)";

/** The rule of weir.deny that refuses the built-in probe; its reason is `forbidden`, without a policy. */
export const PROBE_RULE = "(probe)";

/** The condition of PROBE_RULE if Envoy judges. If the sidecar judges, it refuses the probe with the same text. */
export const probeRule = (): object => ({
	permissions: [{ url_path: { path: { exact: PROBE_PATH } } }],
	principals: [{ any: true }],
});

/** A rule that needs another form. */
const TWO_PROOFS = "(not canonical, DPoP)";

/** A separate rule, so that the caller gets the reason. */
const PATH_TOO_LONG = "(not canonical, path length)";

/** Envoy's internal headers, which a client of a protected Gateway may not send (CVE-2023-27487, CVE-2024-45806). */
const ENVOY_HEADER_PREFIX = "x-envoy-";
const ENVOY_HEADER_SPELLINGS = [ENVOY_HEADER_PREFIX, "x_envoy_", "x-envoy_", "x_envoy-"];

/**
 * Mutations before routing: remove headers that only the mesh may set. Envoy has lowercased the names, and a protected
 * Gateway refuses names with an underscore (hardenedHeaders). So two prefixes are enough instead of eight, each of which
 * would be tried on each header.
 */
export function strippedHeaders(protects: boolean): readonly object[] {
	const prefixes = protects ? [WEIR_HEADER_PREFIX, ENVOY_HEADER_PREFIX] : WEIR_HEADER_SPELLINGS;
	return prefixes.map((prefix) => ({ remove_on_match: { key_matcher: { prefix } } }));
}

/** Later mutations: keep what a trusted proxy reported about its client before Envoy overwrites it. */
export const keptForwardedCert = (): object => ({
	append: {
		header: { key: FORWARDED_CERT_HEADER, value: "%REQ(x-forwarded-client-cert)%" },
		append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
	},
});

/** Headers in which proxies report a request's origin and target, beside `x-forwarded-*`. */
const FORWARDING = [
	...["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"],
	...["x-original-host", "x-host"],
];

/**
 * Fields for framing, connection, control, interpretation and authentication: never valid in trailers (RFC 9110 6.5.1; by
 * name in RFC 7230 4.1.2). A server that merges trailers would read another request than was judged. Digests of the content
 * are a use of trailers (RFC 9530) and stay.
 */
const NEVER_TRAILERS = [
	...["transfer-encoding", "content-length", "trailer", "te"],
	...["connection", "proxy-connection", "keep-alive", "upgrade"],
	...["proxy-authorization", "set-cookie"],
	...["content-type", "content-encoding", "content-range", "content-location"],
	...["cache-control", "pragma", "expect", "max-forwards", "range"],
	...["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"],
];

/**
 * Mutations of request trailers on a protected Gateway: no rule judges trailers, and some servers merge them into the headers
 * (RFC 9110 6.5.1). Removes headers reserved for the mesh, origin and target, identities, credentials, units, overrides, and
 * invalid trailers; the rest stays.
 * @param units headers that a unit or a segment is read from
 */
export function strippedTrailers(units: readonly string[]): readonly object[] {
	const credentials = ["cookie", "authorization", "dpop"];
	const names = [...FORWARDING, "host", ...NEVER_TRAILERS, ...credentials, ...OVERRIDE_HEADERS, ...units];
	const prefixes = [...WEIR_HEADER_SPELLINGS, ...ENVOY_HEADER_SPELLINGS, "x-forwarded-"];
	return [
		...prefixes.map((prefix) => ({ remove_on_match: { key_matcher: { prefix, ignore_case: true } } })),
		...[...new Set(names)].map((exact) => ({ remove_on_match: { key_matcher: { exact, ignore_case: true } } })),
	];
}

/**
 * Connection manager fields if any Service of the Gateway is protected, with hardenedHeaders(): those of the security
 * reference (6), with two exceptions. internal_address_config: without it no address is internal; an empty one makes every
 * address internal (seen on 1.40.0). max_requests_per_connection: it would close the connections of the busiest clients;
 * those with a certificate have a maximum age (listener.ts).
 */
export const hardening = (): object => ({
	normalize_path: true,
	merge_slashes: true,
	path_with_escaped_slashes_action: "REJECT_REQUEST",
	// The rules and the Service see `guarded.test:8443` as `guarded.test`.
	strip_any_host_port: true,
	request_headers_timeout: protoDuration(GATEWAY_HARDENING.headersMs),
	http2_protocol_options: {
		max_concurrent_streams: GATEWAY_HARDENING.streams,
		initial_stream_window_size: GATEWAY_HARDENING.streamWindowBytes,
		initial_connection_window_size: GATEWAY_HARDENING.connectionWindowBytes,
	},
});

/** Its part in common_http_protocol_options. */
export const hardenedHeaders = (): object => ({
	max_headers_count: GATEWAY_HARDENING.headers,
	// CGI-like servers map `x_user` and `x-user` to one variable.
	headers_with_underscores_action: "REJECT_REQUEST",
});

/** Fields of a route that forbid upgrades: no rule judges the data after one (CVE-2025-64763, CVE-2026-73548). */
export const noUpgrades = (): object => ({ upgrade_configs: [{ upgrade_type: "websocket", enabled: false }] });

/** Name of the shadow rule that reports what noUpgrades() would refuse before any filter. */
const WEBSOCKET = "(WebSocket)";

/** The one upgrade that an open Service allows (listener.ts), in the form that Envoy recognises: with its token in Connection. */
export const upgradeRule = (): Readonly<Record<string, object>> => ({
	[WEBSOCKET]: {
		permissions: [
			{
				and_rules: {
					rules: [
						header("upgrade", { string_match: { exact: "websocket", ignore_case: true } }),
						matching("connection", "(?i)(?:.*,)?[ \\t]*upgrade[ \\t]*(?:,.*)?"),
					],
				},
			},
		],
		principals: [{ any: true }],
	},
});

const header = (name: string, matcher: object): object => ({ header: { name, ...matcher } });
const matching = (name: string, regex: string): object => header(name, { string_match: { safe_regex: { regex } } });
/** RE2 never matches bytes that are not UTF-8, so the rule must match good values, not bad ones (CVE-2026-73552). */
const notMatching = (name: string, regex: string): object => ({ not_rule: matching(name, regex) });
const presentAndNot = (name: string, regex: string): object => ({
	and_rules: { rules: [header(name, { present_match: true }), notMatching(name, regex)] },
});

/**
 * Deny policies of RBAC for a protected Service, by name. Canonical requests pass for every caller.
 * @param judgesPaths some enforced policy looks at the path, so escapes that Envoy keeps are refused too, and long paths
 */
export function notCanonicalRules(judgesPaths: boolean): Readonly<Record<string, object>> {
	return {
		[NOT_CANONICAL]: { permissions: faults(judgesPaths), principals: [{ any: true }] },
		[TWO_PROOFS]: {
			permissions: [header("dpop", { present_match: true })],
			principals: [{ any: true }],
			condition: listed("dpop"),
		},
		...(judgesPaths ? { [PATH_TOO_LONG]: longPaths() } : {}),
	};
}

/**
 * The part of it that is refused only if a policy looks at paths, as a dry run. At open Services, which have no gate, also
 * non-ASCII bytes: longPaths() counts characters of such a path, or nothing if it is not UTF-8.
 */
export const ambiguousPaths = (): object => ({
	permissions: [invalidPathBytes(), ...ambiguousParts()],
	principals: [{ any: true }],
});

/** The part of that which longPaths() does not cover. */
export const invalidPaths = (): object => ({ permissions: [invalidPathBytes()], principals: [{ any: true }] });

/**
 * A cheap pre-check, less than half the cost of the CEL count (2,600 of a request's 366,000 instructions): most paths and ids
 * are shorter. Another rule refuses or reports values with other bytes.
 */
export const NOT_SHORT = "[!-~]{80}[!-~]*";

/**
 * Paths that no rule is tried on. In CEL: RE2 counts up to 1,000, and several such counts exceed Envoy's default maximum
 * program size of 100. An Envoy with an older or another bootstrap would then reject all routes.
 */
export const longPaths = (): object => ({
	permissions: [pathWith({ safe_regex: { regex: NOT_SHORT } })],
	principals: [{ any: true }],
	condition: call("_>_", call("size", field(ident("request"), "url_path")), integer(PATH_CHARS_MAX)),
});

const pathWith = (matcher: object): object => ({ url_path: { path: matcher } });

const invalidPathBytes = (): object => notMatching(":path", GOOD_PATH);

/**
 * Escapes are searched only in a path with an escape: Envoy makes a lowercase copy of the path per case-insensitive matcher
 * (17,000 of a request's 417,000 instructions).
 * @param more permissions that also need an escape
 */
const inEscapes = (parts: readonly string[], ...more: readonly object[]): object => ({
	and_rules: {
		rules: [
			pathWith({ contains: "%" }),
			{
				or_rules: {
					rules: [...more, ...parts.map((contains) => pathWith({ contains, ignore_case: true }))],
				},
			},
		],
	},
});

const AMBIGUOUS_ESCAPES = AMBIGUOUS_PATH_PARTS.filter((part) => part.startsWith("%"));
const AMBIGUOUS_PLAIN = AMBIGUOUS_PATH_PARTS.filter((part) => !part.startsWith("%"));

/** Only on connections from before any Service was protected: their listener does not normalise. */
const NOT_NORMALISED = pathWith({ safe_regex: { regex: `[!-~]*${ESCAPED_UNRESERVED}[!-~]*` } });

const ambiguousParts = (): readonly object[] => [
	...AMBIGUOUS_PLAIN.map((contains) => pathWith({ contains })),
	inEscapes(AMBIGUOUS_ESCAPES, NOT_NORMALISED),
];

function faults(judgesPaths: boolean): readonly object[] {
	return [
		notMatching(":path", GOOD_PATH),
		// Covers AMBIGUOUS_PLAIN.
		pathWith({ safe_regex: { regex: BAD_PATH } }),
		inEscapes(
			judgesPaths ? AMBIGUOUS_ESCAPES : [],
			pathWith({ safe_regex: { regex: BAD_UTF8_PATH } }),
			{ not_rule: pathWith({ safe_regex: { regex: GOOD_ESCAPES } }) },
			...(judgesPaths ? [NOT_NORMALISED] : []),
		),
		matching(":path", OVERRIDE_QUERY),
		notMatching(":method", GOOD_METHOD),
		...REFUSED_METHODS.map((exact) => header(":method", { string_match: { exact } })),
		notMatching(":authority", GOOD_HOST),
		presentAndNot("authorization", GOOD_AUTHORIZATION),
		// Without a comma the previous rule covers it, and most tokens are long.
		{
			and_rules: {
				rules: [
					header("authorization", { string_match: { contains: "," } }),
					notMatching("authorization", GOOD_SCHEME),
				],
			},
		},
		presentAndNot("dpop", GOOD_DPOP),
		...OVERRIDE_HEADERS.map((name) => header(name, { present_match: true })),
		// Stripped before routing, and ours are not set yet at this point.
		...[ARM_HEADER, VARIANT_HEADER, DECISION_HEADER].map((name) => header(name, { present_match: true })),
	];
}

/**
 * CEL (google.api.expr.v1alpha1.Expr): the header has a comma, or was sent twice. Envoy keeps Authorization, Host and
 * x-forwarded-client-cert as one value. For any other repeated header RBAC's matchers test each value (1.40.0), and CEL tests
 * all joined by commas.
 */
const listed = (name: string): object => ({
	call_expr: {
		target: {
			call_expr: {
				function: "_[_]",
				args: [
					{ select_expr: { operand: { ident_expr: { name: "request" } }, field: "headers" } },
					{ const_expr: { string_value: name } },
				],
			},
		},
		function: "contains",
		args: [{ const_expr: { string_value: "," } }],
	},
});
