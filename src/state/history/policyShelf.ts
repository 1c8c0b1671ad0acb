/**
 * Changes of access rules in the state file, by namespace and by the revision that they led to: heads, which are read to
 * list them, and what they replaced, which a rollback reads. ReferenceGrants are among them, for they say what rules were
 * about; they are not rolled back. Each namespace has a room of its own, so that its changes push out no other's, and it
 * is known back to which revision all of its are kept. What writes runs inside the caller's transaction.
 */
import { POLICY_HISTORIES_MAX, POLICY_HISTORY_BYTES_MAX, POLICY_HISTORY_MAX } from "../../limits.js";
import { grouping } from "../../resources/lookup.js";
import { namespaceOf } from "../../resources/resource.js";
import type { Target } from "../acts/deletion.js";
import type { ResourceChange } from "../acts/wishes.js";
import type { StateDatabase, StoredResource } from "../store/database.js";
import { resourceKey } from "../store/resourceSet.js";

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
	readonly changes: readonly ResourceChange[];
}

/** With what it replaced; of all namespaces, and as an earlier Weir kept it. before null = it was not there. */
export interface WholePolicyRecord extends Omit<PolicyRecord, "changes"> {
	readonly changes: readonly (ResourceChange & { readonly before: StoredResource | null })[];
}

/** Of one namespace. */
export interface PolicyHead extends PolicyRecord {
	/** Of the head and of what it replaced. */
	readonly bytes: number;
}

/** What was changed after a revision, by key, as it was then. */
export type Replaced = ReadonlyMap<string, { readonly target: Target; readonly before: StoredResource | null }>;

const byNamespace = grouping<WholePolicyRecord["changes"][number]>(({ name }) => [namespaceOf(name)]);

type Key = [namespace: string, revision: number];

const keysOf = grouping<Key>(([namespace]) => [namespace]);

export class PolicyShelf {
	readonly #database: StateDatabase;

	constructor(database: StateDatabase) {
		this.#database = database;
		database.transaction(() => this.#takeOver());
	}

	put({ changes, ...made }: WholePolicyRecord): void {
		const { policyHeads, policyReplaced } = this.#database;
		for (const [namespace, own] of byNamespace(changes)) {
			const key: Key = [namespace, made.revision];
			const head = { ...made, changes: own.map(({ kind, name, change }) => ({ kind, name, change })) };
			const replaced = own.map(({ before }) => before);
			policyHeads.putSync(key, { ...head, bytes: Buffer.byteLength(JSON.stringify([head, replaced])) });
			policyReplaced.putSync(key, replaced);
			this.#prune(namespace);
		}
		this.#pruneAll();
	}

	/** All that have changed their rules. */
	get namespaces(): readonly string[] {
		const { policyHeads, policiesDropped } = this.#database;
		const kept = [...policyHeads.getKeys()].map(([namespace]) => namespace);
		return [...new Set([...kept, ...policiesDropped.getKeys()])];
	}

	/** Newest first. */
	heads(namespace: string): readonly PolicyHead[] {
		return [...this.#database.policyHeads.getRange(newestFirst(namespace))].map(({ value }) => value);
	}

	/** null = that is not kept. */
	replacedSince(namespace: string, revision: number): Replaced | null {
		if (revision < this.keptFrom(namespace)) return null;
		const { policyHeads, policyReplaced } = this.#database;
		const then = new Map<string, { readonly target: Target; readonly before: StoredResource | null }>();
		for (const { key, value } of policyHeads.getRange(newestFirst(namespace, revision))) {
			const replaced = policyReplaced.get(key) ?? [];
			for (const [at, { kind, name }] of value.changes.entries())
				then.set(resourceKey(kind, name), { target: { kind, name }, before: replaced[at] ?? null });
		}
		return then;
	}

	/** The revision back to which the namespace's rules are kept. */
	keptFrom(namespace: string): number {
		const { counters, policiesDropped } = this.#database;
		return Math.max(counters.get("policiesKept") ?? 0, policiesDropped.get(namespace) ?? 0);
	}

	/** The one back to which grants are: an earlier Weir kept none. */
	get grantsKeptFrom(): number {
		return this.#database.counters.get("grantsKept") ?? 0;
	}

	/** By namespace: some were dropped, and its rules are kept back to that revision only. */
	get dropped(): ReadonlyMap<string, number> {
		return new Map([...this.#database.policiesDropped.getRange()].map(({ key, value }) => [key, value]));
	}

	#prune(namespace: string): void {
		let bytes = 0;
		for (const [index, head] of this.heads(namespace).entries()) {
			bytes += head.bytes;
			const isTooMuch = index >= POLICY_HISTORY_MAX || bytes > POLICY_HISTORY_BYTES_MAX;
			if (index > 0 && isTooMuch) this.#drop([namespace, head.revision]);
		}
	}

	/** Of whichever namespaces have most the oldest. */
	#pruneAll(): void {
		const { policyHeads } = this.#database;
		let more = policyHeads.getKeysCount() - POLICY_HISTORIES_MAX;
		if (more <= 0) return;
		const kept = [...keysOf([...policyHeads.getKeys()]).values()].map((keys) => [...keys]);
		while (more > 0) {
			const most = kept.reduce((max, { length }) => Math.max(max, length), 0);
			for (const keys of kept) if (keys.length === most && more-- > 0) this.#drop(keys.shift() as Key);
		}
	}

	#drop(key: Key): void {
		const { policyHeads, policyReplaced, policiesDropped } = this.#database;
		const [namespace, revision] = key;
		policyHeads.removeSync(key);
		policyReplaced.removeSync(key);
		policiesDropped.putSync(namespace, Math.max(revision, policiesDropped.get(namespace) ?? 0));
	}

	/** An earlier Weir kept changes of all namespaces together, and none of grants. What it had dropped is not known. */
	#takeOver(): void {
		const { policies, counters } = this.#database;
		const former = [...policies.getRange()].map(({ value }) => value);
		if (former.length === 0 && counters.get("policiesKept") !== undefined) return;
		const revision = counters.get("revision") ?? 0;
		counters.putSync("policiesKept", former[0]?.revisionBefore ?? revision);
		counters.putSync("grantsKept", revision);
		for (const record of former) {
			this.put(record);
			policies.removeSync(record.revision);
		}
	}
}

/** A range of keys. @param after not this revision, nor one before it */
function newestFirst(namespace: string, after = 0) {
	return { start: [namespace, Number.MAX_SAFE_INTEGER] as Key, end: [namespace, after] as Key, reverse: true };
}
