/** What the processes of a sidecar with several workers tell each other. */
import type { Validity } from "../../identity/validity.js";
import type { Clock } from "../../sidecar/clock.js";
import type { VersionedTable } from "../../sidecar/tables.js";
import type { CountRow } from "./counts.js";
import type { ProofAnswer, ProofAsked } from "./usedProofs.js";

export type ToWorker =
	/** `order` counts the tables that are handed on; `givenAtMs` is when the primary was given it, by machineMs(). */
	| { readonly kind: "table"; readonly order: number; readonly given: VersionedTable; readonly givenAtMs: number }
	/**
	 * Since control last confirmed the newest table, said again and again, to who has it in force: where the primary hangs,
	 * its workers' tables grow old by themselves. `saidAtMs` is by machineMs().
	 */
	| { readonly kind: "age"; readonly ageMs: number; readonly saidAtMs: number }
	/** All that there is to know at first has been said: it may listen. */
	| { readonly kind: "greeted" }
	| ProofAnswer;

export type FromWorker =
	| { readonly kind: "listening"; readonly pid: number }
	/** The table of that order is what it answers by. */
	| { readonly kind: "in-force"; readonly order: number }
	/** The table of that order cannot be answered by: the one before it is. */
	| { readonly kind: "refused"; readonly order: number }
	/** Tables may have been acknowledged without it: it asks for the age, which is said when it has caught up. */
	| { readonly kind: "late" }
	| {
			readonly kind: "counts";
			readonly process: string;
			readonly rows: readonly CountRow[];
			/** Of its SVID; null = it has no identity. */
			readonly validity: Validity | null;
	  }
	| ProofAsked;

/** A clock that all processes of the machine share, and that nobody sets. */
export const machineMs = (): number => Number(process.hrtime.bigint()) / 1_000_000;

export const MACHINE_CLOCK: Clock = { wallMs: Date.now, monotonicMs: machineMs };
