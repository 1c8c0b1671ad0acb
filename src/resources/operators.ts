/** RoleBinding and ApprovalPolicy: what operators may do, and what takes two of them. */
import type { z } from "zod";
import { resource } from "./metadata.js";
import type { ApprovalPolicy, RoleBinding } from "./resource.js";
import { duration, text } from "./scalar.js";
import { fields, list, oneOf, whole } from "./strict.js";

const SUBJECTS_HINT = "write a list of SPIFFE ids, ISSUER#SUB or group:NAME";
const NAMESPACES_HINT = "write a list of namespaces, or ['*']";

const namespaces = list(text(NAMESPACES_HINT), NAMESPACES_HINT).min(1, { error: NAMESPACES_HINT });

export const roleBindingSchema: z.ZodType<RoleBinding> = resource(
	"RoleBinding",
	"What operators may do in some namespaces.",
	fields({
		verbs: list(oneOf("read", "apply", "promote", "abort", "approve", "admin"), "write a list of verbs").min(1, {
			error: "write at least one of read, apply, promote, abort, approve and admin",
		}),
		subjects: list(text(SUBJECTS_HINT), SUBJECTS_HINT).min(1, { error: SUBJECTS_HINT }),
		namespaces,
	}),
);

export const approvalPolicySchema: z.ZodType<ApprovalPolicy> = resource(
	"ApprovalPolicy",
	"Acts that others must approve before they happen.",
	fields({
		verbs: list(oneOf("apply", "promote", "abort"), "write a list of apply, promote and abort").min(1, {
			error: "write at least one of apply, promote and abort",
		}),
		namespaces,
		approvals: whole(1, 10).default(1).meta({ description: "Of others than who asks." }),
		expire: duration(1).prefault("1d").meta({ description: "After it the request is void." }),
	}).transform(({ expire, ...rest }) => ({ ...rest, expireMs: expire })),
);
