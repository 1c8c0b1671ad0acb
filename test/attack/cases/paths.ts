/** Path and host semantics (security reference 4 and 5). */
import { type Attack, disarmed, forbidden, headersNamed, refused } from "../case.js";
import { get, latin1 } from "../wire.js";

const path = (value: string, who = "bob"): readonly [Buffer, string] => [get("guarded.test", value), who];
const url =
	(want: string): NonNullable<Attack["wrong"]> =>
	([request]) =>
		request?.url === want ? null : `the upstream got ${request?.url}`;

export const PATH_ATTACKS: readonly Attack[] = [
	forbidden("CVE-2019-9901", "dot segments", ...path("/v2/../admin")),
	forbidden("CVE-2019-9901", "escaped dot segments", ...path("/v2/%2e%2e/admin")),
	refused("CVE-2021-29492", "an escaped slash", get("guarded.test", "/v2%2fsecret")),
	refused("CVE-2021-29492", "an escaped backslash", get("guarded.test", "/v2%5Csecret")),
	refused("CVE-2021-29492", "an escaped slash behind dots", get("guarded.test", "/v2/..%2Fadmin")),
	forbidden("CVE-2021-31920", "a doubled slash", ...path("//admin")),
	forbidden("CVE-2021-31920", "a doubled slash inside", ...path("/v2//secret")),
	forbidden("CVE-2021-31920", "a backslash", ...path("/v2\\secret")),
	refused("CVE-2021-32779", "a fragment", get("guarded.test", "/admin#/v2")),
	refused("CVE-2021-39156", "a fragment behind an allowed path", get("guarded.test", "/v2#/../admin")),
	forbidden("CVE-2021-39155", "the host in capitals is the same Service", get("GUARDED.test", "/admin"), "bob"),
	forbidden("CVE-2021-39155", "also with a port", get("Guarded.Test:443", "/admin"), "bob"),
	forbidden("CVE-2025-46821", "a star is no wildcard", ...path("/v2/*/../../admin", "bob")),
	forbidden("CVE-2025-46821", "nor allowed where its text is not", get("guarded.test", "/*", []), "alice"),
	forbidden("CVE-2026-73511", "path parameters", ...path("/admin;x=1")),
	forbidden("CVE-2026-73511", "path parameters of a segment above", ...path("/v2;x/secret")),
	forbidden("CVE-2026-73553", "path parameters where no rule judges the path", get("wide.test", "/m1;x=y/infer")),
	forbidden("CVE-2026-73553", "an escaped semicolon", get("wide.test", "/m1%3bx")),
	forbidden("CVE-2026-73553", "a dot segment with parameters", ...path("/v2/..;/admin")),
	forbidden("CVE-2026-26205", "a path that a URL parser takes for an authority", ...path("//x/admin", "alice")),
	forbidden("CVE-2026-26205", "the same at a path that is forbidden", ...path("//admin/x")),
	forbidden("CVE-2026-32811", "what is behind the question mark is no path", ...path("/admin?/../v2")),
	forbidden("CVE-2026-32811", "an escaped question mark belongs to the path", ...path("/admin/%3f/x")),
	forbidden("CVE-2026-49473", "a rule is not met by the query", ...path("/?/v2", "alice")),
	disarmed("CVE-2026-49473", "nor broken by it", get("guarded.test", "/v2?x=/admin"), url("/v2?x=/admin")),
	disarmed(
		"T-escaped-letter",
		"%6d1 is m1, for the rule and for the upstream",
		get("guarded.test", "/v2/%6d1"),
		url("/v2/m1"),
	),
	forbidden("T-escaped-letter", "%61dmin is admin", ...path("/%61dmin")),
	disarmed(
		"T-normalised",
		"doubled slashes and dots arrive normalised",
		get("guarded.test", "/v2//models/./m1/../m2"),
		url("/v2/models/m2"),
	),
	refused("T-nul", "an escaped NUL", get("guarded.test", "/v2/%00"), [400, 403]),
	refused("T-nul", "a NUL", get("guarded.test", "/v2/\0")),
	forbidden("T-double-escape", "what a second decoding would make dots of", ...path("/v2/%252e%252e/admin")),
	forbidden("T-double-escape", "what a second decoding would make a slash of", get("wide.test", "/a%252fb")),
	forbidden("T-overlong", "an overlong dot", get("wide.test", "/%c0%ae%c0%ae/admin")),
	forbidden("T-control", "an escaped line end", get("wide.test", "/a%0d%0aSet-Cookie:x")),
	refused("T-raw-bytes", "raw bytes in the path", get("wide.test", "/\xff\xfe"), [400, 403]),
	refused("T-bad-escape", "an escape that is none", get("wide.test", "/a%zz"), [400, 403]),
	refused("T-userinfo", "a user in the host", get("root@x.wide.test", "/"), [400, 403]),
	refused(
		"T-two-hosts",
		"two Host headers",
		latin1("GET / HTTP/1.1\r\nHost: wide.test\r\nHost: a.wide.test\r\nConnection: close\r\n\r\n"),
		[400, 403],
	),
	refused("T-two-hosts", "a list in Host", get("a.wide.test,b.wide.test", "/"), [400, 403]),
	refused("T-host", "a path in Host", get("x/y.wide.test", "/"), [400, 403]),
	refused("T-host", "raw bytes in Host", get("\xff.wide.test", "/"), [400, 403]),
	refused("T-host", "no Host at all", latin1("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")),
	forbidden(
		"T-absolute-form",
		"the host of an absolute form counts",
		latin1("GET http://guarded.test/admin HTTP/1.1\r\nHost: open.test\r\nConnection: close\r\n\r\n"),
		"bob",
	),
	disarmed(
		"T-absolute-form",
		"a user in an absolute form is dropped by Envoy, for the rule and for the upstream",
		latin1("GET http://a@x.wide.test/ HTTP/1.1\r\nHost: x.wide.test\r\nConnection: close\r\n\r\n"),
		([request]) => (headersNamed(request, "host").join("|") === "x.wide.test" ? null : "kept"),
	),
	forbidden(
		"T-absolute-form",
		"dot segments in an absolute form",
		latin1("GET https://guarded.test/v2/../admin HTTP/1.1\r\nHost: guarded.test\r\nConnection: close\r\n\r\n"),
		"bob",
	),
	refused(
		"T-asterisk",
		"OPTIONS *",
		latin1("OPTIONS * HTTP/1.1\r\nHost: wide.test\r\nConnection: close\r\n\r\n"),
		[400, 403, 404],
	),
	refused(
		"T-asterisk",
		"a path without a slash",
		latin1("GET v2 HTTP/1.1\r\nHost: wide.test\r\nConnection: close\r\n\r\n"),
		[400, 403, 404],
	),
	refused(
		"CVE-2026-73547",
		"CONNECT",
		latin1("CONNECT wide.test:443 HTTP/1.1\r\nHost: wide.test:443\r\n\r\n"),
		[400, 403, 404],
	),
	refused("T-trace", "TRACE", get("wide.test", "/", [], "TRACE"), [400, 403, 405]),
	refused("T-trace", "TRACK", get("wide.test", "/", [], "TRACK"), [400, 403]),
	refused("T-method-case", "a method in small letters", get("wide.test", "/", [], "delete"), [400, 403]),
	forbidden("T-probe", "the path that no policy can allow", get("wide.test", "/.well-known/weir-probe", [], "OPTIONS")),
];
