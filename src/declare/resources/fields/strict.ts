/**
 * Strict mappings, and the convention for errors in this folder. A zod error message is the hint ("write …"), if the
 * value shows what is wrong; otherwise withHint() makes a message with both. faults.ts converts issues to Problems.
 */
import { z } from "zod";

/** An issue message with the error and the hint. */
export function withHint(what: string, hint: string): string {
	return `${what}\n${hint}`;
}

/** Splits an issue message; `what` is null if it has only the hint. */
export function splitMessage(message: string): { readonly what: string | null; readonly hint: string } {
	const cut = message.indexOf("\n");
	return cut === -1 ? { what: null, hint: message } : { what: message.slice(0, cut), hint: message.slice(cut + 1) };
}

/** A mapping of exactly these fields. The issue of an unknown field lists the known ones. */
export function fields<Shape extends z.ZodRawShape>(shape: Shape, hint = ""): z.ZodObject<Shape, z.core.$strict> {
	const known = Object.keys(shape).join(", ");
	return z.strictObject(shape, {
		error: (issue) => (issue.code === "unrecognized_keys" ? known : hint || `write a mapping of ${known}`),
	});
}

/** A list; `hint` describes its items. */
export function list<Item extends z.ZodType>(item: Item, hint: string): z.ZodArray<Item> {
	return z.array(item, { error: hint });
}

/** A list without duplicates. */
export function uniqueList<Item extends z.ZodType<string>>(item: Item, hint: string) {
	return list(item, hint).superRefine((items, context) => {
		refuseRepeats(items, String, (index, first, key) => {
			const message = withHint(`repeats ${key}, item ${first} of the list`, "remove one of them");
			context.addIssue({ code: "custom", path: [index], message });
		});
	});
}

/** One of these values. */
export function oneOf<const Words extends readonly [string, ...string[]]>(...values: Words) {
	return z.enum(values, { error: `write ${orList(values)}` });
}

export function orList(values: readonly string[]): string {
	return values.length < 2 ? values.join("") : `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
}

/** A whole number in a range. */
export function whole(min: number, max: number): z.ZodNumber {
	const error = `write a whole number from ${min} to ${max}`;
	return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

export const flag = z.boolean({ error: "write true or false" });

/** Reports each duplicate at its position. */
export function refuseRepeats<Item>(
	items: readonly Item[],
	keyOf: (item: Item) => string,
	report: (index: number, first: number, key: string) => void,
): void {
	const seen = new Map<string, number>();
	for (const [index, item] of items.entries()) {
		const key = keyOf(item);
		const first = seen.get(key);
		if (first === undefined) seen.set(key, index);
		else report(index, first, key);
	}
}
