/**
 * What a Gateway that protects any Service does before a request is judged: the listener's hardening, and the rule that
 * refuses what Envoy lets through and servers read in different ways. The same patterns as access/requests/canonical.ts.
 */

import { GATEWAY_HARDENING, PATH_CHARS_MAX } from "../../limits/index.js";
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
import { call, field, ident, integer } from "./celTree.js";
import { protoDuration } from "./duration.js";
import {
	ARM_HEADER,
	FORWARDED_CERT_HEADER,
	VARIANT_HEADER,
	WEIR_HEADER_PREFIX,
	WEIR_HEADER_SPELLINGS,
} from "./headers.js";

/** Name of the built-in deny rule in Envoy's statistics and response details; no AccessPolicy can have it. */
const NOT_CANONICAL = "(not canonical)";

/** Likewise, of the rule of weir.deny that refuses the built-in probe; as `forbidden`, of no policy. */
export const PROBE_RULE = "(probe)";

/** What PROBE_RULE names: where Envoy judges. Where the sidecar does, it refuses the probe in the same words. */
export const probeRule = (): object => ({
	permissions: [{ url_path: { path: { exact: PROBE_PATH } } }],
	principals: [{ any: true }],
});

/** Likewise, of a rule that needs another form. */
const TWO_PROOFS = "(not canonical, DPoP)";

/** Likewise: apart, so that who is refused is told why. */
const PATH_TOO_LONG = "(not canonical, path length)";

/** What a client of a protected Gateway may not send: Envoy's own words to itself (CVE-2023-27487, CVE-2024-45806). */
const ENVOY_HEADER_PREFIX = "x-envoy-";
const ENVOY_HEADER_SPELLINGS = [ENVOY_HEADER_PREFIX, "x_envoy_", "x-envoy_", "x_envoy-"];

/**
 * Mutations before routing: what only the mesh may say is taken from clients. Envoy's codecs have made the names lower
 * case, and a protected Gateway refuses names with an underscore in any place (hardenedHeaders), so that it has two
 * prefixes to look for, not eight: each is tried on each header.
 */
export function strippedHeaders(protects: boolean): readonly object[] {
	const prefixes = protects ? [WEIR_HEADER_PREFIX, ENVOY_HEADER_PREFIX] : WEIR_HEADER_SPELLINGS;
	return prefixes.map((prefix) => ({ remove_on_match: { key_matcher: { prefix } } }));
}

/** Mutations after those: what a trusted proxy may have said of its client is kept apart before Envoy overwrites it. */
export const keptForwardedCert = (): object => ({
	append: {
		header: { key: FORWARDED_CERT_HEADER, value: "%REQ(x-forwarded-client-cert)%" },
		append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
	},
});

/** By which proxies tell where a request came from and went to, beside `x-forwarded-*`. */
const FORWARDING = [
	...["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"],
	...["x-original-host", "x-host"],
];

/**
 * Fields by which a message is framed, kept, controlled, or read, and proofs of who asks: never a trailer's (RFC 9110 6.5.1;
 * by name in RFC 7230 4.1.2), and a server that merges them would read the request in another way than it was judged.
 * Digests of the content are what trailers are for (RFC 9530), and stay.
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
 * Mutations of request trailers on a protected Gateway: nothing has judged them, and servers exist that merge them into
 * the headers (RFC 9110 6.5.1). What the mesh alone may say, where the request came from and went to, identities, credentials,
 * units, overrides, and what no trailer may be go; the rest stays.
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
 * Fields of the connection manager where any Service of the Gateway is protected, with hardenedHeaders(): those of the
 * security reference (6), but for two. internal_address_config: left out, no address is internal; an empty one makes every
 * address so (seen on 1.40.0). max_requests_per_connection: it would end the connections of the busiest clients; those with
 * a certificate end by time (listener.ts).
 */
export const hardening = (): object => ({
	normalize_path: true,
	merge_slashes: true,
	path_with_escaped_slashes_action: "REJECT_REQUEST",
	// `guarded.test:8443` is judged, and seen by the Service, as `guarded.test`.
	strip_any_host_port: true,
	request_headers_timeout: protoDuration(GATEWAY_HARDENING.headersMs),
	http2_protocol_options: {
		max_concurrent_streams: GATEWAY_HARDENING.streams,
		initial_stream_window_size: GATEWAY_HARDENING.streamWindowBytes,
		initial_connection_window_size: GATEWAY_HARDENING.connectionWindowBytes,
	},
});

/** The part of it in common_http_protocol_options. */
export const hardenedHeaders = (): object => ({
	max_headers_count: GATEWAY_HARDENING.headers,
	// CGI and its kin make one of `x_user` and `x-user`.
	headers_with_underscores_action: "REJECT_REQUEST",
});

/** Of a route: what comes after an upgrade is judged by nobody (CVE-2025-64763, CVE-2026-73548). */
export const noUpgrades = (): object => ({ upgrade_configs: [{ upgrade_type: "websocket", enabled: false }] });

/** Name of the shadow rule that tells what noUpgrades() would refuse, before any filter. */
const WEBSOCKET = "(WebSocket)";

/** The one upgrade that an open Service takes (listener.ts), where Envoy sees one: with its token in Connection. */
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
/** RE2 takes bytes that are no UTF-8 for no match, so what is good must match, not what is bad (CVE-2026-73552). */
const notMatching = (name: string, regex: string): object => ({ not_rule: matching(name, regex) });
const presentAndNot = (name: string, regex: string): object => ({
	and_rules: { rules: [header(name, { present_match: true }), notMatching(name, regex)] },
});

/**
 * Deny policies of RBAC for a protected Service, by name. Canonical requests pass, whoever sent them.
 * @param judgesPaths some enforced policy looks at the path, so escapes that Envoy leaves are refused too, and long ones
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
 * Of it, as a dry run: what is refused only where a policy looks at paths. And at open Services, which no gate judges, bytes
 * that are no ASCII: of such a path longPaths() counts characters, or nothing where they are no UTF-8.
 */
export const ambiguousPaths = (): object => ({
	permissions: [strangeBytes(), ...ambiguousParts()],
	principals: [{ any: true }],
});

/** Of that, what no rule is to look through beside longPaths(). */
export const strangePaths = (): object => ({ permissions: [strangeBytes()], principals: [{ any: true }] });

/**
 * What a count by CEL is worth while for: most paths and ids are shorter, and this takes Envoy less than half of what the count does
 * (2,600 instructions of a request's 366,000). What is not of such bytes alone is refused, or told, by another rule.
 */
export const NOT_SHORT = "[!-~]{80}[!-~]*";

/**
 * Paths that no rule is tried on. By CEL: RE2 counts to 1,000 at most, and with several such counts its program is longer than
 * the 100 that an Envoy takes by itself. One that was started by an older bootstrap, or another's, would refuse all routes.
 */
export const longPaths = (): object => ({
	permissions: [pathWith({ safe_regex: { regex: NOT_SHORT } })],
	principals: [{ any: true }],
	condition: call("_>_", call("size", field(ident("request"), "url_path")), integer(PATH_CHARS_MAX)),
});

const pathWith = (matcher: object): object => ({ url_path: { path: matcher } });

const strangeBytes = (): object => notMatching(":path", GOOD_PATH);

/**
 * What is escaped is looked for only in a path with an escape: Envoy makes a lower-case copy of the path for each
 * matcher without regard to case (17,000 instructions of a request's 417,000, for paths that nearly never have one).
 * @param more permissions that can hold only where there is an escape too
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

/** Only a connection from before any Service was protected brings them: its listener does not normalise. */
const NOT_NORMALISED = pathWith({ safe_regex: { regex: `[!-~]*${ESCAPED_UNRESERVED}[!-~]*` } });

const ambiguousParts = (): readonly object[] => [
	...AMBIGUOUS_PLAIN.map((contains) => pathWith({ contains })),
	inEscapes(AMBIGUOUS_ESCAPES, NOT_NORMALISED),
];

function faults(judgesPaths: boolean): readonly object[] {
	return [
		notMatching(":path", GOOD_PATH),
		// Says of AMBIGUOUS_PLAIN all that there is to say.
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
		// Without a comma it says no more than the rule before it, and most tokens are long.
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
		// Stripped before routing; here nothing of ours has set them yet.
		...[ARM_HEADER, VARIANT_HEADER, DECISION_HEADER].map((name) => header(name, { present_match: true })),
	];
}

/**
 * CEL (google.api.expr.v1alpha1.Expr): the header has a comma, or was sent twice. Envoy keeps Authorization, Host and
 * x-forwarded-client-cert as one value; of any other header sent twice, RBAC's matchers look at each value alone
 * (1.40.0), and CEL at all joined by commas.
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
