/**
 * Which revision changed which resources, and what they were before: kept so that `weir rollback` can apply the old documents
 * again. Bounded by number and by bytes; the oldest go first. Writes run inside the caller's transaction.
 */

import { isDeepStrictEqual } from "node:util";
import { namespaceOf } from "../../../declare/resources/resource.js";
import { WeirError } from "../../../error.js";
import type { Change, HistoryEntry, ResourceChange, StoredEntry } from "../../changes/change.js";
import { keyOf, resourceKey } from "../../changes/resourceKey.js";
import type { StoredResource } from "../../changes/stored.js";
import type { StateDatabase } from "../store/database.js";

/** Revisions that can be rolled back, and the size of their replaced documents; the oldest are dropped first. */
export const HISTORY_REVISIONS_MAX = 1_000;
const HISTORY_BYTES_MAX = 64 * 1024 * 1024;

/** Which namespaces. */
export type Scope = (namespace: string) => boolean;

export class History {
	constructor(private readonly database: StateDatabase) {}

	/** @param stored before the change */
	record(entry: HistoryEntry, stored: readonly StoredResource[]): void {
		const before = new Map(stored.map((one) => [keyOf(one.resource), one]));
		const changes = entry.changes.filter(({ change }) => change !== "unchanged");
		if (changes.length === 0) return;
		const replaced = changes.map(({ kind, name }) => before.get(resourceKey(kind, name)) ?? null);
		const { history, replacedDocuments } = this.database;
		history.putSync(entry.revision, { ...entry, changes, bytes: Buffer.byteLength(JSON.stringify(replaced)) });
		replacedDocuments.putSync(entry.revision, replaced);
		this.#prune();
	}

	/** Newest first, with those changes that lie in the scope. */
	list(scope: Scope): readonly HistoryEntry[] {
		return this.#newestFirst().flatMap(({ bytes: _, ...entry }) => {
			const changes = entry.changes.filter(({ name }) => scope(namespaceOf(name)));
			return changes.length === 0 ? [] : [{ ...entry, changes }];
		});
	}

	/** The oldest revision that a rollback can go back to. */
	get keptFrom(): number {
		return this.database.counters.get("historyKeptFrom") ?? 0;
	}

	/**
	 * The change that makes the resources in the scope what they were at a revision.
	 * @throws WeirError `failed-precondition` if that is not kept, `invalid-argument` for a revision after the newest
	 */
	rollback(
		to: number,
		now: { readonly revision: number; readonly stored: readonly StoredResource[] },
		scope: Scope,
	): Change {
		if (to > now.revision) {
			// Pauses and promotions also take revisions, which the history does not list.
			const newest = this.list(scope)[0]?.revision;
			const known = newest === undefined ? "has none" : `has revisions up to ${newest}`;
			throw new WeirError("invalid-argument", `there is no revision ${to}: weir history ${known}`);
		}
		if (to < this.keptFrom)
			throw new WeirError(
				"failed-precondition",
				`old documents are kept back to revision ${this.keptFrom}, not to ${to}`,
				"see weir history, or apply the older files",
			);
		const then = new Map<string, { readonly change: ResourceChange; readonly before: StoredResource | null }>();
		for (const { revision, changes } of this.#newestFirst()) {
			if (revision <= to) break;
			const replaced = this.database.replacedDocuments.get(revision) ?? [];
			for (const [index, change] of changes.entries())
				if (scope(namespaceOf(change.name)))
					then.set(resourceKey(change.kind, change.name), { change, before: replaced[index] ?? null });
		}
		const current = new Map(now.stored.map((one) => [keyOf(one.resource), one.resource]));
		return {
			files: [...then].flatMap(([key, { before }]) =>
				before === null || isDeepStrictEqual(current.get(key), before.resource)
					? []
					: [{ name: `revision ${to} ${key}`, text: before.source }],
			),
			deletions: [...then].flatMap(([key, { change, before }]) =>
				before === null && current.has(key) ? [{ kind: change.kind, name: change.name }] : [],
			),
		};
	}

	#newestFirst(): readonly StoredEntry[] {
		return [...this.database.history.getRange({ reverse: true })].map(({ value }) => value);
	}

	/** The newest entry stays, however large it is. */
	#prune(): void {
		const { history, replacedDocuments, counters } = this.database;
		let bytes = 0;
		for (const [index, entry] of this.#newestFirst().entries()) {
			bytes += entry.bytes;
			if (index === 0 || (index < HISTORY_REVISIONS_MAX && bytes <= HISTORY_BYTES_MAX)) continue;
			history.removeSync(entry.revision);
			replacedDocuments.removeSync(entry.revision);
			counters.putSync("historyKeptFrom", Math.max(entry.revision, this.keptFrom));
		}
	}
}
