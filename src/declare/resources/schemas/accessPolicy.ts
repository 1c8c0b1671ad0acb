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
import { fields, oneOf, uniqueList, withHint } from "../fields/strict.js";
import type { AccessPolicy } from "../resource.js";
import { resource } from "./metadata.js";

const SERVICES_HINT = "write a list of at least one Service name, or ['*'] for all";

const serviceName = z.union([z.literal("*"), reference], { error: SERVICES_HINT });
/** Added to each field that does not select an issuer. */
const ANY_ISSUER =
	'Tokens of every issuer that a Gateway trusts match; add users: ["ISSUER#*"] to limit this to one issuer.';
const names = (what: string) => uniqueList(word(what), `write a list of ${what}s`).default([]);

const CONDITION = `CEL expression that must be true. Fields: ${CONDITION_FIELDS}. Functions: ${CONDITION_FUNCTIONS} (times are in UTC). request.path is percent-decoded and has no query. Evaluation fails if the decoded path is not UTF-8, or if the user fields that it reads contain a number of 2^53 or more. Users of every issuer that a Gateway trusts are evaluated; user.issuer is the issuer.`;

const spec = fields({
	action: oneOf("allow", "deny")
		.default("allow")
		.meta({ description: "Effect of the policy; a matching deny overrides every allow. Default allow." }),
	mode: oneOf("enforce", "shadow").default("enforce").meta({
		description:
			"enforce (default): the policy decides requests. shadow: it decides nothing, and the verdicts that it would change are counted.",
	}),
	services: uniqueList(serviceName, SERVICES_HINT).min(1, { error: SERVICES_HINT }).meta({
		description:
			"Services that the policy protects: NAME, '*' for all of the same namespace, or NAMESPACE/NAME for one that a ReferenceGrant allows.",
	}),
	dataClasses: uniqueList(reference, "write a list of DataClass names")
		.default([])
		.meta({ description: "Limits the policy to Services with one of these DataClasses. Empty: no limit." }),
	principals: uniqueList(principal, "write a list of SPIFFE ids").default([]).meta({
		description:
			"SPIFFE ids of callers: an exact id, a prefix (…/*), '*' for any verified id, or anyone, which includes callers without a certificate.",
	}),
	users: uniqueList(user, "write a list of ISSUER#SUB").default([]).meta({
		description: "Users of verified tokens: ISSUER#SUB, ISSUER#* for all users of an issuer, or '*' for any user.",
	}),
	groups: names("group").meta({ description: `The token must have one of these groups. ${ANY_ISSUER}` }),
	tenants: names("tenant").meta({ description: `The token's tenant must be one of these. ${ANY_ISSUER}` }),
	purposes: names("purpose").meta({ description: `The token must have one of these purposes. ${ANY_ISSUER}` }),
	claims: claimRules.meta({
		description: `Every rule must match: the claim equals one of the values, or is a list that contains one. Only strings match, not numbers or booleans. * is not a wildcard. ${ANY_ISSUER}`,
	}),
	methods: uniqueList(httpMethod, "write a list of HTTP methods")
		.default([])
		.meta({ description: "HTTP methods. Empty: all." }),
	pathPrefixes: uniqueList(pathPrefix, "write a list of path prefixes").default([]).meta({
		description: "Path prefixes of whole segments, without *: /v2 matches /v2 and /v2/x, not /v20. Empty: all paths.",
	}),
	pathTemplates: uniqueList(pathTemplate, "write a list of path templates")
		.default([])
		.meta({ description: "Complete paths; {name} matches one segment. A request must match a prefix or a template." }),
	variants: uniqueList(name, "write a list of Variant names")
		.default([])
		.meta({ description: "Variants of the Services, checked after the assignment. Empty: all." }),
	regions: uniqueList(region, "write a list of regions")
		.default([])
		.meta({ description: "Regions of the Gateway that received the request. Empty: all." }),
	schedule: schedule.nullable().default(null),
	validFrom: time
		.nullable()
		.default(null)
		.meta({ description: "Start of validity, an RFC 3339 time, inclusive. Default: no start." }),
	validUntil: time
		.nullable()
		.default(null)
		.meta({ description: "End of validity, an RFC 3339 time, exclusive. Default: no end." }),
	condition: policyCondition.nullable().default(null).meta({ description: CONDITION }),
}).transform(({ validFrom, validUntil, ...value }, context): AccessPolicy["spec"] => {
	const report = (field: string, what: string, hint: string): void => {
		context.issues.push({ code: "custom", message: withHint(what, hint), path: [field], input: value });
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
	"Which callers may call which Services. A Service that an enforced policy selects denies by default; deny overrides allow.",
	spec,
);
