/**
 * Reads an Experiment's exposure from an access-log entry. The arm is computed again from the plan's table, as in
 * `weir assign`: a start entry carries no arm, a client could set an arm header, and the sidecar's arm is only checked.
 */
import { parseUnit, trimUnit } from "../../../../compile/assignment/unit.js";
import { ARM_HEADER, armValue } from "../../../../compile/plan/headers.js";
import type { AccessLogEntry } from "../accessLog/accessLogEntry.js";
import type { ReadableExperiment, ReadablePlan, ReadableService } from "./planReader.js";
import { type Reading, type ReadingContext, rowOf } from "./requestRow.js";

const IGNORED: Reading = { kind: "ignored" };
const UNREADABLE: Reading = { kind: "unreadable" };

export interface RouteOfEntry {
	readonly version: string;
	readonly service: string;
	readonly experiment: string | null;
}

/**
 * @param plan named by the route
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
		if (service.callout?.assignment === true) {
			if (entry.kind === "sent") return readSent(entry, service, route.version, context, receivedMs);
			return readSidecars(entry, route, plan, context, receivedMs);
		}
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
	// Start and end entries report a header unit; attempt and end entries a unit that a filter makes or may refuse.
	if (late ? entry.kind === "start" : entry.kind === "periodic" || entry.kind === "sent") return IGNORED;
	if (isPending(entry)) return IGNORED;
	const unit = unitOfHeader(entry, experiment);
	if (unit === null) return UNREADABLE;
	return rowOf(entry, { service, plan: route.version, experiment, unit, late }, context, receivedMs);
}

/**
 * Open and not sent upstream: a filter is running, or the request was refused and its client does not read the answer (an
 * HTTP/2 client decides when). Such a request exposes no unit.
 */
const isPending = ({ kind, sentOn }: AccessLogEntry): boolean => kind === "periodic" && !sentOn;

/** The unit in the plan's header; null if missing, or if the unit is in no header. */
export function unitOfHeader({ headers }: AccessLogEntry, { table: { unit } }: ReadableExperiment): string | null {
	switch (unit.from) {
		case "header":
			return parseUnit(trimUnit(headers.get(unit.header) ?? ""));
		case "claim":
			return parseUnit(headers.get(unit.header) ?? "");
		case "cookie":
			return null;
	}
}

/** The sidecar assigned. Its plan may differ from the route's, and then explains the arm. */
function readSidecars(
	entry: AccessLogEntry,
	route: RouteOfEntry,
	routesPlan: ReadablePlan,
	context: ReadingContext,
	receivedMs: number,
): Reading {
	// Written before the filters.
	if (entry.kind === "start" || isPending(entry)) return IGNORED;
	const answer = entry.sidecar;
	if (answer === null || answer.service === null) {
		// The sidecar was not called, did not answer or knew no such Service: outside, counted for health only.
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
	// Only the sidecar knows who may use which Variant. It may report outside in that case, but never another arm.
	const experiment = answer.experiment === null && inSlot?.byEligibility === true ? null : inSlot;
	if ((experiment?.table.name ?? null) !== answer.experiment) return contradiction;
	if (!armIsPlans(experiment, unit, answer.arm)) return { ...contradiction, forced };
	if (entry.kind === "periodic" && experiment === null) return IGNORED;
	return rowOf(entry, { service, plan: answer.plan, experiment, unit, late: true }, context, receivedMs);
}

/**
 * Sent upstream after the sidecar assigned: this entry has headers only. The sidecar's header holds the arm, accepted if it
 * is the plan's; a unit in no header is reported by other entries.
 */
function readSent(
	entry: AccessLogEntry,
	service: ReadableService,
	plan: string,
	context: ReadingContext,
	receivedMs: number,
): Reading {
	const armHeader = entry.headers.get(ARM_HEADER);
	for (const experiment of service.experiments.values()) {
		const unit = unitOfHeader(entry, experiment);
		const arm = unit === null ? null : experiment.assignment.arm(unit);
		if (arm === null || armHeader !== armValue(experiment.table.name, arm)) continue;
		return rowOf(entry, { service, plan, experiment, unit, late: true }, context, receivedMs);
	}
	return IGNORED;
}

/** Whether the plan gives the unit that arm; a point in a takeover has its own arm and the winner's. */
function armIsPlans(experiment: ReadableExperiment | null, unit: string | null, arm: string | null): boolean {
	const location = experiment === null || unit === null ? null : experiment.assignment.locate(unit);
	if (location === null) return arm === null;
	if (location.takenOver && arm !== null && arm === experiment?.table.takeover?.arm) return true;
	return arm === (location.live ? location.region : null);
}

/** The Experiment whose slot holds the unit; slots of one layer are disjoint. */
function slotOf(service: ReadableService, unit: string | null): ReadableExperiment | null {
	if (unit === null) return null;
	for (const experiment of service.experiments.values()) {
		if (experiment.assignment.locate(unit)?.inSlot === true) return experiment;
	}
	return null;
}
