/** Header mutations of both protocols: envoy.config.core.v3.HeaderValueOption, and names to remove. */
import { DECISION_HEADER } from "../../compile/access/signedDecision.js";
import { ARM_HEADER, VARIANT_HEADER } from "../../compile/plan/headers.js";
import type { ProtoWriter } from "./protoWriter.js";
import type { Ruling, SentHeaders } from "./question.js";

export const APPEND = 0;
export const OVERWRITE = 2;

/**
 * The fields that Envoy reads (measured on 1.36.2 and 1.40.0). ext_authz reads only `value`, and both are sent. ext_proc
 * refuses both together and reads raw_value; it appends only for the deprecated `append`, because a zero append_action
 * means unset.
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

/** The request headers of a ruling, in order. */
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

/** Headers from the client that only Weir may set and that this answer does not set. Envoy handles headers of verified claims. */
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
