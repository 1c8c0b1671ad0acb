/** Makes store rows from an access-log entry and its request's assignment (entryReader.ts). */
import { clusterName } from "../../../../compile/plan/compiledPlan.js";
import type { Pseudonyms } from "../../store/pseudonym.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import { FAILED_FLAGS, reachedRouter, UNHEALTHY_FLAGS } from "../accessLog/responseFlags.js";
import { corePoints, type ReadableExperiment, type ReadablePlan, type ReadableService } from "./planReader.js";
import { isRefusedForVariant } from "./refusedRequest.js";

/** Bytes of a segment's value: a country, a plan or a model's name, not free text. */
const SEGMENT_VALUE_BYTES_MAX = 64;

/** One row of `entries`; see schema.ts. */
export interface RequestRow {
	readonly ended: boolean;
	readonly request: bigint;
	readonly startUs: number;
	readonly receivedMs: number;
	readonly service: string;
	readonly variant: string | null;
	readonly experiment: string | null;
	readonly unit: bigint | null;
	readonly arm: string | null;
	readonly reference: boolean;
	readonly durationMs: number;
	readonly status: number;
	readonly failed: boolean;
	readonly unhealthy: boolean;
	/** Arm that the plan gives, exposed or not; null = none. */
	readonly assigned: string | null;
}

/** The start time distinguishes requests with the same id. */
export type RequestKey = Pick<RequestRow, "request" | "startUs">;

/** A unit was seen in a live arm: at the request's start if Envoy assigned by a header, else once the unit is known. */
export interface Exposure {
	readonly experiment: string;
	readonly unit: bigint;
	readonly arm: string;
	readonly plan: string;
	readonly firstMs: number;
	readonly receivedMs: number;
	readonly livePoints: Readonly<Record<string, number>>;
	/** On a point that stays live under any bandit decision; true without a bandit. */
	readonly core: boolean;
	/** The unit's segment values by segment; invalid values (too long, not printable) are missing. */
	readonly segments: Readonly<Record<string, string>>;
}

/** A unit that got another arm than the plan's; it is excluded from the experiment. */
export interface Forced {
	readonly experiment: string;
	readonly unit: bigint;
}

export type Reading =
	/** late: the start entry had no unit (ReadableExperiment.lateUnit); this entry writes the request's start row. */
	| {
			readonly kind: "row";
			readonly row: RequestRow;
			readonly exposure: Exposure | null;
			readonly late: boolean;
			/** It ended without being forwarded, for another reason than its Variant: withdraw its exposure and start row. */
			readonly refused: boolean;
			/** Version of the plan by which it was assigned. */
			readonly plan: string;
	  }
	/** Nothing to keep: a start entry without a live arm, or one that a later entry repeats. */
	| { readonly kind: "ignored" }
	/** Route name does not match the plan or the unit. */
	| { readonly kind: "unreadable" }
	/** The sidecar's answer does not match the plan that it names. */
	| {
			readonly kind: "contradiction";
			readonly service: string;
			readonly plan: string;
			/** null = no unit, or no experiment of the plan. */
			readonly forced: Forced | null;
	  }
	/** The sidecar used a plan that is not loaded. */
	| { readonly kind: "plan-missing"; readonly version: string };

export interface ReadingContext {
	/** Loaded plans, by version. */
	readonly plan: (version: string) => ReadablePlan | null;
	readonly pseudonyms: Pseudonyms;
}

/** How an entry's request was assigned. */
interface Assigned {
	readonly service: ReadableService;
	/** Version of the plan by which it was assigned. */
	readonly plan: string;
	readonly experiment: ReadableExperiment | null;
	readonly unit: string | null;
	readonly late: boolean;
}

/** @param receivedMs by the store's clock */
export function rowOf(
	entry: AccessLogEntry,
	assigned: Assigned,
	{ pseudonyms }: ReadingContext,
	receivedMs: number,
): Reading {
	const { service, plan, experiment, unit, late } = assigned;
	const ended = entry.kind === "end";
	const arm = experiment === null || unit === null ? null : experiment.assignment.arm(unit);
	const core = inCore(experiment, unit);
	const counts = core || experiment?.table.core?.alone !== true;
	const exposing = (experiment?.table.exposing ?? false) && counts && !isTakenOver(experiment, unit);
	if (!ended && (arm === null || !exposing)) return { kind: "ignored" };

	const chosen = chosenVariant(experiment, unit) ?? service.defaultVariant;
	const sentOn = !ended || reachedRouter(entry);
	const forVariant =
		!sentOn &&
		exposing &&
		experiment !== null &&
		arm !== null &&
		isRefusedForVariant(entry, service, experiment, chosen);
	const variant = variantOf(entry, service.name) ?? chosen;
	const hash = unit === null ? null : pseudonyms.unit(unit);
	const row: RequestRow = {
		ended,
		request: pseudonyms.request(entry.requestId),
		startUs: entry.startUs,
		receivedMs,
		service: service.name,
		variant,
		experiment: experiment?.table.name ?? null,
		unit: hash,
		arm: exposing ? arm : null,
		reference: variant === service.defaultVariant && (arm === null || arm === experiment?.baselineArm),
		durationMs: entry.durationMs,
		status: entry.status,
		failed: forVariant || entry.status === 0 || entry.status >= 500 || (entry.flags & FAILED_FLAGS) !== 0,
		unhealthy: entry.status >= 500 || (entry.flags & UNHEALTHY_FLAGS) !== 0,
		assigned: assignedArm(experiment, unit, arm),
	};
	const refused = !sentOn && !forVariant;
	if (refused || experiment === null || hash === null || arm === null || !exposing || (ended && !late)) {
		return { kind: "row", row, exposure: null, late, refused, plan };
	}
	const exposure: Exposure = {
		experiment: experiment.table.name,
		unit: hash,
		arm,
		plan,
		firstMs: Math.floor(entry.startUs / 1e3),
		receivedMs,
		livePoints: experiment.livePoints,
		core,
		segments: segmentsOf(entry, experiment, unit),
	};
	return { kind: "row", row, exposure, late, refused: false, plan };
}

/** Row of a refused request: it is kept, but counts for no arm. */
export const outside = (row: RequestRow): RequestRow => ({ ...row, ...NO_ASSIGNMENT });

const NO_ASSIGNMENT = {
	variant: null,
	experiment: null,
	unit: null,
	arm: null,
	assigned: null,
	reference: false,
	failed: false,
	unhealthy: false,
} as const;

/** Printable ASCII, as in header values; anything else is free text and no segment value. */
const SEGMENT_VALUE = new RegExp(`^[\\x20-\\x7e]{1,${SEGMENT_VALUE_BYTES_MAX}}$`);

/** A value that contains the unit's own id is dropped: ids are stored as pseudonyms only. */
function segmentsOf(
	{ headers }: AccessLogEntry,
	{ table }: ReadableExperiment,
	unit: string | null,
): Readonly<Record<string, string>> {
	const { segments = [] } = table;
	if (segments.length === 0) return NO_SEGMENTS;
	return Object.fromEntries(
		segments.flatMap(({ name, header }) => {
			const value = headers.get(header)?.trim() ?? "";
			return SEGMENT_VALUE.test(value) && value !== unit ? [[name, value]] : [];
		}),
	);
}

const NO_SEGMENTS: Readonly<Record<string, string>> = {};

/** Whether the unit's point stays live under any bandit decision. */
function inCore(experiment: ReadableExperiment | null, unit: string | null): boolean {
	const core = experiment?.table.core;
	if (experiment === null || core === undefined || unit === null) return true;
	const location = experiment.assignment.locate(unit);
	const arm = experiment.table.arms.find(({ name }) => name === location?.region);
	return arm !== undefined && location !== null && location.point < arm.loPpm + corePoints(arm, core.ppm);
}

/** During a holdback the winner serves the unit, so the answer is not from its arm. */
function isTakenOver(experiment: ReadableExperiment | null, unit: string | null): boolean {
	if (experiment === null || experiment.table.takeover === null || unit === null) return false;
	return experiment.assignment.locate(unit)?.takenOver === true;
}

/** Arm by the plan, including a takeover's. */
function assignedArm(experiment: ReadableExperiment | null, unit: string | null, arm: string | null): string | null {
	const takeover = experiment?.table.takeover ?? null;
	if (takeover === null || experiment === null || unit === null) return arm;
	return experiment.assignment.locate(unit)?.takenOver === true ? takeover.arm : arm;
}

/** The Variant that Envoy chose, from the cluster name. */
export function variantOf(entry: AccessLogEntry, service: string): string | null {
	const prefix = clusterName(service, "");
	return entry.cluster.startsWith(prefix) ? entry.cluster.slice(prefix.length) : null;
}

function chosenVariant(experiment: ReadableExperiment | null, unit: string | null): string | null {
	return experiment === null || unit === null ? null : (experiment.assignment.locate(unit)?.variant ?? null);
}
