/**
 * The account of one request: what was decided about it, by which plan, and whether Envoy did so. Everything is
 * computed again from the plan that the request names. It is what `weir why` prints, and is made only when asked.
 */

import { shownPath } from "../../access/requests/shownPath.js";
import { type AccessRequest, compileAccess, judgesRegions, judgesUsers } from "../../access/rules/policy.js";
import type { Location } from "../../assignment/assign.js";
import { parseUnit } from "../../assignment/unit.js";
import type { ArmTable, UnitTable } from "../../compiler/plan.js";
import { parseRouteName } from "../../compiler/plan.js";
import { type Denial, denialOf } from "../decisions/denial.js";
import type { Pseudonyms } from "../store/pseudonym.js";
import { variantOf } from "../store/requestRow.js";
import { type AccessLogEntry, codeDetailsOf } from "./accessLogEntry.js";
import { unitOfHeader } from "./entryReader.js";
import type { PlanReader, ReadableExperiment, ReadablePlan, ReadableService } from "./planReader.js";
import type { RecentRequest } from "./recentRequests.js";
import { type RequestDetails, requestDetails } from "./requestDetails.js";
import { type CalledBy, calledBy, type SidecarAnswer, sidecarAnswer } from "./sidecarAnswer.js";
import { whyNoUnit } from "./unheldToken.js";

export type RequestAccount = WholeAccount | OutlineAccount;

/** From the request's own access-log entry; the path is masked, but judged as it was. */
export interface WholeAccount extends RequestDetails, CalledBy {
	readonly known: "whole";
	readonly requestId: string;
	readonly startMs: number;
	readonly durationMs: number;
	/** 0 = none was sent. */
	readonly status: number;
	readonly route: RouteAccount | null;
}

/** null where the host is no Service's, or the route is none of Weir's. */
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
	/** null = the sidecar was to assign and gave no answer. */
	readonly assignment: AssignmentAccount | null;
}

export interface AccessAccount {
	readonly by: "envoy" | "sidecar";
	/** Version of the plan by which it was judged; null = none was at hand. */
	readonly plan: string | null;
	/** none = the sidecar gave no verdict. */
	readonly verdict: "allow" | "deny" | "none";
	readonly reason: string;
	/** AccessPolicy that decided; null = none. */
	readonly policy: string | null;
	/** What Envoy did. */
	readonly denied: boolean;
	/** Whether the verdict is what Envoy did; null = it cannot be told. */
	readonly agrees: boolean | null;
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
	return {
		known: "whole",
		requestId: entry.requestId,
		startMs: entry.startUs / 1e3,
		durationMs: entry.durationMs,
		status: entry.status,
		...details,
		path: shownPath(details.path),
		...calledBy(details.principal, sidecarAnswer(entry)),
		route: await routeAccount(entry, plans, pseudonyms),
	};
}

async function routeAccount(
	entry: AccessLogEntry,
	plans: PlanReader,
	pseudonyms: Pseudonyms,
): Promise<RouteAccount | null> {
	const route = parseRouteName(entry.routeName);
	if (route === null) return null;
	const service = (await planOf(plans, route.version))?.get(route.service) ?? null;
	const sentTo = variantOf(entry, route.service);
	const common = { service: route.service, plan: route.version, planKept: service !== null, sentTo };
	if (service === null) return { ...common, access: null, assignment: null };
	const details = requestDetails(entry);
	const answer = sidecarAnswer(entry);
	const assignment =
		service.callout?.assignment === true
			? await sidecarsAssignment(route.service, entry, answer, plans, pseudonyms)
			: assignmentOf(
					service,
					entry,
					headerUnit(entry, service),
					{ by: "envoy", plan: route.version, experiment: route.experiment, arm: null },
					pseudonyms,
				);
	const denial = denialOf(entry);
	const access =
		denial !== null && isBuiltIn(denial)
			? builtInDenial(denial.reason, route.version, sentTo)
			: service.callout?.verdict === true
				? sidecarsAccess(answer, entry, sentTo)
				: envoysAccess(service, route.version, entry, details, sentTo, assignment?.variant ?? service.defaultVariant);
	return { ...common, access, assignment };
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
	const unitFrom = experiments[0]?.table.unit ?? null;
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

/** By a rule, or a bound, of Envoy's that no AccessPolicy has: neither policies nor the sidecar are asked, whoever decides otherwise. */
const isBuiltIn = (denial: Denial): denial is Denial & { readonly reason: string } => {
	const { by, reason, policy } = denial;
	const isPolicys = policy !== null || reason === "no-policy-allows";
	return by === "envoy" && reason !== null && !isPolicys && reason !== "unanswered";
};

/** Told as Envoy tells it. */
const builtInDenial = (reason: string, plan: string, sentTo: string | null): AccessAccount => ({
	by: "envoy",
	plan,
	verdict: "deny",
	reason,
	policy: null,
	denied: true,
	agrees: sentTo === null,
});

/** The verdict that the plan's rules give, beside what Envoy did. */
function envoysAccess(
	service: ReadableService,
	plan: string,
	entry: AccessLogEntry,
	details: RequestDetails,
	sentTo: string | null,
	assigned: string,
): AccessAccount | null {
	if (service.access === null) return null;
	const told = denialOf(entry);
	// Want of an answer is no verdict of these rules.
	const denial = told?.reason === "unanswered" ? null : told;
	const denied = denial !== null;
	const common = { by: "envoy", plan, denied } as const;
	// What depends on a token or a place that the log does not hold is told as Envoy tells it.
	if (judgesUsers(service.access) || judgesRegions(service.access)) {
		return {
			...common,
			verdict: denied ? "deny" : "allow",
			reason: denial?.reason ?? "allowed",
			policy: denial?.policy ?? null,
			agrees: denied ? sentTo === null : null,
		};
	}
	const request: AccessRequest = {
		principal: details.principal,
		method: details.method ?? "",
		path: details.path,
		variant: sentTo ?? assigned,
		token: null,
		region: null,
		nowMs: entry.startUs / 1e3,
	};
	const { allowed, reason, policy } = compileAccess(service.access, service.name)(request);
	return {
		...common,
		verdict: allowed ? "allow" : "deny",
		reason,
		policy,
		agrees: details.method === null ? null : agreement(!allowed, denied, sentTo),
	};
}

/** A request that went nowhere for another reason (its client left) neither agrees with a denial nor disagrees. */
function agreement(deny: boolean, denied: boolean, sentTo: string | null): boolean | null {
	return deny && !denied && sentTo === null ? null : deny === denied;
}

function sidecarsAccess(answer: SidecarAnswer | null, entry: AccessLogEntry, sentTo: string | null): AccessAccount {
	const denial = denialOf(entry);
	const denied = denial?.by === "sidecar" && denial.reason !== "unanswered";
	const common = { by: "sidecar", plan: answer?.plan ?? null, policy: answer?.policy ?? null, denied } as const;
	if (answer?.verdict === "allow" || answer?.verdict === "deny") {
		const { verdict, reason } = answer;
		return { ...common, verdict, reason: reason ?? "", agrees: agreement(verdict === "deny", denied, sentTo) };
	}
	// It fails closed: without a verdict no Variant has seen the request.
	return {
		...common,
		verdict: "none",
		reason: answer?.reason ?? (codeDetailsOf(entry) || "no answer"),
		agrees: sentTo === null,
	};
}
