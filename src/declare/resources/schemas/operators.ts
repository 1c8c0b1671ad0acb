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
	"Permissions of operators in namespaces.",
	fields({
		verbs: uniqueList(oneOf("read", "apply", "promote", "abort", "approve", "admin"), "write a list of verbs")
			.min(1, {
				error: "write at least one of read, apply, promote, abort, approve and admin",
			})
			.meta({
				description: "Permissions. Every verb includes read; admin includes all verbs and the change of RoleBindings.",
			}),
		subjects: uniqueList(subject, SUBJECTS_HINT).min(1, { error: SUBJECTS_HINT }).meta({
			description:
				"Operators: SPIFFE ids of client certificates, ISSUER#SUB of tokens, or group:NAME for a group in tokens.",
		}),
		namespaces,
	}),
);

export const approvalPolicySchema: z.ZodType<ApprovalPolicy> = resource(
	"ApprovalPolicy",
	"Operations that need approval.",
	fields({
		verbs: uniqueList(oneOf("apply", "promote", "abort"), "write a list of apply, promote and abort").min(1, {
			error: "write at least one of apply, promote and abort",
		}),
		namespaces,
		approvals: whole(1, 10)
			.default(1)
			.meta({ description: "Approvals needed from people other than the requester; default 1." }),
		expire: duration(APPROVAL_EXPIRE_MIN_MS)
			.prefault("1d")
			.meta({ description: "The request expires after this time, at least 1m; default 1d." }),
	}).transform(({ expire, ...rest }) => ({ ...rest, expireMs: expire })),
);
