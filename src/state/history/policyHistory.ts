/**
 * How access rules stood at earlier revisions. Kept as what each change replaced, so that the rules of any revision
 * since the oldest change are the rules of now with the later changes undone. Decisions: AccessPolicies and DataClasses
 * are rolled back, and nothing else. Services and Experiments hold facts and endpoints beside their access;
 * RoleBindings, ApprovalPolicies and ReferenceGrants are trust, and trust that was taken away comes back by a
 * declaration only.
 */
import { isDeepStrictEqual } from "node:util";
import { WeirError } from "../../error.js";
import type { Kind } from "../../resources/resource.js";
import type { Target } from "../acts/deletion.js";
import type { WishPlan } from "../acts/wishes.js";
import type { StateDatabase, StoredResource } from "../store/database.js";
import { keyOf, resourceKey } from "../store/resourceSet.js";
import { type PolicyRecord, PolicyShelf } from "./policyShelf.js";

const KINDS: ReadonlySet<Kind> = new Set(["AccessPolicy", "DataClass"]);

/** What makes the rules what they were. */
export interface Restoration {
	readonly revision: number;
	readonly documents: readonly { readonly name: string; readonly text: string }[];
	readonly deletions: readonly Target[];
	/** What came later and stays, for it is about Services that stay too; absent: nothing. */
	readonly kept?: readonly Target[];
	/** What does not come back, for the Services that it was about are gone; absent: nothing. */
	readonly leftOut?: readonly Target[];
}

/** Whose rules: by namespace. */
export type Scope = (namespace: string) => boolean;

export class PolicyHistory {
	readonly shelf: PolicyShelf;

	constructor(database: StateDatabase) {
		this.shelf = new PolicyShelf(database);
	}

	/** Remembers what a plan replaces; inside the transaction that carries it out. */
	record(
		plan: Pick<WishPlan, "changes">,
		stored: readonly StoredResource[],
		made: Omit<PolicyRecord, "changes">,
	): void {
		const before = new Map(stored.map((one) => [keyOf(one.resource), one]));
		const changes = plan.changes
			.filter(({ kind, change }) => (isRolledBack(kind) || kind === "ReferenceGrant") && change !== "unchanged")
			.map((one) => ({ ...one, before: before.get(resourceKey(one.kind, one.name)) ?? null }));
		if (changes.length > 0) this.shelf.put({ ...made, changes });
	}

	/** Newest first, with those of their changes that lie in the scope. */
	list(scope: Scope): readonly PolicyRecord[] {
		const records = new Map<number, PolicyRecord>();
		for (const namespace of this.shelf.namespaces.filter(scope)) {
			for (const { bytes: _, ...head } of this.shelf.heads(namespace)) {
				const own = head.changes.filter(({ kind }) => isRolledBack(kind));
				const others = records.get(head.revision)?.changes ?? [];
				if (own.length > 0) records.set(head.revision, { ...head, changes: [...others, ...own] });
			}
		}
		return [...records.values()].sort((one, other) => other.revision - one.revision);
	}

	/** Namespaces of the scope of which changes were dropped, each with the revision back to which its rules are kept. */
	dropped(scope: Scope): readonly { readonly namespace: string; readonly keptFrom: number }[] {
		return [...this.shelf.dropped].flatMap(([namespace, keptFrom]) =>
			scope(namespace) ? [{ namespace, keptFrom }] : [],
		);
	}

	/**
	 * How to get back to the rules of a revision.
	 * @param to null = before the last change in the scope
	 * @throws WeirError `failed-precondition` where that is not kept, `invalid-argument` for a revision to come
	 */
	restoration(
		to: number | null,
		now: { readonly revision: number; readonly stored: readonly StoredResource[] },
		scope: Scope,
	): Restoration {
		const [last] = this.list(scope);
		const revision = to ?? last?.revisionBefore;
		if (last === undefined || revision === undefined) {
			const were =
				this.dropped(scope).length > 0 ? "earlier access rules were dropped" : "no earlier access rules are kept";
			throw new WeirError("failed-precondition", were, "apply the older file");
		}
		if (revision > now.revision) {
			throw new WeirError("invalid-argument", `revision ${revision} is not yet made (${now.revision} is)`);
		}
		const then = new Map(
			this.shelf.namespaces.filter(scope).flatMap((namespace) => {
				const replaced = this.shelf.replacedSince(namespace, revision);
				if (replaced === null) throw notKept(namespace, this.shelf.keptFrom(namespace), revision);
				return [...replaced].filter(([, { target }]) => isRolledBack(target.kind));
			}),
		);
		const current = new Map(now.stored.map((one) => [keyOf(one.resource), one]));
		return {
			revision,
			documents: [...then].flatMap(([key, { before }]) =>
				before === null || isDeepStrictEqual(current.get(key)?.resource, before.resource)
					? []
					: [documentOf(revision, before)],
			),
			deletions: [...then].flatMap(([key, { target, before }]) =>
				before === null && current.has(key) ? [target] : [],
			),
		};
	}
}

function notKept(namespace: string, keptFrom: number, revision: number): WeirError {
	return new WeirError(
		"failed-precondition",
		`access rules of namespace ${namespace} are kept back to revision ${keptFrom}, not to ${revision}: earlier changes were dropped`,
		"see weir policy rollback --list; roll back other namespaces by --namespace, or apply the older file",
	);
}

/** A resource as it was then. */
export function documentOf(revision: number, { resource, source }: StoredResource): Restoration["documents"][number] {
	return { name: `revision ${revision} ${keyOf(resource)}`, text: source };
}

/** Whether a resource is one whose earlier forms come back with a rollback. */
export function isRolledBack(kind: Kind): boolean {
	return KINDS.has(kind);
}
