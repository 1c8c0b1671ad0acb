/** JSON Schema (2020-12) of all kinds, for editors: `# yaml-language-server: $schema=…`, printed by `weir schema`. */
import { z } from "zod";
import { KINDS } from "./kinds.js";
import { API_VERSION } from "./resource.js";
import { SCHEMAS } from "./schemas/byKind.js";

/**
 * One schema for a document of any kind. if/then per kind instead of oneOf, so that an editor reports the fault in
 * the kind that was meant, not that none of six fits. It describes what is written (defaults optional, percentages
 * as text); rules across fields and resources are those of `weir validate`.
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
			kind: { enum: KINDS, description: "What the resource is." },
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
