/**
 * From an access-log entry and its plan to what the store keeps. The arm is computed again from the plan's table,
 * with the function that `weir assign` uses: the entry at the start of a request carries no arm, a header that names
 * one could have been set by anybody, and what the sidecar says of one is checked, not believed.
 */
import { parseUnit, trimUnit } from "../assignment/unit.js";
import { ARM_HEADER, armValue } from "../compiler/headers.js";
import { clusterName } from "../compiler/plan.js";
import { SEGMENT_VALUE_BYTES_MAX } from "../limits.js";
import { type AccessLogEntry, FAILED_FLAGS, requestHeader, UNHEALTHY_FLAGS } from "./accessLogEntry.js";
import { corePoints, type ReadableExperiment, type ReadablePlan, type ReadableService } from "./planReader.js";
import type { Pseudonyms } from "./pseudonym.js";
import { isRefusedForVariant } from "./refusal.js";
import { reachedRouter, wasSentOn } from "./requestDetails.js";
import { sidecarAnswer } from "./sidecarAnswer.js";

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

/** A client may give the same id to several requests. */
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
	/** An attempt at an upstream: who is exposed. Rows come with other entries, whose start time is the request's. */
	| { readonly kind: "sent"; readonly request: RequestKey; readonly exposure: Exposure }
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

const IGNORED: Reading = { kind: "ignored" };
const UNREADABLE: Reading = { kind: "unreadable" };

export interface RouteOfEntry {
	readonly version: string;
	readonly service: string;
	readonly experiment: string | null;
}

export interface ReadingContext {
	/** Plans at hand, by version. */
	readonly plan: (version: string) => ReadablePlan | null;
	readonly pseudonyms: Pseudonyms;
}

/**
 * @param plan the one that the route names
 * @param receivedMs by the store's clock
 */
export function readEntry(
	entry: AccessLogEntry,
	route: RouteOfEntry,
	plan: ReadablePlan,
	context: ReadingContext,
	receivedMs: number,
): Reading {
	const service = plan.get(route.service);
	if (service === undefined) return UNREADABLE;
	if (route.experiment === null) {
		if (service.callout?.assignment === true) return readSidecars(entry, route, plan, context, receivedMs);
		if (entry.kind !== "end") return IGNORED;
		return rowOf(
			entry,
			{ service, plan: route.version, experiment: null, unit: null, late: false },
			context,
			receivedMs,
		);
	}
	const experiment = service.experiments.get(route.experiment);
	if (experiment === undefined) return UNREADABLE;
	const late = experiment.lateUnit;
	// A header unit is told of at start and end; one that a filter makes or may refuse, once it is sent on, and at the end.
	if (late ? entry.kind === "start" : entry.kind === "periodic" || entry.kind === "sent") return IGNORED;
	if (isHeldBack(entry)) return IGNORED;
	const unit = unitOfHeader(entry, experiment);
	if (unit === null) return UNREADABLE;
	return rowOf(entry, { service, plan: route.version, experiment, unit, late }, context, receivedMs);
}

/**
 * Still open and not sent on: a filter is at work, or it was refused by a client that does not take the answer (one of
 * HTTP/2 decides when it does), and nobody may be exposed by that.
 */
const isHeldBack = (entry: AccessLogEntry): boolean => entry.kind === "periodic" && !wasSentOn(entry);

/** The unit in the header that the plan says; null where there is none, or the unit is in no header. */
export function unitOfHeader(entry: AccessLogEntry, { table: { unit } }: ReadableExperiment): string | null {
	switch (unit.from) {
		case "header":
			return parseUnit(trimUnit(requestHeader(entry, unit.header) ?? ""));
		case "claim":
			return parseUnit(requestHeader(entry, unit.header) ?? "");
		case "cookie":
			return null;
	}
}

/** The sidecar assigned. It may have answered by another plan than the route's: that one explains the arm. */
function readSidecars(
	entry: AccessLogEntry,
	route: RouteOfEntry,
	routesPlan: ReadablePlan,
	context: ReadingContext,
	receivedMs: number,
): Reading {
	if (entry.kind === "sent") return readSent(entry, route, routesPlan, context, receivedMs);
	// Written before the filters.
	if (entry.kind === "start" || isHeldBack(entry)) return IGNORED;
	const answer = sidecarAnswer(entry);
	if (answer === null || answer.service === null) {
		// It was not asked, did not answer or knew no such Service: the request is outside, and counts for health alone.
		const service = routesPlan.get(route.service);
		if (entry.kind === "periodic" || service === undefined) return IGNORED;
		return rowOf(
			entry,
			{ service, plan: route.version, experiment: null, unit: null, late: true },
			context,
			receivedMs,
		);
	}
	const unit = answer.unit === null ? null : parseUnit(answer.unit);
	const forced =
		unit === null || answer.experiment === null
			? null
			: { experiment: answer.experiment, unit: context.pseudonyms.unit(unit) };
	const contradiction: Reading = { kind: "contradiction", service: route.service, plan: answer.plan, forced: null };
	if (answer.service !== route.service) return contradiction;
	const plan = answer.plan === route.version ? routesPlan : context.plan(answer.plan);
	if (plan === null) return { kind: "plan-missing", version: answer.plan };
	const service = plan.get(route.service);
	if (service === undefined) return contradiction;
	if ((unit === null) !== (answer.unit === null)) return contradiction;
	const inSlot = slotOf(service, unit);
	// Only the sidecar knows who may use which Variant: outside it may say where that matters, never another arm.
	const experiment = answer.experiment === null && inSlot?.byEligibility === true ? null : inSlot;
	if ((experiment?.table.name ?? null) !== answer.experiment) return contradiction;
	if (!armIsPlans(experiment, unit, answer.arm)) return { ...contradiction, forced };
	if (entry.kind === "periodic" && experiment === null) return IGNORED;
	return rowOf(entry, { service, plan: answer.plan, experiment, unit, late: true }, context, receivedMs);
}

/**
 * An attempt at an upstream, where the sidecar assigned: it tells of headers alone. The sidecar's says the arm, and is
 * believed where it is the one that the plan gives; of a unit in no header other entries tell.
 */
function readSent(
	entry: AccessLogEntry,
	route: RouteOfEntry,
	plan: ReadablePlan,
	context: ReadingContext,
	receivedMs: number,
): Reading {
	const service = plan.get(route.service);
	const said = requestHeader(entry, ARM_HEADER);
	if (service === undefined || said === null) return IGNORED;
	for (const experiment of service.experiments.values()) {
		const unit = unitOfHeader(entry, experiment);
		const arm = unit === null ? null : experiment.assignment.arm(unit);
		if (arm === null || said !== armValue(experiment.table.name, arm)) continue;
		return rowOf(entry, { service, plan: route.version, experiment, unit, late: true }, context, receivedMs);
	}
	return IGNORED;
}

/** Whether the plan gives the unit that arm; a point that is taken over has its own and the taker's. */
function armIsPlans(experiment: ReadableExperiment | null, unit: string | null, arm: string | null): boolean {
	const location = experiment === null || unit === null ? null : experiment.assignment.locate(unit);
	if (location === null) return arm === null;
	if (location.takenOver && arm !== null && arm === experiment?.table.takeover?.arm) return true;
	return arm === (location.live ? location.region : null);
}

/** The Experiment whose slot holds the unit; slots of one layer are disjoint. */
export function slotOf(service: ReadableService, unit: string | null): ReadableExperiment | null {
	if (unit === null) return null;
	for (const experiment of service.experiments.values()) {
		if (experiment.assignment.locate(unit)?.inSlot === true) return experiment;
	}
	return null;
}

interface Assigned {
	readonly service: ReadableService;
	/** Version of the plan by which it was assigned. */
	readonly plan: string;
	readonly experiment: ReadableExperiment | null;
	readonly unit: string | null;
	readonly late: boolean;
}

function rowOf(entry: AccessLogEntry, assigned: Assigned, { pseudonyms }: ReadingContext, receivedMs: number): Reading {
	const { service, plan, experiment, unit, late } = assigned;
	const ended = entry.kind === "end";
	const arm = experiment === null || unit === null ? null : experiment.assignment.arm(unit);
	const core = inCore(experiment, unit);
	const counts = core || experiment?.table.core?.alone !== true;
	const exposing = (experiment?.table.exposing ?? false) && counts && !isTakenOver(experiment, unit);
	if (!ended && (arm === null || !exposing)) return IGNORED;

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
	if (entry.kind === "sent") return { kind: "sent", request: row, exposure };
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
	entry: AccessLogEntry,
	{ table }: ReadableExperiment,
	unit: string | null,
): Readonly<Record<string, string>> {
	const { segments = [] } = table;
	if (segments.length === 0) return NO_SEGMENTS;
	return Object.fromEntries(
		segments.flatMap(({ name, header }) => {
			const value = requestHeader(entry, header)?.trim() ?? "";
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
