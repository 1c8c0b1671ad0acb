/** AccessPolicy: who may call which Service, by method and path. A Service that one selects is deny by default. */
import type { z } from "zod";
import { httpMethod, pathPrefix } from "./host.js";
import { resource } from "./metadata.js";
import type { AccessPolicy } from "./resource.js";
import { name, text } from "./scalar.js";
import { spiffeId } from "./spiffe.js";
import { fields, list, oneOf, refuseRepeats, say } from "./strict.js";

function unique<Item extends z.ZodType<string>>(item: Item, hint: string) {
	return list(item, hint).superRefine((items, context) => {
		refuseRepeats(items, String, (index, first, key) => {
			const message = say(`repeats ${key}, item ${first} of the list`, "remove one of them");
			context.addIssue({ code: "custom", path: [index], message });
		});
	});
}

const texts = unique(text("write a text"), "write a list of texts").default([]);

const SERVICES_HINT = "write a list of at least one Service name";

const spec = fields({
	action: oneOf("allow", "deny").default("allow").meta({ description: "deny wins over allow." }),
	services: unique(name, SERVICES_HINT)
		.min(1, { error: SERVICES_HINT })
		.meta({ description: "Services in the same namespace." }),
	principals: unique(spiffeId, "write a list of SPIFFE ids")
		.default([])
		.meta({ description: "Exact SPIFFE ids of callers. Empty only for action deny: everyone." }),
	methods: unique(httpMethod, "write a list of HTTP methods").default([]).meta({ description: "Empty = all." }),
	pathPrefixes: unique(pathPrefix, "write a list of path prefixes")
		.default([])
		.meta({ description: "Prefixes of whole segments: /v2 matches /v2 and /v2/x, not /v20. Empty = all." }),
	variants: unique(name, "write a list of Variant names")
		.default([])
		.meta({ description: "Variants of the Services, judged after the assignment. Empty = all." }),
	mode: oneOf("enforce", "shadow").default("enforce"),
	dataClasses: unique(name, "write a list of DataClass names").default([]),
	users: texts,
	groups: texts,
	tenants: texts,
	purposes: texts,
	claims: list(
		fields({ claim: text("write a claim"), values: list(text("write a text"), "write a list of texts") }),
		"write a list of {claim, values}",
	).default([]),
	pathTemplates: texts,
	regions: texts,
	condition: text("write a CEL expression").nullable().default(null),
})
	.transform((value) => ({ ...value, schedule: null, validFromMs: null, validUntilMs: null }))
	.superRefine((value, context) => {
		if (value.action !== "allow" || value.principals.length > 0) return;
		const message = say(
			"is empty, so the policy would allow nobody",
			"list at least one SPIFFE id, or write action: deny",
		);
		context.addIssue({ code: "custom", path: ["principals"], message });
	});

export const accessPolicySchema: z.ZodType<AccessPolicy> = resource(
	"AccessPolicy",
	"Who may call which Service. A Service that a policy selects is deny by default; deny wins.",
	spec,
);
