/**
 * Which fields of a resource a change is about: their paths without a value, for the audit log and for who approves.
 * Pure.
 */
import { isDeepStrictEqual } from "node:util";
import type { Resource } from "../../declare/resources/resource.js";
import { CHANGED_FIELD_CHARS_MAX, CHANGED_FIELD_DEPTH_MAX, CHANGED_FIELDS_MAX } from "../../limits/index.js";

/** `spec.rollout.gates, spec.goal and 3 more`; empty where nothing has changed. A list is one field. */
export function changedFields(before: Resource, after: Resource): string {
	const paths = differing(before.spec, after.spec, "spec", 1);
	const told = paths.slice(0, CHANGED_FIELDS_MAX).map((path) => path.slice(0, CHANGED_FIELD_CHARS_MAX));
	const more = paths.length > told.length ? ` and ${paths.length - told.length} more` : "";
	return `${told.join(", ")}${more}`;
}

function differing(before: unknown, after: unknown, path: string, depth: number): readonly string[] {
	if (isDeepStrictEqual(before, after)) return [];
	if (depth === CHANGED_FIELD_DEPTH_MAX || !isFields(before) || !isFields(after)) return [path];
	const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
	return names.flatMap((name) => differing(before[name], after[name], `${path}.${declaredName(name)}`, depth + 1));
}

const isFields = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

/** Numbers get their unit's name when they are parsed: `every` becomes everyMs. */
const declaredName = (name: string): string => name.replace(/(?:Ms|Ppm)$/, "");
