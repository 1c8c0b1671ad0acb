/** The common fields: apiVersion, kind, metadata, spec. */
import { z } from "zod";
import { name } from "../fields/scalar.js";
import { fields } from "../fields/strict.js";
import type { Metadata } from "../metadata.js";
import { API_VERSION, type Kind } from "../resource.js";

const texts = z.record(z.string(), z.string({ error: "write text; put numbers and truth values in quotes" }), {
	error: "write a mapping from names to text",
});

const metadata = fields(
	{
		name: name.meta({ description: "Name of the resource, unique per kind and namespace." }),
		namespace: name.default("default"),
		labels: texts.default({}),
		annotations: texts.default({}),
	},
	"write metadata: {name: …}",
) satisfies z.ZodType<Metadata>;

/** The schema of one kind around its spec. */
export function resource<const K extends Kind, Spec extends z.ZodType>(kind: K, description: string, spec: Spec) {
	return fields({
		apiVersion: z.literal(API_VERSION, { error: `write apiVersion: ${API_VERSION}` }),
		kind: z.literal(kind, { error: `write kind: ${kind}` }),
		metadata,
		spec,
	})
		.transform(({ apiVersion: _, ...rest }) => rest)
		.meta({ title: kind, description });
}
