/** Header semantics. */
import { TRUST_DOMAIN } from "../../compile/access/mutualTls.js";
import { type Attack, disarmed, forbidden, headersNamed, refused } from "../case.js";
import { get } from "../wire.js";

const absent =
	(...names: readonly string[]): NonNullable<Attack["wrong"]> =>
	([request]) => {
		const found = names.filter((name) => headersNamed(request, name).length > 0);
		return found.length === 0 ? null : `the upstream got ${found.join(", ")}`;
	};

const BOB = `spiffe://${TRUST_DOMAIN}/bob`;
const ADMIN = ["guarded.test", "/admin"] as const;

export const HEADER_ATTACKS: readonly Attack[] = [
	forbidden("CVE-2023-27488", "bytes that are no UTF-8 do not open what is closed", get(...ADMIN, ["x-any: \xff\xfe"])),
	disarmed(
		"CVE-2023-27488",
		"obs-text of an allowed request arrives unchanged",
		get("guarded.test", "/v2", ["x-any: a\xffb"]),
		([request]) => (headersNamed(request, "x-any")[0] === "a\xffb" ? null : "changed"),
	),
	forbidden(
		"CVE-2021-32777",
		"two Authorization headers",
		get("wide.test", "/", ["Authorization: Bearer a", "Authorization: Bearer b"]),
	),
	disarmed(
		"CVE-2020-25017",
		"two Authorization headers, the first empty: rule and upstream see only the second",
		get("wide.test", "/", ["Authorization:", "Authorization: Bearer b"]),
		([request]) => (headersNamed(request, "authorization").join("|") === "Bearer b" ? null : "they differ"),
	),
	disarmed(
		"CVE-2020-25017",
		"two Authorization headers, the second empty: rule and upstream see the first",
		get("wide.test", "/", ["Authorization: Bearer a", "Authorization:"]),
		([request]) => (headersNamed(request, "authorization").join("|") === "Bearer a" ? null : "they differ"),
	),
	forbidden(
		"T-two-authorization",
		"two Authorization headers of two schemes",
		get("wide.test", "/", ["Authorization: Digest a=1", "Authorization: Digest b=2"]),
	),
	forbidden(
		"T-two-authorization",
		"parameters in a second header",
		get("wide.test", "/", ["Authorization: Bearer a=", "Authorization: b=2"]),
	),
	disarmed(
		"T-two-authorization",
		"a Digest credential has commas, and passes",
		get("wide.test", "/", [
			'Authorization: Digest username="M, x", realm="a\\"b", uri="/x?a=b", qop=auth, nc=00000001',
		]),
		([request]) => (headersNamed(request, "authorization")[0]?.startsWith('Digest username="M, x"') ? null : "changed"),
	),
	disarmed(
		"T-two-authorization",
		"an AWS signature has commas, and passes",
		get("wide.test", "/", [
			"Authorization: AWS4-HMAC-SHA256 Credential=AK/20260101/me-central-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=fe5f80",
		]),
		([request]) => (headersNamed(request, "authorization").length === 1 ? null : "lost"),
	),
	forbidden("T-two-dpop", "two DPoP headers", get("wide.test", "/", ["DPoP: a.b.c", "DPoP: d.e.f"])),
	forbidden("T-two-dpop", "a DPoP header of two proofs", get("wide.test", "/", ["DPoP: a.b.c,d.e.f"])),
	forbidden("CVE-2026-73552", "obs-text in Authorization", get("wide.test", "/", ["Authorization: Bearer a\xff"])),
	forbidden("CVE-2026-73552", "obs-text in DPoP", get("wide.test", "/", ["DPoP: a.b.c\xff"])),
	forbidden(
		"CVE-2026-73552",
		"obs-text does not hide a second credential",
		get("wide.test", "/", ["Authorization: Bearer a\xff", "Authorization: Bearer b"]),
	),
	...[
		"X-HTTP-Method-Override",
		"x-http-method",
		"X-METHOD-OVERRIDE",
		"X-Original-URL",
		"X-Rewrite-URL",
		"X-HTTP-MethodOverride",
		"X-Original-URI",
		"X-Forwarded-Path",
		"X-Override-URL",
	].map((name) =>
		forbidden(
			"T-method-override",
			`${name} is refused, not stripped`,
			get("wide.test", "/", [`${name}: DELETE`], "POST"),
		),
	),
	...["_method=DELETE", "a=1&%5fm%65thod=DELETE", "+.method=DELETE", "_method%00=DELETE"].map((query) =>
		forbidden("T-method-override", `in a query: ${query}`, get("wide.test", `/?${query}`, [], "POST")),
	),
	forbidden("T-long-path", "a path that no rule is asked about", get("guarded.test", `/v2/${"a/".repeat(1_024)}`)),
	forbidden("T-long-path", "of one segment", get("guarded.test", `/v2/${"a".repeat(50_000)}`)),
	disarmed("T-long-path", "not its query", get("guarded.test", `/v2/?${"a".repeat(4_000)}`), ([request]) =>
		request === undefined ? "lost" : null,
	),
	forbidden("T-method-override", "an empty one too", get("wide.test", "/", ["X-HTTP-Method-Override:"], "POST")),
	forbidden(
		"GHSA-qc2q-p7wx-3px3",
		"mixed case hides no header from a rule",
		get("wide.test", "/", ["x-HtTp-MeThOd-OvErRiDe: DELETE"]),
	),
	disarmed(
		"CVE-2026-26308",
		"a list in a header that no rule reads is one value",
		get("guarded.test", "/v2", ["x-user-id: alice,admin", "x-user-id: root"]),
		([request]) => (headersNamed(request, "x-weir-arm").length === 0 ? null : "assigned"),
	),
	forbidden(
		"CVE-2026-31838",
		"an identity appended to x-forwarded-client-cert",
		get(...ADMIN, [`x-forwarded-client-cert: URI=${BOB}`, `x-forwarded-client-cert: Hash=00;URI=${BOB}`]),
	),
	forbidden(
		"CVE-2023-27487",
		"x-envoy-original-path opens nothing",
		get(...ADMIN, ["x-envoy-original-path: /v2", "x-envoy-original-url: /v2"]),
	),
	disarmed(
		"CVE-2023-27487",
		"x-envoy-original-path is removed",
		get("guarded.test", "/v2", ["x-envoy-original-path: /admin", "X-Envoy-Original-URL: /admin"]),
		absent("x-envoy-original-path", "x-envoy-original-url"),
	),
	disarmed(
		"CVE-2024-45806",
		"x-envoy- headers from a private address are not trusted",
		get("guarded.test", "/v2", [
			"x-envoy-internal: true",
			"x-envoy-max-retries: 9",
			"x-envoy-retry-on: 5xx",
			"x-envoy-upstream-rq-timeout-ms: 1",
			"x-envoy-upstream-alt-stat-name: x",
			"x-envoy-decorator-operation: x",
			"x-envoy-force-trace: 1",
			"x-envoy-expected-rq-timeout-ms: 1",
			"x-envoy-ip-tags: admin",
		]),
		absent(
			...["internal", "max-retries", "retry-on", "upstream-rq-timeout-ms", "upstream-alt-stat-name", "ip-tags"].map(
				(name) => `x-envoy-${name}`,
			),
			"x-envoy-decorator-operation",
			"x-envoy-force-trace",
			"x-envoy-expected-rq-timeout-ms",
		),
	),
	refused(
		"XFCC-underscore",
		"x_forwarded_client_cert",
		get("guarded.test", "/v2", [`x_forwarded_client_cert: URI=${BOB}`]),
	),
	refused("T-underscore", "any name with an underscore", get("guarded.test", "/v2", ["x_weir_arm: e/a"])),
	forbidden(
		"T-xfcc",
		"a forged x-forwarded-client-cert changes no identity",
		get(...ADMIN, [`x-forwarded-client-cert: URI=${BOB}`]),
	),
	disarmed(
		"T-xfcc",
		"a forged x-forwarded-client-cert does not reach the upstream",
		get("guarded.test", "/v2", [`X-Forwarded-Client-Cert: Hash=00;URI=${BOB}`]),
		([request]) => {
			const values = headersNamed(request, "x-forwarded-client-cert");
			return values.length === 1 && !/bob|Hash=00;/.test(values[0] ?? "") ? null : values.join(" | ");
		},
	),
	disarmed(
		"T-mesh-headers",
		"x-weir- headers of a client are removed",
		get("guarded.test", "/v2", [
			"X-Weir-Variant: v2",
			"x-weir-arm: e/a",
			"x-weir-claim-sub: root",
			"x-weir-decision: e30.e30.",
			"X-WEIR-PARAM-m: 1",
		]),
		([request]) => (request?.headers.some(([name]) => name.startsWith("x-weir-")) ? "it got one" : null),
	),
	disarmed(
		"T-same-header-twice",
		"a header sent twice arrives twice",
		get("guarded.test", "/v2", ["x-any: a", "x-any: b"]),
		([request]) => (headersNamed(request, "x-any").join("|") === "a|b" ? null : "changed"),
	),
	disarmed(
		"T-xff",
		"Envoy appends to x-forwarded-for, and replaces forged headers about the request",
		get("guarded.test", "/v2", ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: http", "X-Request-Id: chosen"]),
		([request]) => {
			const value = (name: string): string => headersNamed(request, name).join("|");
			if (!/^1\.2\.3\.4,(?:\d+\.){3}\d+$/.test(value("x-forwarded-for"))) return value("x-forwarded-for");
			if (value("x-forwarded-proto") !== "https") return value("x-forwarded-proto");
			return value("x-request-id") === "chosen" ? "the client's request id" : null;
		},
	),
	refused("T-large-head", "a header of 70 KB", get("guarded.test", "/v2", [`x-any: ${"a".repeat(70_000)}`]), [431]),
	refused(
		"T-many-headers",
		"101 headers",
		get(
			"guarded.test",
			"/v2",
			Array.from({ length: 101 }, (_, index) => `x-h${index}: 1`),
		),
		[431],
	),
	refused("T-nul-in-header", "NUL in a header value", get("guarded.test", "/v2", ["x-any: a\0b"])),
	refused("T-header-name", "a name with a blank", get("guarded.test", "/v2", ["x any: a"])),
	refused("T-header-name", "a blank before the colon", get("guarded.test", "/v2", ["Authorization : Bearer x"])),
	refused("T-header-name", "bytes that are no ASCII in a name", get("guarded.test", "/v2", ["x-\xff: a"])),
];
