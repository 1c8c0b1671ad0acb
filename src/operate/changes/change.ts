/** A change of the declaration: the request for it, its effect on each resource, and its record in the history. */
import type { Kind } from "../../declare/resources/resource.js";

export interface SourceFile {
	readonly name: string;
	readonly text: string;
}

/** One resource, by its qualified name. */
export interface Target {
	readonly kind: Kind;
	readonly name: string;
}

/** What a caller asks to change: documents to apply, resources to delete, or both. */
export interface Change {
	readonly files: readonly SourceFile[];
	readonly deletions: readonly Target[];
}

export interface ResourceChange {
	readonly kind: Kind;
	/** Qualified name. */
	readonly name: string;
	readonly change: "created" | "configured" | "unchanged" | "deleted";
}

export interface HistoryEntry {
	/** The revision that the change made. */
	readonly revision: number;
	readonly atMs: number;
	/** Who. */
	readonly by: string;
	/** The revision that a rollback went back to. */
	readonly rolledBackTo: number | null;
	readonly changes: readonly ResourceChange[];
}

export interface StoredEntry extends HistoryEntry {
	/** Size of the documents that it replaced. */
	readonly bytes: number;
}
