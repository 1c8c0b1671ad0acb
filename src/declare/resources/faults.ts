/** Converts zod issues to Problems: position, message, and hint. */
import type { z } from "zod";
import { PROBLEMS_FOUND_MAX, PROBLEMS_MAX } from "../../limits/index.js";
import { splitMessage } from "./fields/strict.js";
import { formatPath, type Path } from "./position.js";
import type { Problem } from "./resource.js";
import { knownNames } from "./suggest.js";
import type { YamlDocument } from "./yaml/yaml.js";

/** Problems of one document, unique by position and text. */
export function schemaProblems(
	issues: readonly z.core.$ZodIssue[],
	{ value: document, places, reported }: YamlDocument,
): readonly Problem[] {
	const problems = new Map<string, Problem>();
	const add = (path: Path, message: string, hint: string, position = places.nearest(path)?.position ?? null): void => {
		// A missing field has its mapping's position.
		problems.set(`${formatPath(path)}\n${message}\n${hint}`, { position, message, hint });
	};
	for (const issue of issues.flatMap(withinUnion)) {
		if (problems.size >= PROBLEMS_FOUND_MAX) break;
		const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
		if (reported.has(formatPath(path))) continue;
		if (issue.code === "unrecognized_keys") {
			const known = issue.message.split(", ");
			// A file of another format may have thousands of unknown keys.
			for (const key of issue.keys.slice(0, PROBLEMS_MAX + 2)) {
				const field = [...path, key];
				const merge = "YAML merge keys are not read; write the fields out";
				const hint = key === "<<" ? merge : knownNames(key, known, "fields");
				add(field, `unknown field ${formatPath(field)}`, hint, places.keyOf(field));
			}
			continue;
		}
		const { what, hint } = splitMessage(issue.message);
		const value = valueAt(document, path);
		if (value === undefined && (what === null || what === "is missing")) {
			add(path, `${formatPath(path)} is missing`, hint);
			continue;
		}
		const found = what ?? `is ${describe(value, places.exact(path)?.source ?? null)}`;
		add(path, `${formatPath(path)} ${found}`, hint);
	}
	return [...problems.values()];
}

/** If one form of a union has only issues inside the value, that form is meant: its issues are reported. */
function withinUnion(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] {
	if (issue.code !== "invalid_union") return [issue];
	const within = issue.errors.find((form) => form.length > 0 && form.every(({ path }) => path.length > 0));
	return within === undefined ? [issue] : within.map((one) => ({ ...one, path: [...issue.path, ...one.path] }));
}

function valueAt(document: unknown, path: Path): unknown {
	let value = document;
	for (const part of path) {
		if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
		value = (value as Record<string | number, unknown>)[part];
	}
	return value;
}

const SHOWN_CHARACTERS = 80;

/** A value as text: `"abc"`, `the number 3`, `a list`. */
function describe(value: unknown, source: string | null): string {
	if (value === null) return "empty";
	if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
	switch (typeof value) {
		case "string":
			return JSON.stringify(value.length > SHOWN_CHARACTERS ? `${value.slice(0, SHOWN_CHARACTERS)}…` : value);
		case "number":
			return `the number ${source ?? value}`;
		case "boolean":
			return `the truth value ${source ?? value}`;
		default:
			return "a mapping";
	}
}
