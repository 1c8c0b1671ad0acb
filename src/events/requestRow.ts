/**
 * From an access-log entry and its plan to what the store keeps. The arm is computed again from the plan's table,
 * with the function that `weir assign` uses: the entry at the start of a request carries no arm, and a header
 * that names one could have been set by anybody.
 */
import { parseUnit, trimUnit } from "../assignment/unit.js";
import { clusterName } from "../compiler/plan.js";
import { type AccessLogEntry, FAILED_FLAGS, requestHeader, UNHEALTHY_FLAGS } from "./accessLogEntry.js";
import type { ReadableExperiment, ReadablePlan } from "./planReader.js";
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
}

/** A unit was seen in a live arm at the start of a request. */
export interface Exposure {
	readonly experiment: string;
	readonly unit: bigint;
	readonly arm: string;
	readonly plan: string;
	readonly firstMs: number;
	readonly receivedMs: number;
	readonly livePoints: Readonly<Record<string, number>>;
}

export type Reading =
	| { readonly kind: "row"; readonly row: RequestRow; readonly exposure: Exposure | null }
	/** Says nothing that is kept: the start of a request without a live arm. */
	| { readonly kind: "ignored" }
	/** Route name and plan, or route name and unit, do not fit each other. */
	| { readonly kind: "unreadable" };

const IGNORED: Reading = { kind: "ignored" };
const UNREADABLE: Reading = { kind: "unreadable" };

export interface RouteOfEntry {
	readonly version: string;
	readonly service: string;
	readonly experiment: string | null;
}

export function readEntry(
	entry: AccessLogEntry,
	route: RouteOfEntry,
	plan: ReadablePlan,
	pseudonyms: Pseudonyms,
	receivedMs: number,
): Reading {
	const ended = entry.kind === "end";
	const service = plan.get(route.service);
	if (service === undefined) return UNREADABLE;
	let experiment: ReadableExperiment | null = null;
	let unit: string | null = null;
	if (route.experiment !== null) {
		experiment = service.experiments.get(route.experiment) ?? null;
		unit = experiment === null ? null : parseUnit(trimUnit(requestHeader(entry, experiment.table.unitHeader) ?? ""));
		if (unit === null) return UNREADABLE;
	}
	const arm = experiment === null || unit === null ? null : experiment.assignment.arm(unit);
	const exposing = experiment?.table.exposing ?? false;
	if (!ended && (arm === null || !exposing)) return IGNORED;

	const variant = variantOf(entry, route.service) ?? chosenVariant(experiment, unit) ?? service.defaultVariant;
	const hash = unit === null ? null : pseudonyms.unit(unit);
	const row: RequestRow = {
		ended,
		request: pseudonyms.request(entry.requestId),
		startUs: entry.startUs,
		receivedMs,
		service: route.service,
		variant,
		experiment: route.experiment,
		unit: hash,
		arm: exposing ? arm : null,
		reference: variant === service.defaultVariant && (arm === null || arm === experiment?.baselineArm),
		durationMs: entry.durationMs,
		status: entry.status,
		failed: entry.status === 0 || entry.status >= 500 || (entry.flags & FAILED_FLAGS) !== 0,
		unhealthy: entry.status >= 500 || (entry.flags & UNHEALTHY_FLAGS) !== 0,
	};
	if (ended || experiment === null || hash === null || arm === null) return { kind: "row", row, exposure: null };
	const exposure: Exposure = {
		experiment: experiment.table.name,
		unit: hash,
		arm,
		plan: route.version,
		firstMs: Math.floor(entry.startUs / 1e3),
		receivedMs,
		livePoints: experiment.livePoints,
	};
	return { kind: "row", row, exposure };
}

/** What Envoy really did, by the name of the chosen cluster. */
function variantOf(entry: AccessLogEntry, service: string): string | null {
	const prefix = clusterName(service, "");
	return entry.cluster.startsWith(prefix) ? entry.cluster.slice(prefix.length) : null;
}

function chosenVariant(experiment: ReadableExperiment | null, unit: string | null): string | null {
	return experiment === null || unit === null ? null : (experiment.assignment.locate(unit)?.variant ?? null);
}
