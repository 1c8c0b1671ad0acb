/** AccessPolicy: which callers may call which Services. A Service that an enforced one selects denies by default. */
import { z } from "zod";
import { CONDITION_FIELDS, CONDITION_FUNCTIONS } from "../../../compile/access/conditions/condition.js";
import {
	claimRules,
	pathPrefix,
	pathTemplate,
	policyCondition,
	principal,
	schedule,
	time,
	user,
	word,
} from "../fields/accessConditions.js";
import { httpMethod } from "../fields/host.js";
import { name, reference, region } from "../fields/scalar.js";
import { fields, oneOf, say, uniqueList } from "../fields/strict.js";
import type { AccessPolicy } from "../resource.js";
import { resource } from "./metadata.js";

const SERVICES_HINT = "write a list of at least one Service name, or ['*'] for all";

const serviceName = z.union([z.literal("*"), reference], { error: SERVICES_HINT });
/** Added to each field that does not select an issuer. */
const ANY_ISSUER = 'Of any issuer that a Gateway trusts; beside users: ["ISSUER#*"] of that one alone.';
const names = (what: string) => uniqueList(word(what), `write a list of ${what}s`).default([]);

const CONDITION = `A CEL expression that must be true, over ${CONDITION_FIELDS}, with ${CONDITION_FUNCTIONS} (times in UTC). request.path is percent-decoded and without query; an error where that is no UTF-8, or the user that it reads has a number of 2^53 or more. The user may be of any issuer that a Gateway trusts: user.issuer says of which.`;

const spec = fields({
	action: oneOf("allow", "deny").default("allow").meta({ description: "deny wins over allow." }),
	mode: oneOf("enforce", "shadow")
		.default("enforce")
		.meta({ description: "shadow: decides nothing; what it would change is counted and reported." }),
	services: uniqueList(serviceName, SERVICES_HINT).min(1, { error: SERVICES_HINT }).meta({
		description: "Services; '*' = all of the same namespace; NAMESPACE/NAME = one of a namespace that grants it.",
	}),
	dataClasses: uniqueList(reference, "write a list of DataClass names")
		.default([])
		.meta({ description: "Only those of the Services that have one of these. Empty = whichever." }),
	principals: uniqueList(principal, "write a list of SPIFFE ids").default([]).meta({
		description:
			"SPIFFE ids of callers: exact, all below one (…/*), '*' for any, or anyone for those too who prove none.",
	}),
	users: uniqueList(user, "write a list of ISSUER#SUB")
		.default([])
		.meta({ description: "ISSUER#SUB of a verified token, ISSUER#* or '*'." }),
	groups: names("group").meta({ description: `One of them is in the token's groups. ${ANY_ISSUER}` }),
	tenants: names("tenant").meta({ description: `One of them is the token's tenant. ${ANY_ISSUER}` }),
	purposes: names("purpose").meta({ description: `One of them is in the token's purposes. ${ANY_ISSUER}` }),
	claims: claimRules.meta({
		description: `Each must hold: the claim is one of the values, or a list that holds one. Texts alone: true and 5 in a token are none. No patterns: * is itself. ${ANY_ISSUER}`,
	}),
	methods: uniqueList(httpMethod, "write a list of HTTP methods").default([]).meta({ description: "Empty = all." }),
	pathPrefixes: uniqueList(pathPrefix, "write a list of path prefixes")
		.default([])
		.meta({ description: "Prefixes of whole segments, without *: /v2 matches /v2 and /v2/x, not /v20. Empty = all." }),
	pathTemplates: uniqueList(pathTemplate, "write a list of path templates")
		.default([])
		.meta({ description: "Whole paths with {name} for one segment. With prefixes: either." }),
	variants: uniqueList(name, "write a list of Variant names")
		.default([])
		.meta({ description: "Variants of the Services, judged after the assignment. Empty = all." }),
	regions: uniqueList(region, "write a list of regions")
		.default([])
		.meta({ description: "Regions of the Gateway that the request came through. Empty = all." }),
	schedule: schedule.nullable().default(null),
	validFrom: time.nullable().default(null).meta({ description: "RFC 3339 time, inclusive." }),
	validUntil: time.nullable().default(null).meta({ description: "RFC 3339 time, exclusive." }),
	condition: policyCondition.nullable().default(null).meta({ description: CONDITION }),
}).transform(({ validFrom, validUntil, ...value }, context): AccessPolicy["spec"] => {
	const report = (field: string, what: string, hint: string): void => {
		context.issues.push({ code: "custom", message: say(what, hint), path: [field], input: value });
	};
	const { principals, users, groups, tenants, purposes, claims } = value;
	const named = [principals, users, groups, tenants, purposes, claims].some((list) => list.length > 0);
	if (value.action === "allow" && !named) {
		const hint =
			"list at least one SPIFFE id, or name users, groups, tenants, purposes or claims, or write action: deny";
		report("principals", "is empty, so the policy would allow no one", hint);
	}
	if (validFrom !== null && validUntil !== null && validUntil <= validFrom) {
		report("validUntil", "is not after validFrom, so that the policy would never hold", "write a later time");
	}
	return { ...value, validFromMs: validFrom, validUntilMs: validUntil };
});

export const accessPolicySchema: z.ZodType<AccessPolicy> = resource(
	"AccessPolicy",
	"Who may call which Service. A Service that a policy selects is deny by default; deny wins.",
	spec,
);
