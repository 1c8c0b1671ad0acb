/** Header mutations as both protocols write them: envoy.config.core.v3.HeaderValueOption, and names to remove. */
import { DECISION_HEADER } from "../../compile/access/signedDecision.js";
import { ARM_HEADER, VARIANT_HEADER } from "../../compile/envoy/headers.js";
import type { ProtoWriter } from "./protoWriter.js";
import type { Ruling, SentHeaders } from "./question.js";

export const APPEND = 0;
export const OVERWRITE = 2;

/**
 * Where Envoy looks (measured on 1.36.2 and 1.40.0). Its ext_authz client reads `value` alone (a raw_value arrives
 * empty), so both are sent there. ext_proc refuses both at once and takes raw_value; it appends only where the
 * deprecated `append` says so, as append_action's zero is "not said" to it.
 */
export type Dialect = "ext_authz" | "ext_proc";

/** HeaderValueOption: header 1 (key 1, value 2, raw_value 3), append 2 (BoolValue: value 1), append_action 3. */
export function writeHeader(
	writer: ProtoWriter,
	field: number,
	name: string,
	value: string,
	action: typeof APPEND | typeof OVERWRITE,
	dialect: Dialect,
): void {
	const option = writer.open();
	if (action !== APPEND) writer.number(3, action);
	else if (dialect === "ext_proc") {
		const append = writer.open();
		writer.number(1, 1);
		writer.close(2, append);
	}
	const header = writer.open();
	writer.text(3, value);
	if (dialect === "ext_authz") writer.text(2, value);
	writer.text(1, name);
	writer.close(1, header);
	writer.close(field, option);
}

/** The request headers of a ruling, by name, in the order in which they are to be set. */
export function requestHeaders({
	variantHeader,
	armHeader,
	parameters,
}: Ruling): readonly (readonly [string, string])[] {
	return [
		...(variantHeader === null ? [] : [[VARIANT_HEADER, variantHeader] as const]),
		...(armHeader === null ? [] : [[ARM_HEADER, armHeader] as const]),
		...Object.entries(parameters),
	];
}

/**
 * Client-sent headers that only Weir may set and that this answer does not set, once each. Those that hold verified
 * claims are Envoy's own.
 */
export function forged(
	{ weirHeaders }: SentHeaders,
	set: ReadonlySet<string>,
	decision: string | null,
): readonly string[] {
	if (weirHeaders.length === 0) return weirHeaders;
	const stays = (name: string): boolean =>
		name.startsWith("x-weir-claim-") || set.has(name) || (decision !== null && name === DECISION_HEADER);
	return [...new Set(weirHeaders)].filter((name) => !stays(name));
}
