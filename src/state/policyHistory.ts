/**
 * How access rules stood at earlier revisions. Kept as what each change replaced, so that the rules of any revision
 * since the oldest change are the rules of now with the later changes undone. Decisions: AccessPolicies and DataClasses
 * are rolled back, and nothing else. Services and Experiments hold facts and endpoints beside their access;
 * RoleBindings, ApprovalPolicies and ReferenceGrants are trust, and trust that was taken away comes back by a
 * declaration only.
 */
import { isDeepStrictEqual } from "node:util";
import { WeirError } from "../error.js";
import { POLICY_HISTORY_BYTES_MAX, POLICY_HISTORY_MAX } from "../limits.js";
import { namedIn } from "../resources/reference.js";
import { type Kind, namespaceOf, qualifiedName } from "../resources/resource.js";
import type { StateDatabase, StoredResource } from "./database.js";
import type { Target } from "./deletion.js";
import { keyOf, resourceKey } from "./resourceSet.js";
import type { ResourceChange, WishPlan } from "./wishes.js";

const KINDS: ReadonlySet<Kind> = new Set(["AccessPolicy", "DataClass"]);

/** One change of access rules. */
export interface PolicyRecord {
	/** That it led to, and that it was made on. */
	readonly revision: number;
	readonly revisionBefore: number;
	readonly atMs: number;
	/** Who. */
	readonly by: string;
	/** The revision that it rolled back to; null = an apply or a delete. */
	readonly restored: number | null;
	/** before null = it was not there. */
	readonly changes: readonly (ResourceChange & { readonly before: StoredResource | null })[];
}

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
	readonly #records: StateDatabase["policies"];

	constructor({ policies }: Pick<StateDatabase, "policies">) {
		this.#records = policies;
	}

	/** Remembers what a plan replaces; inside the transaction that carries it out. */
	record(
		plan: Pick<WishPlan, "changes">,
		stored: readonly StoredResource[],
		made: Pick<PolicyRecord, "revision" | "revisionBefore" | "atMs" | "by" | "restored">,
	): void {
		const before = new Map(stored.map((one) => [keyOf(one.resource), one]));
		const changes = plan.changes
			.filter(({ kind, change }) => KINDS.has(kind) && change !== "unchanged")
			.map((one) => ({ ...one, before: before.get(resourceKey(one.kind, one.name)) ?? null }));
		if (changes.length === 0) return;
		this.#records.putSync(made.revision, { ...made, changes });
		this.#prune();
	}

	/** Newest first, with those of their changes that lie in the scope. */
	list(scope: Scope): readonly PolicyRecord[] {
		return this.#all().flatMap((record) => {
			const changes = record.changes.filter(({ name }) => scope(namespaceOf(name)));
			return changes.length === 0 ? [] : [{ ...record, changes }];
		});
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
		const records = this.list(scope);
		const [last] = records;
		const revision = to ?? last?.revisionBefore;
		const oldest = this.#all().at(-1)?.revisionBefore ?? now.revision;
		if (last === undefined || revision === undefined) {
			throw new WeirError("failed-precondition", "no earlier access rules are kept", "apply the older file");
		}
		if (revision > now.revision) {
			throw new WeirError("invalid-argument", `revision ${revision} is not yet made (${now.revision} is)`);
		}
		if (revision < oldest) {
			throw new WeirError(
				"failed-precondition",
				`access rules are kept back to revision ${oldest}, not to ${revision}`,
				"see weir policy rollback --list, or apply the older file",
			);
		}
		const then = replacedSince(records, revision);
		const current = new Map(now.stored.map((one) => [keyOf(one.resource), one]));
		return {
			revision,
			documents: [...then].flatMap(([key, { before }]) =>
				before === null || isDeepStrictEqual(current.get(key)?.resource, before.resource)
					? []
					: [{ name: `revision ${revision} ${key}`, text: before.source }],
			),
			deletions: [...then].flatMap(([key, { target, before }]) =>
				before === null && current.has(key) ? [target] : [],
			),
		};
	}

	/**
	 * Services, by qualified name, that were there at a revision since a policy of their own namespace named them: none is
	 * taken that names one which is not there. Of another namespace a name may stand without it, and `*` names nobody.
	 */
	namedAt(revision: number, stored: readonly StoredResource[]): ReadonlySet<string> {
		const records = this.#all();
		const oldest = records.at(-1);
		if (oldest === undefined || revision < oldest.revisionBefore) return new Set();
		const then = replacedSince(records, revision);
		const policies = [
			...stored.filter(({ resource }) => !then.has(keyOf(resource))),
			...[...then.values()].flatMap(({ before }) => before ?? []),
		];
		const names = policies.flatMap(({ resource }) => {
			if (resource.kind !== "AccessPolicy") return [];
			const { namespace } = resource.metadata;
			return resource.spec.services
				.map((written) => namedIn(namespace, written))
				.filter((named) => named.namespace === namespace)
				.map(qualifiedName);
		});
		return new Set(names);
	}

	#all(): readonly PolicyRecord[] {
		return [...this.#records.getRange({ reverse: true })].map(({ value }) => value);
	}

	#prune(): void {
		let bytes = 0;
		for (const [index, record] of this.#all().entries()) {
			bytes += Buffer.byteLength(JSON.stringify(record));
			const isTooMuch = index >= POLICY_HISTORY_MAX || bytes > POLICY_HISTORY_BYTES_MAX;
			if (index > 0 && isTooMuch) this.#records.removeSync(record.revision);
		}
	}
}

/** What was changed after a revision, by key, as it was then. @param records newest first */
function replacedSince(records: readonly PolicyRecord[], revision: number) {
	const then = new Map<string, { readonly target: Target; readonly before: StoredResource | null }>();
	for (const record of records) {
		if (record.revision <= revision) break;
		for (const { kind, name, before } of record.changes)
			then.set(resourceKey(kind, name), { target: { kind, name }, before });
	}
	return then;
}

/** Whether a resource is one whose earlier forms come back with a rollback. */
export function isRolledBack(kind: Kind): boolean {
	return KINDS.has(kind);
}
