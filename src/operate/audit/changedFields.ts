/** The changed fields of a resource: paths without values, for the audit log and for approvers. Pure. */
import { isDeepStrictEqual } from "node:util";
import type { Resource } from "../../declare/resources/resource.js";

/** Paths of changed fields recorded per resource, their depth and length: a record is a summary. */
export const CHANGED_FIELDS_MAX = 8;
const CHANGED_FIELD_DEPTH_MAX = 3;
export const CHANGED_FIELD_CHARS_MAX = 80;

/** `spec.rollout.gates, spec.goal and 3 more`; empty if nothing has changed. A list is one field. */
export function changedFields(before: Resource, after: Resource): string {
	const paths = differing(before.spec, after.spec, "spec", 1);
	const listed = paths.slice(0, CHANGED_FIELDS_MAX).map((path) => path.slice(0, CHANGED_FIELD_CHARS_MAX));
	const more = paths.length > listed.length ? ` and ${paths.length - listed.length} more` : "";
	return `${listed.join(", ")}${more}`;
}

function differing(before: unknown, after: unknown, path: string, depth: number): readonly string[] {
	if (isDeepStrictEqual(before, after)) return [];
	if (depth === CHANGED_FIELD_DEPTH_MAX || !isFields(before) || !isFields(after)) return [path];
	const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
	return names.flatMap((name) => differing(before[name], after[name], `${path}.${declaredName(name)}`, depth + 1));
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

/** The parser adds the unit to the name of a number: `every` becomes everyMs. */
const declaredName = (name: string): string => name.replace(/(?:Ms|Ppm)$/, "");
