/**
 * What a caller may do, by the current RoleBindings. Pure; deny by default.
 *
 * Decisions: `admin` holds every verb. Every verb holds `read` of its namespaces: a subject that may change or approve may read.
 * The local owner of the UNIX socket and the bootstrap admins may do everything: the state file is theirs anyway, and
 * someone must create the first RoleBinding.
 */
import { resourceTitle } from "../../../declare/resources/position.js";
import {
	type Kind,
	type OperatorVerb,
	qualifiedName,
	type Resource,
	type ResourceSet,
	type RoleBinding,
} from "../../../declare/resources/resource.js";
import type { Caller } from "../../callers/caller.js";
import type { ResourceDiff } from "../../changes/changeSet.js";

/** Namespace of resources that belong to no single namespace. */
export const ALL_NAMESPACES = "*";

/** A verb in a namespace (`*` = in all of them). */
export interface Need {
	readonly verb: OperatorVerb;
	readonly namespace: string;
	/** The part of the change that needs it, if not obvious: `delete Gateway edge`. */
	readonly to?: string;
}

export class Permissions {
	readonly #admins: ReadonlySet<string>;

	/** @param admins subjects that may do everything, without a RoleBinding */
	constructor(admins: readonly string[] = []) {
		this.#admins = new Set(admins);
	}

	may(caller: Caller, { verb, namespace }: Need, { roleBindings }: Pick<ResourceSet, "roleBindings">): boolean {
		if (this.isRoot(caller)) return true;
		return roleBindings.some(
			(one) =>
				one.spec.namespaces.some((bound) => bound === ALL_NAMESPACES || bound === namespace) &&
				gives(one, caller, verb),
		);
	}

	/** Whether a binding gives the verb in any namespace. Otherwise the request is refused before its body is read. */
	mayAnywhere(caller: Caller, verb: OperatorVerb, { roleBindings }: Pick<ResourceSet, "roleBindings">): boolean {
		return this.isRoot(caller) || roleBindings.some((one) => gives(one, caller, verb));
	}

	/** The namespaces that the caller may read; null = all, and resources without a namespace. */
	readable(caller: Caller, { roleBindings }: Pick<ResourceSet, "roleBindings">): readonly string[] | null {
		if (this.isRoot(caller)) return null;
		const named = roleBindings.flatMap((one) => (gives(one, caller, "read") ? one.spec.namespaces : []));
		return named.includes(ALL_NAMESPACES) ? null : [...new Set(named)];
	}

	/**
	 * The person where two must approve: each subject is one. The local owner and the bootstrap admins count as one:
	 * the owner of the socket can use the operator SVID of `weir up`, and names the admins.
	 */
	personOf(caller: Caller): string {
		// Not a possible subject: those of the socket begin with `local:`, and the others are URIs.
		return this.isRoot(caller) ? "root" : caller.subject;
	}

	/**
	 * How many others could approve the request of an admin there. For root these are the bound subjects. Any other admin is
	 * an approver itself, and root takes its place. The size of a bound group is unknown: in a namespace it is enough,
	 * because the platform's admins can still delete the policy; in `*` it counts 0, because no one could.
	 */
	approvers(namespace: string, { roleBindings }: Pick<ResourceSet, "roleBindings">): number {
		const subjects = roleBindings
			.filter(({ spec }) => spec.verbs.includes("approve") || spec.verbs.includes("admin"))
			.filter(({ spec }) => spec.namespaces.some((one) => one === ALL_NAMESPACES || one === namespace))
			.flatMap(({ spec }) => spec.subjects);
		if (namespace !== ALL_NAMESPACES && subjects.some(isGroup)) return Number.POSITIVE_INFINITY;
		return new Set(subjects.filter((one) => !isGroup(one) && !this.#admins.has(one))).size;
	}

	/** Admin everywhere, without a binding. */
	isRoot(caller: Caller): boolean {
		return caller.how === "socket" || this.#admins.has(caller.subject);
	}
}

/** Only in the namespaces of the binding. */
function gives({ spec }: RoleBinding, caller: Caller, verb: OperatorVerb): boolean {
	if (!spec.subjects.some((subject) => isSubject(caller, subject))) return false;
	return verb === "read" || spec.verbs.includes(verb) || spec.verbs.includes("admin");
}

const isGroup = (subject: string): boolean => subject.startsWith("group:");

/** `group:NAME` names the callers whose verified token has that group; anything else is the subject itself, byte for byte. */
function isSubject(caller: Caller, subject: string): boolean {
	return isGroup(subject) ? caller.groups.includes(subject.slice("group:".length)) : subject === caller.subject;
}

/** The namespaces that a resource is about: bindings and approval policies also reach the namespaces of their spec. */
export function namespacesOf(resource: Resource): readonly string[] {
	const own = resource.metadata.namespace;
	switch (resource.kind) {
		case "RoleBinding":
		case "ApprovalPolicy":
			return [...new Set([own, ...resource.spec.namespaces])];
		case "Gateway":
			// Every Service is reached through every Gateway, and a Gateway declares the trusted token issuers.
			return [ALL_NAMESPACES];
		default:
			return [own];
	}
}

type Operation = "create" | "change" | "delete";

const APPLY: Readonly<Record<Operation, OperatorVerb>> = { create: "apply", change: "apply", delete: "apply" };
const ADMIN: Readonly<Record<Operation, OperatorVerb>> = { create: "admin", change: "admin", delete: "admin" };

/** The right that an operation on a kind needs, in each namespace that the resource is about. */
const RIGHTS: Readonly<Record<Kind, Readonly<Record<Operation, OperatorVerb>>>> = {
	Service: APPLY,
	Experiment: APPLY,
	Layer: APPLY,
	Metric: APPLY,
	AccessPolicy: APPLY,
	// They decide what others may do, whose tokens are trusted, and where data may go.
	Gateway: ADMIN,
	RoleBinding: ADMIN,
	ApprovalPolicy: ADMIN,
	DataClass: ADMIN,
	ReferenceGrant: ADMIN,
};

/** The rights that a change of one resource needs. A running Experiment adds more: runningExperiment.ts. */
export function needsOf({ before, after }: ResourceDiff): readonly Need[] {
	const operation = before === null ? "create" : after === null ? "delete" : "change";
	const resource = after ?? before;
	const verb = RIGHTS[resource.kind][operation];
	// For `apply` it would show a caller who may not read a resource whether it exists.
	const reason = verb === "admin" ? { to: `${operation} ${resourceTitle(resource)}` } : {};
	const namespaces = new Set([before, after].flatMap((one) => (one === null ? [] : namespacesOf(one))));
	return [...[...namespaces].map((namespace) => ({ verb, namespace, ...reason })), ...classNeeds(before, after)];
}

/** Only an admin may remove a Service from its DataClass: the class limits where its data may go. */
function classNeeds(before: Resource | null, after: Resource | null): readonly Need[] {
	if (before?.kind !== "Service" || before.spec.dataClass === null) return [];
	if (after?.kind === "Service" && after.spec.dataClass === before.spec.dataClass) return [];
	const name = qualifiedName(before.metadata);
	const to = `take Service ${name} out of its DataClass ${before.spec.dataClass}`;
	return [{ verb: "admin", namespace: before.metadata.namespace, to }];
}
