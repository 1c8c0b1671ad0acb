/** Conditions of an AccessPolicy: callers, claims, path templates, schedules and CEL. */
import { z } from "zod";
import { CONDITION_FIELDS, conditionFault } from "../../../compile/access/conditions/condition.js";
import { ANYONE } from "../../../compile/access/requests/principal.js";
import { epochMs } from "../../../compile/access/requests/rfc3339.js";
import { isTimezone } from "../../../compile/access/rules/schedule.js";
import { PATH_TEMPLATE_CHARS_MAX } from "../../../limits/index.js";
import type { Schedule } from "../resource.js";
import { spiffeFault } from "../spiffe.js";
import { isSegment } from "./host.js";
import { refuse, text } from "./scalar.js";
import { noTrustDomain, SPIFFE_HINT } from "./spiffeField.js";
import { fields, list, oneOf, refuseRepeats, uniqueList, withHint } from "./strict.js";
import { prefixPattern, templatePattern, unless, userPattern, wordPattern } from "./wildcard.js";

const PRINCIPAL_HINT = `${SPIFFE_HINT}, one that ends with /* for all below it, '*' for any, or anyone for those who prove none too`;

/** A SPIFFE id, `PREFIX/*`, `*` or `anyone`. */
export const principal = noTrustDomain(PRINCIPAL_HINT, (domain) => `write ${domain}/* for all of it`)
	.transform((value, context): string => {
		if (value === "*" || value === ANYONE) return value;
		const fault = spiffeFault(value.endsWith("/*") ? value.slice(0, -2) : value);
		return fault === null ? value : refuse(context, PRINCIPAL_HINT, `${fault} (${JSON.stringify(value.slice(0, 80))})`);
	})
	.meta({ description: "SPIFFE id of a workload, a prefix that ends with /*, * for any verified id, or anyone." });

const USER_HINT =
	"write ISSUER#SUB of a token, such as https://id.example.com#alice, ISSUER#* for all of its users, or '*' for any user";

/** `ISSUER#SUB`, split at the first `#`. */
export const user = z
	.string({ error: USER_HINT })
	.regex(/^\*$|^[^#\p{Cc}\p{Cs}]{1,1024}#[^\p{Cc}\p{Cs}]{1,1024}$/u, { error: USER_HINT, abort: true })
	.superRefine(unless(userPattern));

/** A group, tenant or purpose; matched exactly. */
export const word = (what: string) => text(`write a ${what}`).superRefine(unless((value) => wordPattern(what, value)));

export const CLAIM_HINT = "write the name of a claim such as sub, or a path such as org.tenant";

/** A path of names separated by points, or one name that is a URL (OpenID Connect Core 5.1.2). */
export const claimName = z
	.string({ error: CLAIM_HINT })
	.regex(/^(?:https?:\/\/[!-~]{1,256}|[A-Za-z0-9_:/-]{1,64}(?:\.[A-Za-z0-9_:/-]{1,64}){0,3})$/, { error: CLAIM_HINT });

const VALUES_HINT = "write a list of at least one text";

/** Claims match strings only; a CEL condition can match numbers and booleans. */
const claimText = text(({ input }) => {
	const kind = { number: "number", boolean: "truth value" }[typeof input as string];
	if (kind === undefined) return "write a text";
	return `write a text in quotes, or, where the token has a ${kind}, condition: 'has(user.claims) && has(user.claims.NAME) && user.claims.NAME == ${input}'`;
});

export const claimRules = list(
	fields(
		{
			claim: claimName,
			values: uniqueList(claimText, VALUES_HINT).min(1, { error: VALUES_HINT }),
		},
		"write {claim: role, values: [clerk]}",
	),
	"write a list of {claim, values}",
)
	.superRefine((rules, context) => {
		refuseRepeats(
			rules,
			({ claim }) => claim,
			(index, first, key) => {
				const hint = "give each claim once: all of the list must hold, one of the values is enough";
				const message = withHint(`repeats ${key}, item ${first} of the list`, hint);
				context.addIssue({ code: "custom", path: [index, "claim"], message });
			},
		);
	})
	.default([]);

const DECODED = "or a condition: its request.path is decoded";
const PREFIX_HINT =
	"write a path that begins with /, without a / at its end, and without //, . or .. segments, ;, %, ?, # or spaces";

/**
 * @param isGood whether the value is valid without its parameters, which rules never match (access/requests/path.ts)
 * @param instead what to write for characters that a request path never contains literally
 */
function refusePath(
	context: z.core.$RefinementCtx,
	isGood: (value: string) => boolean,
	hint: string,
	instead: string,
): never {
	const value = String(context.value);
	if (value.length > PATH_TEMPLATE_CHARS_MAX) {
		const most = `write at most ${PATH_TEMPLATE_CHARS_MAX}`;
		return refuse(context, most, `has ${value.length} characters`);
	}
	const [beyondAscii] = value.match(/\P{ASCII}/u) ?? [];
	if (beyondAscii !== undefined && isGood(value.replace(/\P{ASCII}/gu, "x"))) {
		const [path, letter] = [value.slice(0, 80), beyondAscii].map((text) => JSON.stringify(text));
		const what = `is ${path}, and a request has ${letter} percent-encoded in its path, which prefixes and templates cannot name`;
		return refuse(context, instead, what);
	}
	const plain = value.replace(/;[^/]*/g, "");
	if (plain === value || !isGood(plain)) return refuse(context, hint);
	const what = `is ${JSON.stringify(value.slice(0, 80))}, and a request with a ; in its path is refused before any rule (not-canonical)`;
	return refuse(context, `write ${plain}`, what);
}

/** A path prefix of whole segments. No escapes and dot segments, because Envoy compares the normalised path. */
export const pathPrefix = z.string({ error: PREFIX_HINT }).transform((value, context): string => {
	if (value === "/") return value;
	if (!isPrefix(value)) return refusePath(context, isPrefix, PREFIX_HINT, `write a shorter prefix, ${DECODED}`);
	const pattern = prefixPattern(value);
	return pattern === null ? value : refuse(context, pattern);
});

const isPrefix = (value: string): boolean =>
	value.startsWith("/") && value.length <= PATH_TEMPLATE_CHARS_MAX && value.split("/").slice(1).every(isSegment);

const TEMPLATE_HINT =
	"write a path such as /v2/models/{model}/infer: segments as in a prefix, and {name} for exactly one segment";

export const pathTemplate = z.string({ error: TEMPLATE_HINT }).transform((value, context): string => {
	if (!isTemplate(value))
		return refusePath(context, isTemplate, TEMPLATE_HINT, `write {name} for that segment, ${DECODED}`);
	const pattern = templatePattern(value);
	if (pattern !== null) return refuse(context, pattern);
	const names = value.split("/").filter((segment) => segment.startsWith("{"));
	if (new Set(names).size < names.length) return refuse(context, "give each variable its own name", "names one twice");
	return value;
});

const isTemplate = (value: string): boolean =>
	value.startsWith("/") &&
	value.length <= PATH_TEMPLATE_CHARS_MAX &&
	value
		.split("/")
		.slice(1)
		.every((segment) => /^\{[A-Za-z][A-Za-z0-9_]{0,63}\}$/.test(segment) || isSegment(segment));

const ZONE_HINT = "write an IANA time zone such as Europe/Berlin or UTC";
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const DAYS_HINT = "write a list of at least one of mon, tue, wed, thu, fri, sat and sun";
const CLOCK_HINT = 'write hours and minutes in quotes, such as "08:00"';

/** Minutes of the day of `HH:MM`. */
const clock = (pattern: RegExp) =>
	z
		.string({ error: CLOCK_HINT })
		.regex(pattern, { error: CLOCK_HINT })
		.transform((value) => Number(value.slice(0, 2)) * 60 + Number(value.slice(3)));

export const schedule = fields(
	{
		timezone: z
			.string({ error: ZONE_HINT })
			.refine((zone) => /^[A-Za-z]/.test(zone) && isTimezone(zone), { error: ZONE_HINT }),
		days: uniqueList(oneOf(...DAYS), DAYS_HINT)
			.min(1, { error: DAYS_HINT })
			.default([...DAYS])
			.meta({ description: "Weekdays on which the window starts. Default: all." }),
		from: clock(/^(?:[01][0-9]|2[0-3]):[0-5][0-9]$/).meta({ description: "Start of the window, HH:MM, inclusive." }),
		until: clock(/^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$/).meta({
			description: "End of the window, HH:MM, exclusive. If it is not after `from`, the window ends on the next day.",
		}),
	},
	'write {timezone: Europe/Berlin, days: [mon, tue], from: "08:00", until: "18:00"}',
)
	.transform(
		({ timezone, days, from, until }): Schedule => ({
			timezone,
			days: days.map((day) => DAYS.indexOf(day) + 1),
			fromMinute: from,
			untilMinute: until,
		}),
	)
	.meta({ description: "Weekly time window in the local time of a time zone. Default: always." });

const TIME_HINT = 'write an RFC 3339 time in quotes, such as "2026-06-01T00:00:00Z"';

/** RFC 3339 without more than milliseconds, as epoch milliseconds. */
export const time = z.string({ error: TIME_HINT }).transform((value, context): number => {
	const ms = /\.\d{4}/.test(value) ? null : epochMs(value);
	return ms ?? refuse(context, TIME_HINT);
});

const CONDITION_HINT = `write a CEL expression such as request.method == "GET" && "clerk" in user.groups; there are ${CONDITION_FIELDS}`;

/** Checks syntax, types and limits here, so that no later step can fail. */
export const policyCondition = z.string({ error: CONDITION_HINT }).transform((value, context): string => {
	const fault = conditionFault(value);
	if (fault === null) return value;
	return refuse(context, fault.hint ?? CONDITION_HINT, `${fault.what} ${place(value, fault.offset)}`);
});

/** Line and column within an expression. */
function place(expression: string, offset: number): string {
	const before = expression.slice(0, offset).split("\n");
	return `(at ${before.length}:${(before.at(-1)?.length ?? 0) + 1} of the expression)`;
}
