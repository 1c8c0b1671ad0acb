/** ReferenceGrant: resources of this namespace that other namespaces may reference (the term and form of the Gateway API). */
import type { z } from "zod";
import { name } from "../fields/scalar.js";
import { fields, list, oneOf, withHint } from "../fields/strict.js";
import { GRANTABLE } from "../reference.js";
import type { ReferenceGrant } from "../resource.js";
import { resource } from "./metadata.js";

const FROM_HINT = "write a list of at least one {kind, namespace}";
const TO_HINT = "write a list of at least one {kind} or {kind, name}";

const spec = fields({
	from: list(fields({ kind: oneOf("AccessPolicy", "Service"), namespace: name }), FROM_HINT)
		.min(1, { error: FROM_HINT })
		.meta({ description: "Kinds and namespaces of the resources that may reference those in `to`." }),
	to: list(fields({ kind: oneOf("Service", "DataClass"), name: name.nullable().default(null) }), TO_HINT)
		.min(1, { error: TO_HINT })
		.meta({ description: "Resources of this namespace that may be referenced; without a name, all of the kind." }),
}).superRefine(({ from, to }, context) => {
	for (const [index, { kind }] of to.entries()) {
		if (from.some((one) => GRANTABLE[one.kind] === kind)) continue;
		const named = Object.entries(GRANTABLE).map(([by, one]) => `kind ${by} names a ${one}`);
		const message = withHint(`would never be used: no kind under from names a ${kind}`, named.join(", "));
		context.addIssue({ code: "custom", path: ["to", index, "kind"], message });
	}
});

export const referenceGrantSchema: z.ZodType<ReferenceGrant> = resource(
	"ReferenceGrant",
	"Allows resources of other namespaces to reference resources of this namespace. Deleting the grant withdraws this.",
	spec,
);
