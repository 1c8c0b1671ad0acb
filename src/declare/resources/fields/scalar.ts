/** Schemas of names, percentages and durations. */
import { z } from "zod";
import { DURATION_MS_MAX } from "../../../limits/index.js";
import { withHint } from "./strict.js";
import {
	DURATION,
	DURATION_HINT,
	durationText,
	PERCENTAGE,
	PERCENTAGE_HINT,
	parseDuration,
	parsePercentage,
} from "./units.js";

const LABELS = /[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/.source;
/**
 * RFC 1123 labels joined by points, 63 characters in all: safe in cluster names, headers, route names and files. Not
 * `constructor`, which is a property of every JavaScript object.
 */
const NAME = new RegExp(`^(?!constructor$)(?=.{1,63}$)${LABELS}$`);
const NAME_HINT =
	"write a name of at most 63 lower-case letters, digits, - and ., beginning and ending with a letter or digit, in quotes if it is a number";
const RESERVED_HINT = "write another name: every object of JavaScript has a constructor";
const nameHint = ({ input }: { readonly input?: unknown }): string =>
	input === "constructor" ? RESERVED_HINT : NAME_HINT;

/** Name of a resource, variant, arm or namespace. */
export const name = z.string({ error: NAME_HINT }).regex(NAME, { error: nameHint });

const FOREIGN = withHint(
	"names a resource of another namespace",
	"only AccessPolicy.services and Service.dataClass may, with a ReferenceGrant: write a name of the same namespace",
);

/** Name of a resource in the same namespace. */
export const localName = z.string({ error: NAME_HINT }).regex(NAME, {
	error: ({ input }) => (typeof input === "string" && QUALIFIED.test(input) ? FOREIGN : nameHint({ input })),
});

const QUALIFIED = new RegExp(`^(?!constructor/)(?=[^/]{1,63}/)${LABELS}/(?!constructor$)(?=.{1,63}$)${LABELS}$`);
export const REFERENCE_HINT = "write a name, or NAMESPACE/NAME for a resource of another namespace that grants it";

/** Name of a resource in the same namespace, or NAMESPACE/NAME. */
export const reference = z.union([name, z.string().regex(QUALIFIED)], { error: REFERENCE_HINT });

const REGION_HINT = "write the name of a region";

/** Any well-formed text: a lone surrogate cannot be encoded in UTF-8. */
export function anyText(hint: string | ((issue: { readonly input?: unknown }) => string)) {
	return z.string({ error: hint }).regex(/^\P{Cs}*$/u, { error: hint });
}

/** Any text that is not empty. */
export function text(hint: Parameters<typeof anyText>[0]) {
	return anyText(hint).min(1, { error: hint });
}

const SEEN = /^(?:[^\s\p{Cc}](?:[^\p{Cc}\p{Zl}\p{Zp}]*[^\s\p{Cc}])?)?$/u;

/** A region name, matched exactly, so without invisible characters. */
export const region = text(REGION_HINT).regex(SEEN, {
	error: ({ input }) => {
		const seen = String(input)
			.replace(/[\s\p{Cc}]+/gu, " ")
			.trim();
		const written = seen === "" ? REGION_HINT : `write ${JSON.stringify(seen.slice(0, 80))}`;
		return `${written}: blanks at its ends and line breaks cannot be seen`;
	},
});

/** A share from 0 % to 100 %, in ppm. */
export const percentage = z
	.string({ error: PERCENTAGE_HINT })
	.regex(PERCENTAGE, { error: PERCENTAGE_HINT })
	.transform((value, context) => parsePercentage(value) ?? refuse(context, PERCENTAGE_HINT));

/**
 * A duration in whole milliseconds, at least `minMs`.
 * @param most the hint for one above `ms`
 */
export function duration(minMs: number, most?: { readonly ms: number; readonly hint: string }) {
	return z
		.string({ error: DURATION_HINT })
		.regex(DURATION, { error: DURATION_HINT })
		.transform((value, context) => {
			const ms = parseDuration(value);
			if (ms === null) {
				const tooLong = DURATION.test(value) && value !== "";
				return refuse(context, tooLong ? `write at most ${DURATION_MS_MAX / 86_400_000}d` : DURATION_HINT);
			}
			if (most !== undefined && ms > most.ms) return refuse(context, most.hint);
			if (ms >= minMs) return ms;
			return refuse(context, minMs === 1 ? "write a duration above 0" : `write at least ${durationText(minMs)}`);
		})
		.meta({ description: "Duration such as 10s, 1500ms, 5m, 1h, 14d or 1m30s." });
}

/** Adds an issue and returns the value that ends a transform. */
export function refuse(context: z.core.$RefinementCtx, hint: string, what: string | null = null): never {
	context.issues.push({ code: "custom", message: what === null ? hint : withHint(what, hint), input: context.value });
	return z.NEVER;
}
