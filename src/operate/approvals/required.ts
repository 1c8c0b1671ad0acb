/**
 * The number of approvals that ApprovalPolicies require for an operation. Each namespace has its own approvers; a person who
 * may approve in several counts in each.
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "../../declare/resources/canonicalJson.js";
import type { ApprovalPolicy } from "../../declare/resources/resource.js";
import { ALL_NAMESPACES, type Need } from "../state/rights/permissions.js";

export interface RequiredApprovals {
	/** By namespace, only those that require any. Empty = the operation happens at once. */
	readonly needsIn: Readonly<Record<string, number>>;
	/** Time until a pending request is void. */
	readonly expireMs: number;
}

/** What an operation needs, and what an approver approves. */
export interface Authorisation {
	readonly needs: readonly Need[];
	/** Namespaces that it changes: an approver must be able to read all of them. */
	readonly namespaces: readonly string[];
	readonly approvals: RequiredApprovals;
	/** One line each, for the approver and the audit log: `configured Service team/x: spec.variants`. */
	readonly effects: readonly string[];
	/** Hashes of the changed resources, by name: an approval is valid only while these stay the same. */
	readonly fingerprints: Readonly<Record<string, string>>;
}

export const NO_APPROVALS: RequiredApprovals = { needsIn: {}, expireMs: Number.MAX_SAFE_INTEGER };

/** @param verb `any`: policies of every verb count, as for changes of the policies themselves */
export function approvalsOf(
	policies: readonly ApprovalPolicy[],
	verb: "apply" | "promote" | "abort" | "any",
	namespaces: readonly string[],
): RequiredApprovals {
	const asking = [...new Set(namespaces)].flatMap((namespace) =>
		policies
			.filter(
				({ spec }) =>
					(spec.namespaces.includes(ALL_NAMESPACES) || spec.namespaces.includes(namespace)) &&
					(verb === "any" || spec.verbs.includes(verb)),
			)
			.map(({ spec }) => ({ needsIn: { [namespace]: spec.approvals }, expireMs: spec.expireMs })),
	);
	return combined(asking);
}

/** The most approvals in each namespace, and the shortest expiry. */
export function combined(all: readonly RequiredApprovals[]): RequiredApprovals {
	const needsIn: Record<string, number> = {};
	for (const one of all)
		for (const [namespace, needs] of Object.entries(one.needsIn))
			needsIn[namespace] = Math.max(needs, needsIn[namespace] ?? 0);
	return { needsIn, expireMs: Math.min(NO_APPROVALS.expireMs, ...all.map(({ expireMs }) => expireMs)) };
}

/** The most that one namespace requires. */
export const mostNeeded = ({ needsIn }: Pick<RequiredApprovals, "needsIn">): number =>
	Math.max(0, ...Object.values(needsIn));

/** SHA-256 of a JSON value; `absent` for undefined. */
export function fingerprint(value: unknown): string {
	return value === undefined ? "absent" : createHash("sha256").update(canonicalJson(value)).digest("hex");
}
