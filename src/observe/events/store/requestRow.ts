/** From an access-log entry and how its request was assigned (entryReader.ts) to what the store keeps. */
import { clusterName } from "../../../compile/table/plan.js";
import { SEGMENT_VALUE_BYTES_MAX } from "../../../limits/index.js";
import { type AccessLogEntry, FAILED_FLAGS, reachedRouter, UNHEALTHY_FLAGS } from "../accessLog/accessLogEntry.js";
import {
	corePoints,
	type ReadableExperiment,
	type ReadablePlan,
	type ReadableService,
} from "../accessLog/planReader.js";
import { isRefusedForVariant } from "../accessLog/refusal.js";
import type { Pseudonyms } from "./pseudonym.js";

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
	/** Arm that the plan gives, whether or not it exposes; null = none. */
	readonly assigned: string | null;
}

/** The time tells apart requests that carry one id. */
export type RequestKey = Pick<RequestRow, "request" | "startUs">;

/** A unit was seen in a live arm: where Envoy assigned by a header at the start of a request, else as soon as is known. */
export interface Exposure {
	readonly experiment: string;
	readonly unit: bigint;
	readonly arm: string;
	readonly plan: string;
	readonly firstMs: number;
	readonly receivedMs: number;
	readonly livePoints: Readonly<Record<string, number>>;
	/** On a point that is live whatever a bandit does; true where there is none. */
	readonly core: boolean;
	/** What the request said of its unit, by segment; a value that is none (too long, not printable) is not there. */
	readonly segments: Readonly<Record<string, string>>;
}

/** A unit that somebody gave another arm than the plan does; it is left out of the experiment. */
export interface Forced {
	readonly experiment: string;
	readonly unit: bigint;
}

export type Reading =
	/** late: the start told of no unit (ReadableExperiment.lateUnit); the row of the request's start comes with this one. */
	| {
			readonly kind: "row";
			readonly row: RequestRow;
			readonly exposure: Exposure | null;
			readonly late: boolean;
			/** It ended without being sent on, and not for its Variant: what its other entries made is to be taken back. */
			readonly refused: boolean;
			/** Version of the plan by which it was assigned. */
			readonly plan: string;
	  }
	/** Says nothing that is kept: the start of a request without a live arm, or one that is told of again later. */
	| { readonly kind: "ignored" }
	/** Route name and plan, or route name and unit, do not fit each other. */
	| { readonly kind: "unreadable" }
	/** The sidecar's answer and the plan that it names do not fit each other. */
	| {
			readonly kind: "contradiction";
			readonly service: string;
			readonly plan: string;
			/** null = it names no unit, or no experiment of the plan. */
			readonly forced: Forced | null;
	  }
	/** The sidecar answered by a plan that is not at hand. */
	| { readonly kind: "plan-missing"; readonly version: string };

export interface ReadingContext {
	/** Plans at hand, by version. */
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

/** What is kept of a request that was refused: that it was, and nothing that counts for anybody. */
export const outside = (row: RequestRow): RequestRow => ({ ...row, ...NOBODY });

const NOBODY = {
	variant: null,
	experiment: null,
	unit: null,
	arm: null,
	assigned: null,
	reference: false,
	failed: false,
	unhealthy: false,
} as const;

/** Printable ASCII, as headers of that kind are; what is anything else is a text, and no group of units. */
const SEGMENT_VALUE = new RegExp(`^[\\x20-\\x7e]{1,${SEGMENT_VALUE_BYTES_MAX}}$`);

/** What says the unit's own id is not kept either: ids are stored as pseudonyms alone. */
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

/** Whether the unit's point stays live whatever a bandit does. */
function inCore(experiment: ReadableExperiment | null, unit: string | null): boolean {
	const core = experiment?.table.core;
	if (experiment === null || core === undefined || unit === null) return true;
	const location = experiment.assignment.locate(unit);
	const arm = experiment.table.arms.find(({ name }) => name === location?.region);
	return arm !== undefined && location !== null && location.point < arm.loPpm + corePoints(arm, core.ppm);
}

/** During a holdback: the winner serves the unit, and its arm's own answer is not what it gets. */
function isTakenOver(experiment: ReadableExperiment | null, unit: string | null): boolean {
	if (experiment === null || experiment.table.takeover === null || unit === null) return false;
	return experiment.assignment.locate(unit)?.takenOver === true;
}

/** Arm by the plan, that of a takeover included. */
function assignedArm(experiment: ReadableExperiment | null, unit: string | null, arm: string | null): string | null {
	const takeover = experiment?.table.takeover ?? null;
	if (takeover === null || experiment === null || unit === null) return arm;
	return experiment.assignment.locate(unit)?.takenOver === true ? takeover.arm : arm;
}

/** What Envoy really did, by the name of the chosen cluster. */
export function variantOf(entry: AccessLogEntry, service: string): string | null {
	const prefix = clusterName(service, "");
	return entry.cluster.startsWith(prefix) ? entry.cluster.slice(prefix.length) : null;
}

function chosenVariant(experiment: ReadableExperiment | null, unit: string | null): string | null {
	return experiment === null || unit === null ? null : (experiment.assignment.locate(unit)?.variant ?? null);
}
