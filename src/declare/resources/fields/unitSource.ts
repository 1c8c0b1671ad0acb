/** The unit of an Experiment: a request header, a claim of a verified token, or a cookie. */
import { z } from "zod";
import type { UnitSource } from "../resource.js";
import { unitHeader } from "./host.js";
import { duration, refuse } from "./scalar.js";
import { fields, withHint } from "./strict.js";

/** Longest life of a cookie: browsers cap it at 400 days (RFC 6265bis section 5.5). */
export const COOKIE_AGE_MS_MAX = 366 * 24 * 60 * 60 * 1000;

const CLAIM_HINT = "write the name of a claim such as sub, or a path such as org.tenant";

const claim = z
	.string({ error: CLAIM_HINT })
	.regex(/^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,3}$/, { error: CLAIM_HINT })
	.meta({
		description:
			"Claim of a token that the Gateway verified (Gateway spec.tokens). All trusted issuers count: the same value from two issuers is one unit.",
	});

const COOKIE_HINT = "write the name of a cookie such as weir_id: letters, digits, hyphens and underscores";

const cookie = fields(
	{
		name: z.string({ error: COOKIE_HINT }).regex(/^[A-Za-z0-9_-]{1,64}$/, { error: COOKIE_HINT }),
		maxAge: duration(1)
			.prefault("90d")
			.transform((ms, context) => {
				if (ms > COOKIE_AGE_MS_MAX) return refuse(context, "write at most 366d");
				// Max-Age is in seconds (RFC 6265 5.2.2), and 0 deletes the cookie.
				return ms % 1_000 === 0 ? ms : refuse(context, "write whole seconds, such as 90d");
			})
			.meta({
				description:
					"Lifetime of the cookie in which the browser stores the id from the sidecar; whole seconds, default 90d.",
			}),
	},
	"write cookie: {name: weir_id}",
);

const UNIT_HINT = "write unit: {header: x-user-id}, {claim: sub} or {cookie: {name: weir_id}}";

export const unit = fields(
	{ header: unitHeader.optional(), claim: claim.optional(), cookie: cookie.optional() },
	UNIT_HINT,
)
	.transform((value, context): UnitSource => {
		const given = [value.header, value.claim, value.cookie].filter((source) => source !== undefined).length;
		// A mistyped field has its own problem.
		if (given === 0 && context.issues.some(({ code }) => code === "unrecognized_keys")) return z.NEVER;
		if (given !== 1) {
			const what = given === 0 ? "names no source" : "names more than one source";
			context.issues.push({ code: "custom", message: withHint(what, UNIT_HINT), input: value });
			return z.NEVER;
		}
		if (value.header !== undefined) return { from: "header", header: value.header };
		if (value.claim !== undefined) return { from: "claim", claim: value.claim };
		return { from: "cookie", cookie: value.cookie?.name ?? "", maxAgeMs: value.cookie?.maxAge ?? 0 };
	})
	.meta({
		description:
			"Source of the unit id that is assigned: exactly one of header, claim (of a verified token) and cookie.",
		minProperties: 1,
		maxProperties: 1,
	});
