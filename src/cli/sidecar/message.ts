/** What the processes of a sidecar with several workers tell each other. */
import type { VersionedTable } from "../../sidecar/tables.js";
import type { CountRow } from "./counts.js";

export type ToWorker =
	| { readonly kind: "table"; readonly given: VersionedTable }
	/**
	 * Since control last confirmed the newest table, said again and again: where the primary hangs, its workers' tables
	 * grow old by themselves.
	 */
	| { readonly kind: "age"; readonly ageMs: number };

export type FromWorker =
	| { readonly kind: "listening"; readonly pid: number }
	| { readonly kind: "counts"; readonly process: string; readonly rows: readonly CountRow[] };
