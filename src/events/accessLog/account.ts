/**
 * The account of one request: what was decided about it, by which plan, and whether Envoy did so. Everything is
 * computed again from the plan that the request names. It is what `weir why` prints, and is made only when asked.
 */

import { shownPath } from "../../access/requests/shownPath.js";
import type { Location } from "../../assignment/assign.js";
import { parseUnit } from "../../assignment/unit.js";
import { BEFORE_TOKENS } from "../../compiler/denial.js";
import type { ArmTable, UnitTable } from "../../compiler/plan.js";
import { parseRouteName } from "../../compiler/plan.js";
import { type Judgement, judgementOf } from "../decisions/judgement.js";
import type { Pseudonyms } from "../store/pseudonym.js";
import { variantOf } from "../store/requestRow.js";
import { type AccessAccount, accessAccount } from "./accessAccount.js";
import type { AccessLogEntry } from "./accessLogEntry.js";
import { unitOfHeader } from "./entryReader.js";
import type { PlanReader, ReadableExperiment, ReadablePlan, ReadableService } from "./planReader.js";
import type { RecentRequest } from "./recentRequests.js";
import { type RequestDetails, requestDetails } from "./requestDetails.js";
import { type CalledBy, calledBy, type SidecarAnswer, sidecarAnswer } from "./sidecarAnswer.js";
import { lookedAtTokens, whyNoUnit } from "./unheldToken.js";

export type RequestAccount = WholeAccount | OutlineAccount;

/** From the request's own access-log entry; the path is masked, but judged as it was. */
export interface WholeAccount extends RequestDetails, CalledBy {
	readonly known: "whole";
	readonly requestId: string;
	readonly startMs: number;
	readonly durationMs: number;
	/** 0 = none was sent. */
	readonly status: number;
	/** null where the host is no Service's, or the route is none of Weir's. */
	readonly route: RouteAccount | null;
	/** What became of a request without a route, as the decision log has it; null = it has one. */
	readonly unrouted: Judgement | null;
}

export interface RouteAccount {
	readonly service: string;
	/** Version of the plan that the route is of. */
	readonly plan: string;
	/** Whether that plan is still kept; without it nothing below can be said. */
	readonly planKept: boolean;
	/** Where the request went, by the name of the chosen cluster; null = it was sent to none. */
	readonly sentTo: string | null;
	/** null = the plan is of an earlier Weir, which did not keep the rules in it. */
	readonly access: AccessAccount | null;
	readonly assignment: AssignmentAccount | null;
	/**
	 * Why there is none of a plan that is kept. refused-first: Envoy refused the request before the sidecar was asked, or a token
	 * looked at. unanswered: the sidecar was to assign and gave no answer, or by a plan that is not kept. null = there is one.
	 */
	readonly unassigned: "refused-first" | "unanswered" | null;
}

export interface AssignmentAccount {
	readonly by: "envoy" | "sidecar";
	/** Version of the plan by which it was assigned: the sidecar may answer by another one than the route's. */
	readonly plan: string;
	/** Where the plan finds units; null = the Service has no Experiment. */
	readonly unitFrom: UnitTable | null;
	/** 32 hex digits; the raw unit is never told. null = the request has no unit. */
	readonly unit: string | null;
	/** Why there is none in a claim, in words; null = there is a unit, or units are in no claims. */
	readonly whyNone: string | null;
	/** The Experiments of the Service and where the unit lies in each; empty without a unit. */
	readonly experiments: readonly ExperimentAccount[];
	/** The one that the request was in by its route or by the sidecar. */
	readonly experiment: string | null;
	readonly arm: string | null;
	/** Variant that the plan assigns. */
	readonly variant: string;
	/** Whether route or sidecar did what the plan says. */
	readonly agrees: boolean;
	/** The request may not use each arm's Variant, and so is outside of the Experiment whose slot the unit is in. */
	readonly notEligible: boolean;
}

/** Where the unit lies, and whom the arm takes. */
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

/** A unit or request as it may be shown. */
export const shownPseudonym = (hash: bigint): string => hash.toString(16).padStart(32, "0");

/** Makes the account; asks for plans that are not at hand. */
export async function accountOf(
	{ entry }: RecentRequest,
	plans: PlanReader,
	pseudonyms: Pseudonyms,
): Promise<WholeAccount> {
	const details = requestDetails(entry);
	const judgement = judgementOf(entry);
	const route = await routeAccount(entry, judgement, plans, pseudonyms);
	return {
		known: "whole",
		requestId: entry.requestId,
		startMs: entry.startUs / 1e3,
		durationMs: entry.durationMs,
		status: entry.status,
		...details,
		path: shownPath(details.path),
		...calledBy(details.principal, sidecarAnswer(entry)),
		route,
		unrouted: route === null ? judgement : null,
	};
}

async function routeAccount(
	entry: AccessLogEntry,
	judgement: Judgement,
	plans: PlanReader,
	pseudonyms: Pseudonyms,
): Promise<RouteAccount | null> {
	const route = parseRouteName(entry.routeName);
	if (route === null) return null;
	const service = (await planOf(plans, route.version))?.get(route.service) ?? null;
	const sentTo = variantOf(entry, route.service);
	const common = { service: route.service, plan: route.version, planKept: service !== null, sentTo };
	if (service === null) return { ...common, access: null, assignment: null, unassigned: null };
	const assigned = await assignmentIn(entry, route, service, judgement, plans, pseudonyms);
	const way = { plan: route.version, sentTo, assigned: assigned.assignment?.variant ?? service.defaultVariant };
	return { ...common, access: accessAccount(entry, service, judgement, way), ...assigned };
}

async function assignmentIn(
	entry: AccessLogEntry,
	{ version, service: name, experiment }: NonNullable<ReturnType<typeof parseRouteName>>,
	service: ReadableService,
	judgement: Judgement,
	plans: PlanReader,
	pseudonyms: Pseudonyms,
): Promise<Pick<RouteAccount, "assignment" | "unassigned">> {
	const refused = judgement.kind === "denied" && judgement.by === "envoy" && judgement.reason !== "unanswered";
	if (service.callout?.assignment === true) {
		const assignment = await sidecarsAssignment(name, entry, sidecarAnswer(entry), plans, pseudonyms);
		return { assignment, unassigned: assignment !== null ? null : refused ? "refused-first" : "unanswered" };
	}
	const unit = headerUnit(entry, service);
	const ofClaim = unitFromOf(service)?.from === "claim";
	if (ofClaim && unit === null && refused && BEFORE_TOKENS.has(judgement.reason) && !lookedAtTokens(entry))
		return { assignment: null, unassigned: "refused-first" };
	const done: Done = { by: "envoy", plan: version, experiment, arm: null };
	return { assignment: assignmentOf(service, entry, unit, done, pseudonyms), unassigned: null };
}

async function sidecarsAssignment(
	name: string,
	entry: AccessLogEntry,
	answer: SidecarAnswer | null,
	plans: PlanReader,
	pseudonyms: Pseudonyms,
): Promise<AssignmentAccount | null> {
	if (answer === null) return null;
	const service = (await planOf(plans, answer.plan))?.get(name);
	if (service === undefined) return null;
	const { plan, experiment, arm } = answer;
	const done: Done = { by: "sidecar", plan, experiment, arm };
	return assignmentOf(service, entry, parseUnit(answer.unit ?? ""), done, pseudonyms);
}

async function planOf(plans: PlanReader, version: string): Promise<ReadablePlan | null> {
	return plans.known(version) ?? (await plans.load(version));
}

/** The unit of a request that Envoy assigned: all Experiments of a Service share one header (resources/checks/check.ts). */
function headerUnit(entry: AccessLogEntry, service: ReadableService): string | null {
	const [experiment] = service.experiments.values();
	return experiment === undefined ? null : unitOfHeader(entry, experiment);
}

/** Where the plan finds units; null = the Service has no Experiment. All of one share it likewise. */
function unitFromOf({ experiments }: ReadableService): UnitTable | null {
	const [experiment] = experiments.values();
	return experiment?.table.unit ?? null;
}

interface Done {
	readonly by: "envoy" | "sidecar";
	readonly plan: string;
	readonly experiment: string | null;
	/** What the sidecar said; null also where Envoy assigned, whose log does not say it. */
	readonly arm: string | null;
}

function assignmentOf(
	service: ReadableService,
	entry: AccessLogEntry,
	unit: string | null,
	done: Done,
	pseudonyms: Pseudonyms,
): AssignmentAccount {
	const experiments = [...service.experiments.values()];
	const located =
		unit === null
			? []
			: experiments.flatMap((experiment) => {
					const location = experiment.assignment.locate(unit);
					return location === null ? [] : [{ experiment, location }];
				});
	const inSlot = located.find(({ location }) => location.inSlot);
	const notEligible = done.by === "sidecar" && done.experiment === null && inSlot?.experiment.byEligibility === true;
	const found = notEligible ? undefined : inSlot;
	const { location, experiment } = found ?? { location: null, experiment: null };
	const arm = location?.live === true ? location.region : null;
	const taker = location?.takenOver === true ? (experiment?.table.takeover?.arm ?? null) : null;
	const rightArm = done.by === "envoy" || done.arm === arm || (taker !== null && done.arm === taker);
	const unitFrom = unitFromOf(service);
	return {
		by: done.by,
		plan: done.plan,
		unitFrom,
		unit: unit === null ? null : shownPseudonym(pseudonyms.unit(unit)),
		whyNone: unit === null && unitFrom?.from === "claim" ? whyNoUnit(entry, unitFrom.claim) : null,
		experiments: located.map((one) => experimentAccount(one.experiment, one.location)),
		experiment: done.experiment,
		arm,
		variant: location?.variant ?? service.defaultVariant,
		agrees: rightArm && (experiment?.table.name ?? null) === done.experiment,
		notEligible,
	};
}

type Located = NonNullable<ReturnType<ReadableExperiment["assignment"]["locate"]>>;

function experimentAccount({ table }: ReadableExperiment, location: Located): ExperimentAccount {
	const { slotPoint, inSlot, point, region, live, takenOver } = location;
	return {
		experiment: table.name,
		layerSeed: table.layerSeed,
		slotLoPpm: table.slotLoPpm,
		slotHiPpm: table.slotHiPpm,
		slotPoint,
		inSlot,
		point,
		region,
		live,
		takenOver,
		exposing: table.exposing,
		arms: table.arms.map(({ name, variant, loPpm, hiPpm, livePoints }) => ({
			name,
			variant,
			loPpm,
			hiPpm,
			livePoints,
		})),
	};
}
