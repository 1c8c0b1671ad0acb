/** JSON Schema (2020-12) of all kinds, for editors: `# yaml-language-server: $schema=…`, printed by `weir schema`. */
import { z } from "zod";
import { KINDS } from "./kinds.js";
import { API_VERSION } from "./resource.js";
import { SCHEMAS } from "./schemas/byKind.js";

/**
 * One schema for documents of any kind. if/then per kind instead of oneOf, so that an editor reports errors of the
 * declared kind. It describes the YAML (defaults optional, percentages as text); `weir validate` checks the rules across
 * fields and resources.
 */
export function jsonSchema(): object {
	return {
		$schema: "https://json-schema.org/draft/2020-12/schema",
		$id: `https://${API_VERSION}/schema.json`,
		title: `Weir resource (${API_VERSION})`,
		type: "object",
		required: ["apiVersion", "kind", "metadata"],
		properties: {
			apiVersion: { const: API_VERSION },
			kind: { enum: KINDS, description: "Kind of the resource." },
		},
		allOf: KINDS.map((kind) => ({
			if: { properties: { kind: { const: kind } }, required: ["kind"] },
			// biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
			then: { $ref: `#/$defs/${kind}` },
		})),
		$defs: Object.fromEntries(KINDS.map((kind) => [kind, kindSchema(kind)])),
	};
}

function kindSchema(kind: (typeof KINDS)[number]): object {
	const { $schema: _, ...schema } = z.toJSONSchema(SCHEMAS[kind], { io: "input", reused: "inline" });
	return schema;
}
