/** RoleBinding and ApprovalPolicy: permissions of operators, and operations that need a second one. */
import { z } from "zod";
import { user } from "../fields/accessConditions.js";
import { duration, name } from "../fields/scalar.js";
import { noTrustDomain } from "../fields/spiffeField.js";
import { fields, oneOf, uniqueList, whole } from "../fields/strict.js";
import type { ApprovalPolicy, RoleBinding } from "../resource.js";
import { isWorkloadId } from "../spiffe.js";
import { resource } from "./metadata.js";

/** Shortest life of an approval request: with a shorter one no change of that policy could be approved. */
const APPROVAL_EXPIRE_MIN_MS = 60_000;

const SUBJECT_HINT = "write a SPIFFE id, ISSUER#SUB of a token, or group:NAME";
const SUBJECTS_HINT = "write a list of at least one SPIFFE id, ISSUER#SUB or group:NAME";
const NAMESPACES_HINT = "write a list of at least one namespace, or ['*'] for all";

/** Exact names only, no patterns. */
const subject = noTrustDomain(SUBJECT_HINT).refine(
	(value) =>
		value.startsWith("spiffe://")
			? isWorkloadId(value)
			: value.startsWith("group:")
				? /^group:[^*\p{Cc}]{1,256}$/u.test(value)
				: !value.endsWith("*") && user.safeParse(value).success,
	{ error: SUBJECT_HINT },
);

const namespaces = uniqueList(z.union([z.literal("*"), name], { error: NAMESPACES_HINT }), NAMESPACES_HINT).min(1, {
	error: NAMESPACES_HINT,
});

export const roleBindingSchema: z.ZodType<RoleBinding> = resource(
	"RoleBinding",
	"What operators may do in some namespaces.",
	fields({
		verbs: uniqueList(oneOf("read", "apply", "promote", "abort", "approve", "admin"), "write a list of verbs")
			.min(1, {
				error: "write at least one of read, apply, promote, abort, approve and admin",
			})
			.meta({ description: "read comes with each; admin is all of them, and who may give roles." }),
		subjects: uniqueList(subject, SUBJECTS_HINT)
			.min(1, { error: SUBJECTS_HINT })
			.meta({ description: "SPIFFE ids of certificates, ISSUER#SUB of operators' tokens, or group:NAME of those." }),
		namespaces,
	}),
);

export const approvalPolicySchema: z.ZodType<ApprovalPolicy> = resource(
	"ApprovalPolicy",
	"Acts that others must approve before they happen.",
	fields({
		verbs: uniqueList(oneOf("apply", "promote", "abort"), "write a list of apply, promote and abort").min(1, {
			error: "write at least one of apply, promote and abort",
		}),
		namespaces,
		approvals: whole(1, 10).default(1).meta({ description: "Of others than who asks." }),
		expire: duration(APPROVAL_EXPIRE_MIN_MS).prefault("1d").meta({ description: "After it the request is void." }),
	}).transform(({ expire, ...rest }) => ({ ...rest, expireMs: expire })),
);
