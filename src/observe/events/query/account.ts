/**
 * The account of one request, for `weir why`: its access-log entry, verdict and assignment, by the plans that the request
 * names.
 */
import { shownPath } from "../../../compile/access/requests/shownPath.js";
import { compileAccess, judgesMethods, judgesRegions, judgesUsers } from "../../../compile/access/rules/policy.js";
import type { Location } from "../../../compile/assignment/assign.js";
import { parseUnit } from "../../../compile/assignment/unit.js";
import type { ArmTable, UnitTable } from "../../../compile/plan/compiledPlan.js";
import { parseRouteName } from "../../../compile/plan/compiledPlan.js";
import type { AccessLogEntry } from "../receive/accessLog/accessLogEntry.js";
import { flagNames } from "../receive/accessLog/responseFlags.js";
import { type CalledBy, calledBy } from "../receive/accessLog/sidecarAnswer.js";
import { type Verdict, verdictOf } from "../receive/accessLog/verdict.js";
import { allowedBy } from "../receive/accessRecords/accessRecords.js";
import { unitOfHeader } from "../receive/requests/entryReader.js";
import type { PlanReader, ReadableExperiment, ReadableService } from "../receive/requests/planReader.js";
import { variantOf } from "../receive/requests/requestRow.js";
import type { Pseudonyms } from "../store/pseudonym.js";
import type { EventStore } from "../store/store.js";

export type RequestAccount = WholeAccount | OutlineAccount;

/** From the request's own access-log entry; the path is masked. */
export interface WholeAccount extends CalledBy {
	readonly known: "whole";
	readonly requestId: string;
	readonly startMs: number;
	readonly durationMs: number;
	/** 0 = none was sent. */
	readonly status: number;
	readonly host: string;
	/** null = a method that Envoy's enumeration lacks. */
	readonly method: string | null;
	readonly path: string;
	readonly codeDetails: string;
	/** Envoy's short names of the set response flags. */
	readonly flags: readonly string[];
	readonly access: Verdict;
	/** null if the host is no Service's, or the route is not a Weir route. */
	readonly route: RouteAccount | null;
}

export interface RouteAccount {
	readonly service: string;
	/** Version of the route's plan. */
	readonly plan: string;
	/** Whether that plan is still kept; without it the assignment is unknown. */
	readonly planKept: boolean;
	/** Variant of the chosen cluster; null = not sent to any. */
	readonly sentTo: string | null;
	/** null = unknown: the plan is gone, or the sidecar should assign and did not answer. */
	readonly assignment: AssignmentAccount | null;
}

export interface AssignmentAccount {
	readonly by: "envoy" | "sidecar";
	/** Version of the plan that assigned it: the sidecar's may differ from the route's. */
	readonly plan: string;
	/** Where the plan reads the unit; null = the Service has no Experiment. */
	readonly unitFrom: UnitTable | null;
	/** Pseudonym, 32 hex digits. null = the request has no unit. */
	readonly unit: string | null;
	/** The Service's Experiments with the unit's location in each; empty without a unit. */
	readonly experiments: readonly ExperimentAccount[];
	/** The request's Experiment, by its route or by the sidecar. */
	readonly experiment: string | null;
	readonly arm: string | null;
	/** Variant that the plan assigns. */
	readonly variant: string;
	/** The caller may not use each arm's Variant, so the request is outside the Experiment that holds the unit. */
	readonly notEligible: boolean;
}

/** The unit's location, and the units of each arm. */
export interface ExperimentAccount extends Omit<Location, "variant"> {
	readonly experiment: string;
	readonly layerSeed: string;
	readonly slotLoPpm: number;
	readonly slotHiPpm: number;
	readonly exposing: boolean;
	readonly arms: readonly Pick<ArmTable, "name" | "variant" | "loPpm" | "hiPpm" | "livePoints">[];
}

/** From the event store: the request's entry is no longer kept, or it has not ended. */
export interface OutlineAccount {
	readonly known: "outline";
	readonly requestId: string;
	readonly startMs: number;
	readonly ended: boolean;
	readonly durationMs: number | null;
	readonly status: number | null;
	readonly service: string;
	readonly variant: string | null;
	readonly experiment: string | null;
	readonly arm: string | null;
	readonly unit: string | null;
}

/** A unit or request pseudonym as text. */
export const shownPseudonym = (hash: bigint): string => hash.toString(16).padStart(32, "0");

/** Loads plans that are not loaded yet. */
export async function accountOf(
	entry: AccessLogEntry,
	plans: PlanReader,
	pseudonyms: Pseudonyms,
): Promise<WholeAccount> {
	const { requestId, startUs, durationMs, status, host, method, path, codeDetails, principal, sidecar } = entry;
	const route = parseRouteName(entry.routeName);
	const service = route === null ? null : await serviceIn(plans, route.version, route.service);
	const access = withPolicy(entry, service, allowedBy(service, entry, verdictOf(entry)));
	return {
		known: "whole",
		requestId,
		startMs: startUs / 1e3,
		durationMs,
		...{ status, host, method, path: shownPath(path), codeDetails, flags: flagNames(entry) },
		...calledBy(principal, sidecar),
		access,
		route:
			route === null
				? null
				: {
						service: route.service,
						plan: route.version,
						planKept: service !== null,
						sentTo: variantOf(entry, route.service),
						assignment:
							service === null
								? null
								: await assignmentIn(entry, route.version, route.experiment, service, plans, pseudonyms),
					},
	};
}

async function serviceIn(plans: PlanReader, version: string, name: string): Promise<ReadableService | null> {
	return (plans.known(version) ?? (await plans.load(version)))?.get(name) ?? null;
}

/** Envoy does not log which policy allowed a request. The plan's rules give it if they only read logged fields. */
function withPolicy(entry: AccessLogEntry, service: ReadableService | null, verdict: Verdict): Verdict {
	if (service === null || verdict.kind !== "allowed" || verdict.by !== "envoy" || verdict.policy !== null)
		return verdict;
	const { access, name, defaultVariant } = service;
	const { principal, method, path, startUs } = entry;
	if (judgesUsers(access) || judgesRegions(access) || (method === null && judgesMethods(access))) return verdict;
	const { allowed, policy } = compileAccess(
		access,
		name,
	)({
		...{ principal, method: method ?? "", path, token: null, region: null, nowMs: startUs / 1e3 },
		variant: variantOf(entry, name) ?? defaultVariant,
	});
	return allowed ? { ...verdict, policy } : verdict;
}

async function assignmentIn(
	entry: AccessLogEntry,
	plan: string,
	experiment: string | null,
	service: ReadableService,
	plans: PlanReader,
	pseudonyms: Pseudonyms,
): Promise<AssignmentAccount | null> {
	if (service.callout?.assignment !== true) {
		// All Experiments of a Service read the unit from the same source (resources/checks/check.ts).
		const [first] = service.experiments.values();
		const unit = first === undefined ? null : unitOfHeader(entry, first);
		return assignmentOf(service, unit, { by: "envoy", plan, experiment }, pseudonyms);
	}
	const { sidecar } = entry;
	const answered = sidecar === null ? null : await serviceIn(plans, sidecar.plan, service.name);
	if (sidecar === null || answered === null) return null;
	const done = { by: "sidecar", plan: sidecar.plan, experiment: sidecar.experiment } as const;
	return assignmentOf(answered, parseUnit(sidecar.unit ?? ""), done, pseudonyms);
}

function assignmentOf(
	{ experiments, defaultVariant }: ReadableService,
	unit: string | null,
	done: Pick<AssignmentAccount, "by" | "plan" | "experiment">,
	pseudonyms: Pseudonyms,
): AssignmentAccount {
	const all = [...experiments.values()];
	const located =
		unit === null
			? []
			: all.flatMap((experiment) => {
					const location = experiment.assignment.locate(unit);
					return location === null ? [] : [{ experiment, location }];
				});
	const inSlot = located.find(({ location }) => location.inSlot);
	const notEligible = done.by === "sidecar" && done.experiment === null && inSlot?.experiment.byEligibility === true;
	const location = notEligible ? undefined : inSlot?.location;
	return {
		...done,
		unitFrom: all[0]?.table.unit ?? null,
		unit: unit === null ? null : shownPseudonym(pseudonyms.unit(unit)),
		experiments: located.map((one) => experimentAccount(one.experiment, one.location)),
		arm: location?.live === true ? location.region : null,
		variant: location?.variant ?? defaultVariant,
		notEligible,
	};
}

type Located = NonNullable<ReturnType<ReadableExperiment["assignment"]["locate"]>>;

function experimentAccount({ table }: ReadableExperiment, { variant: _, ...location }: Located): ExperimentAccount {
	const { name, layerSeed, slotLoPpm, slotHiPpm, exposing, arms } = table;
	return {
		...{ experiment: name, layerSeed, slotLoPpm, slotHiPpm, exposing },
		...location,
		arms: arms.map(({ name, variant, loPpm, hiPpm, livePoints }) => ({ name, variant, loPpm, hiPpm, livePoints })),
	};
}

/** The newest stored request with that id; null = unknown (old rows are removed). */
export async function outlineOf(store: EventStore, requestId: string): Promise<OutlineAccount | null> {
	const [row] = await store.questions.transaction((transaction) =>
		transaction.rows(
			`SELECT start_us, ended, duration_ms, status, service, variant, experiment, arm, unit FROM entries
			WHERE request = $request::UHUGEINT ORDER BY start_us DESC, ended DESC LIMIT 1`,
			// As text: the driver binds a bigint as a signed HUGEINT, which ends at 2¹²⁷.
			{ request: store.pseudonyms.request(requestId).toString() },
		),
	);
	if (row === undefined) return null;
	const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
	const ended = row.ended === true;
	return {
		known: "outline",
		requestId,
		startMs: Number(row.start_us) / 1e3,
		ended,
		durationMs: ended ? Number(row.duration_ms) : null,
		status: ended ? Number(row.status) : null,
		service: String(row.service),
		variant: text(row.variant),
		experiment: text(row.experiment),
		arm: text(row.arm),
		unit: typeof row.unit === "bigint" ? shownPseudonym(row.unit) : null,
	};
}
