/**
 * What a caller may do, by the RoleBindings as they stand. Pure; deny by default.
 *
 * Decisions: `admin` holds every verb. Every verb holds `read` of its namespaces: who may change or approve may look.
 * The local owner of the UNIX socket and the bootstrap admins may do everything: the state file is theirs anyway, and
 * the first RoleBinding must come from somebody.
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
import type { Caller } from "../../api/caller.js";
import type { Touched } from "../../operations/applyPlan.js";

/** Namespace of what belongs to no one namespace. */
export const ALL_NAMESPACES = "*";

/** A verb in a namespace (`*` = in all of them). */
export interface Need {
	readonly verb: OperatorVerb;
	readonly namespace: string;
	/** Which part of the change takes it, if that is not obvious: `changes Experiment trial, which is running`. */
	readonly because?: string;
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

	/** Whether a binding gives the verb in any namespace at all: who has none is turned away before anything is read. */
	mayAnywhere(caller: Caller, verb: OperatorVerb, { roleBindings }: Pick<ResourceSet, "roleBindings">): boolean {
		return this.isRoot(caller) || roleBindings.some((one) => gives(one, caller, verb));
	}

	/** The namespaces that the caller may read; null = all of them, and what belongs to none. */
	readable(caller: Caller, { roleBindings }: Pick<ResourceSet, "roleBindings">): readonly string[] | null {
		if (this.isRoot(caller)) return null;
		const named = roleBindings.flatMap((one) => (gives(one, caller, "read") ? one.spec.namespaces : []));
		return named.includes(ALL_NAMESPACES) ? null : [...new Set(named)];
	}

	/**
	 * Who counts as one person where two are asked for: a subject; but the local owner and the bootstrap admins are one
	 * together. Whoever has the socket may take the SVID that `weir up` gives its operator, and names the admins.
	 */
	personOf(caller: Caller): string {
		// No subject is this: those of the socket begin with `local:`, and the others are URIs.
		return this.isRoot(caller) ? "root" : caller.subject;
	}

	/**
	 * How many others could approve what an admin asks for there. Root may always ask, and has the bound subjects beside
	 * it; every other admin is an approver too, and has as many with root. Of a bound group nobody knows how many it
	 * has: in a namespace it is enough, for the platform's admins can still take the policy away; in `*` it counts
	 * nobody, for nobody could.
	 */
	approvers(namespace: string, { roleBindings }: Pick<ResourceSet, "roleBindings">): number {
		const subjects = roleBindings
			.filter(({ spec }) => spec.verbs.includes("approve") || spec.verbs.includes("admin"))
			.filter(({ spec }) => spec.namespaces.some((one) => one === ALL_NAMESPACES || one === namespace))
			.flatMap(({ spec }) => spec.subjects);
		if (namespace !== ALL_NAMESPACES && subjects.some(isGroup)) return Number.POSITIVE_INFINITY;
		return new Set(subjects.filter((one) => !isGroup(one) && !this.#admins.has(one))).size;
	}

	/** Admin everywhere whatever the bindings say. */
	isRoot(caller: Caller): boolean {
		return caller.how === "socket" || this.#admins.has(caller.subject);
	}
}

/** In the namespaces that it names. */
function gives({ spec }: RoleBinding, caller: Caller, verb: OperatorVerb): boolean {
	if (!spec.subjects.some((subject) => isSubject(caller, subject))) return false;
	return verb === "read" || spec.verbs.includes(verb) || spec.verbs.includes("admin");
}

const isGroup = (subject: string): boolean => subject.startsWith("group:");

/** `group:NAME` names those whose verified token says so; anything else is the subject itself, byte for byte. */
function isSubject(caller: Caller, subject: string): boolean {
	return isGroup(subject) ? caller.groups.includes(subject.slice("group:".length)) : subject === caller.subject;
}

/** The namespaces that a resource is about: bindings and approval policies also reach where their spec says. */
export function namespacesOf(resource: Resource): readonly string[] {
	const own = resource.metadata.namespace;
	switch (resource.kind) {
		case "RoleBinding":
		case "ApprovalPolicy":
			return [...new Set([own, ...resource.spec.namespaces])];
		case "Gateway":
			// Every Service is reached through every Gateway, and it says whose tokens are believed.
			return [ALL_NAMESPACES];
		default:
			return [own];
	}
}

type Operation = "create" | "change" | "delete";

const APPLY: Readonly<Record<Operation, OperatorVerb>> = { create: "apply", change: "apply", delete: "apply" };
const ADMIN: Readonly<Record<Operation, OperatorVerb>> = { create: "admin", change: "admin", delete: "admin" };

/** Which right an operation on a kind takes, in each namespace that the resource is about. */
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

/** The rights that a change of one resource takes. What a running Experiment adds: runningExperiment.ts. */
export function needsOf({ before, after }: Touched): readonly Need[] {
	const operation = before === null ? "create" : after === null ? "delete" : "change";
	const resource = after ?? before;
	const verb = RIGHTS[resource.kind][operation];
	const because = verb === "admin" ? `is about ${resourceTitle(resource)}, which only an admin may ${operation}` : null;
	const namespaces = new Set([before, after].flatMap((one) => (one === null ? [] : namespacesOf(one))));
	return [
		...[...namespaces].map((namespace) => ({ verb, namespace, ...(because === null ? {} : { because }) })),
		...classNeeds(before, after),
	];
}

/** A Service leaves its DataClass by an admin only: the class says where its data may go. */
function classNeeds(before: Resource | null, after: Resource | null): readonly Need[] {
	if (before?.kind !== "Service" || before.spec.dataClass === null) return [];
	if (after?.kind === "Service" && after.spec.dataClass === before.spec.dataClass) return [];
	const name = qualifiedName(before.metadata);
	const because = `takes Service ${name} out of its DataClass ${before.spec.dataClass}`;
	return [{ verb: "admin", namespace: before.metadata.namespace, because }];
}
