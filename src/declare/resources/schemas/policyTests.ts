/** Tables of requests with expected decisions. */
import { z } from "zod";
import { epochMs } from "../../../compile/access/requests/rfc3339.js";
import { httpMethod } from "../fields/host.js";
import { refuse } from "../fields/scalar.js";
import { spiffeId } from "../fields/spiffeField.js";
import { fields, list, oneOf, withHint } from "../fields/strict.js";

/** Cases of one `weir policy test`. */
const POLICY_TESTS_MAX = 10_000;

/**
 * Paths that Envoy changes before rules match: escaped characters, doubled slashes, dot segments, backslashes and
 * needless escapes.
 */
const CHANGED = /["<>^`{|}\\]|\/\/|\/\.{1,2}(?:;[^/]*)?(?:\/|$)|%(?:2[de]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)/i;

const TEXT = "write a text, in quotes if it looks like a number";
const text = z.string({ error: TEXT }).min(1, { error: TEXT });
const optional = <Schema extends z.ZodType>(schema: Schema) => schema.nullable().default(null);

const path = z.string({ error: TEXT }).transform((value, context): string => {
	if (!value.startsWith("/")) return refuse(context, "write a path that begins with /, such as /v2/models");
	const [before = ""] = value.split(/[?#]/, 1);
	if (!CHANGED.test(before)) return value;
	return refuse(context, "write the path as it is afterwards", "is a path that Envoy changes before any rule reads it");
});

const TIME = 'write an RFC 3339 time in quotes, such as "2026-01-31T12:00:00Z"';
const time = z.string({ error: TIME }).transform((value, context) => epochMs(value) ?? refuse(context, TIME));

const TOKEN = "write its claims, such as {iss: https://id.example.com, sub: ann}, or invalid";
const token = z.union([z.literal("invalid"), z.looseObject({ iss: text })], { error: TOKEN });

const EITHER = "write either service: NAME or host: shop.example.org";
const request = fields({
	service: optional(text),
	host: optional(text),
	gateway: optional(text),
	region: optional(text),
	principal: optional(spiffeId),
	via: optional(spiffeId),
	token: optional(token),
	method: httpMethod.default("GET"),
	path: path.default("/"),
	variant: optional(text),
	time: optional(time),
})
	.refine(({ service, host }) => (service === null) !== (host === null), {
		error: withHint("is for no one Service", EITHER),
	})
	.refine(({ principal, via }) => via === null || principal !== null, {
		error: withHint("names a proxy and no client", "add principal: to the request"),
	})
	.transform(({ time, ...rest }) => ({ ...rest, nowMs: time }));

const verdict = oneOf("allow", "deny");
const reason = oneOf(
	"open",
	"allowed",
	"forbidden",
	"no-policy-allows",
	"not-canonical",
	"unknown-service",
	"invalid-token",
);
const EXPECT = "write allow, deny, or {verdict: deny, reason: forbidden, policy: NAME}";
const expect = z
	.union([verdict, fields({ verdict, reason: optional(reason), policy: text.nullish() })], { error: EXPECT })
	.transform((value) => (typeof value === "string" ? { verdict: value, reason: null, policy: undefined } : value))
	.transform(({ verdict, reason, policy }) => ({ allowed: verdict === "allow", reason, policy }));

const CASES = `write a list of 1 to ${POLICY_TESTS_MAX} cases of {name, request, expect}`;
/** A file of `weir policy test`. */
export const policyTests = fields({
	tests: list(fields({ name: text, request, expect }), CASES)
		.min(1, { error: CASES })
		.max(POLICY_TESTS_MAX, { error: CASES }),
});
