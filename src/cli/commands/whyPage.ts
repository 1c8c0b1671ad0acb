/** The page that `weir why` prints: one request from identity to trace, a line a fact. Pure. */

import type { Decision } from "../../decide/rollout/decision.js";
import type { ShownAccessRecord } from "../../observe/events/query/accessRecordQuery.js";
import type {
	AssignmentAccount,
	ExperimentAccount,
	OutlineAccount,
	RequestAccount,
	RouteAccount,
	WholeAccount,
} from "../../observe/events/query/account.js";
import type { AccessRecordKind } from "../../observe/events/receive/accessRecords/accessRecord.js";
import type { RecordedSpan } from "../../observe/telemetry/span.js";
import { renderTrace } from "../../observe/telemetry/tracePath.js";

/** What `weir why --json` prints. */
export interface Why {
	readonly request: RequestAccount;
	/** Its record in the access record log, if its access-log entry is no longer kept. */
	readonly records: readonly ShownAccessRecord[];
	/** The decision behind the allocation; null = the request was in no Experiment, or it is not known. */
	readonly decision: BehindIt | null;
	/** One per inference span. */
	readonly models: readonly { readonly name: string; readonly version: string }[];
	/** Spans of the request's trace; empty = it was not sampled, or its trace is no longer kept. */
	readonly trace: readonly RecordedSpan[];
}

export interface BehindIt extends Pick<Decision, "experiment" | "sequence" | "atMs" | "by" | "acknowledgedAtMs"> {
	readonly action: Decision["outcome"]["action"];
	readonly rule: Decision["outcome"]["rule"];
	readonly reason: string;
	readonly allocationPpm: number;
	/** Whether its allocation is the one in the request's plan; null = the plan is no longer kept. */
	readonly isPlans: boolean | null;
}

type Line = readonly [label: string, text: string];

/** Lines, each ended by a newline. */
export function renderWhy({ request, records, decision, models, trace }: Why): string {
	const lines = request.known === "whole" ? whole(request) : outline(request, records);
	const model = models.map(({ name, version }) => `${name}${version === "" ? "" : `, version ${version}`}`);
	const all: readonly Line[] = [
		...lines,
		...(decision === null ? [] : [decisionLine(decision)]),
		["model", model.length === 0 ? "not known: no span of a predictor" : model.join("; ")],
	];
	const page = all.map(([label, text]) => `${label.padEnd(11)} ${printable(text)}`).join("\n");
	const path = trace.length === 0 ? "trace       none: not sampled, or no longer kept\n" : renderTrace(trace);
	return `${page}\n${path}`;
}

function whole(request: WholeAccount): readonly Line[] {
	const { requestId, startMs, method, host, path, route, access } = request;
	return [
		["request", `${requestId}  ${at(startMs)}`],
		["asked", `${method ?? NO_METHOD} ${host}${path}`],
		["identity", identityText(request)],
		["rule", route === null ? `no route of Weir's${WHY_UNROUTED[access.reason] ?? ""}` : ruleText(route)],
		["access", accessText(access)],
		...(route === null ? [] : routeLines(route)),
		["answer", answerText(request)],
	];
}

/** Envoy's access log has an enumeration of nine; `weir audit requests` and `weir policy shadow` print `?`. */
const NO_METHOD = "? (a method that Envoy's access log has no word for)";

/** Why no route of Weir matched, by reason. */
const WHY_UNROUTED: Readonly<Record<string, string>> = {
	"unknown-service": ": no Service has this host",
	"configuration-refused":
		": the Service of this host is closed here, for Envoy refused its configuration: weir proxy-status",
};

function identityText({ principal, via }: Pick<WholeAccount, "principal" | "via">): string {
	if (via === null) return principal ?? "none proved (no client certificate)";
	return principal === null
		? `none: the proxy ${via} names no client`
		: `${principal}, on the word of the proxy ${via}`;
}

const ruleText = ({ service, plan, planKept }: RouteAccount): string =>
	`Service ${service}, plan ${plan}${planKept ? "" : "; that plan is no longer kept, so the assignment is unknown"}`;

function routeLines({ planKept, sentTo, assignment }: RouteAccount): readonly Line[] {
	if (!planKept) return [];
	return [
		...(assignment === null ? [["unit", "unknown: the sidecar gave no answer"] as const] : assignmentLines(assignment)),
		["sent to", sentTo === null ? "no Variant" : `Variant ${sentTo}`],
	];
}

const accessText = ({
	kind,
	reason,
	policy,
	by,
}: Pick<ShownAccessRecord, "kind" | "reason" | "policy" | "by">): string =>
	`${kind}: ${policy === null ? reason : `${reason} by AccessPolicy ${policy}`}; by ${by}`;

function assignmentLines(assignment: AssignmentAccount): readonly Line[] {
	const { by, plan, unit, unitFrom, experiments, experiment, variant, notEligible } = assignment;
	if (unitFrom === null) return [["unit", `none needed: the Service has no Experiment; default Variant ${variant}`]];
	const from =
		unitFrom.from === "cookie"
			? `cookie ${unitFrom.cookie}`
			: unitFrom.from === "claim"
				? `claim ${unitFrom.claim}`
				: `header ${unitFrom.header}`;
	if (unit === null) return [["unit", `none in ${from}: unassigned, default Variant ${variant}`]];
	return [
		["unit", `${unit} (pseudonym), from ${from}${by === "sidecar" ? `, assigned by the sidecar, plan ${plan}` : ""}`],
		...experiments.flatMap((one) => bucketLines(one, variant, notEligible)),
		...(experiment === null && !notEligible
			? [["arm", `outside every slot: default Variant ${variant}`] as const]
			: []),
	];
}

function bucketLines(one: ExperimentAccount, variant: string, notEligible: boolean): readonly Line[] {
	const { experiment, slotPoint, slotLoPpm, slotHiPpm, inSlot, point, region, live, takenOver, arms } = one;
	const slot =
		slotPoint === null
			? "slot: the whole layer"
			: `slot point ${slotPoint} ${inSlot ? "in" : "outside"} [${slotLoPpm}, ${slotHiPpm})`;
	if (!inSlot) return [["experiment", `${experiment}: ${slot}`]];
	const arm = arms.find(({ name }) => name === region);
	const bucket =
		arm === undefined
			? ""
			: `point ${point} in ${arm.name}'s region [${arm.loPpm}, ${arm.hiPpm}), live up to ${arm.loPpm + arm.livePoints}`;
	const livePoints = arms.reduce((sum, { livePoints: points }) => sum + points, 0);
	const word = takenOver ? "taken over" : live ? `arm ${region}` : "not live";
	return [
		["experiment", `${experiment}: ${slot}`],
		["bucket", bucket],
		["allocation", `${livePoints / 10_000}% of the slot is live`],
		[
			"arm",
			notEligible
				? `none: the request may not use each arm's Variant, so it is outside of the Experiment: default Variant ${variant}`
				: `${word} → Variant ${variant}`,
		],
	];
}

function decisionLine({ sequence, atMs, by, action, reason, rule, allocationPpm, isPlans }: BehindIt): Line {
	const text = `#${sequence} ${at(atMs)} ${action} by ${by === "weir" ? `rule ${rule}` : by}: ${reason}`;
	const allocation = `allocation ${allocationPpm / 10_000}%`;
	if (isPlans !== false) return ["decision", `${text} (${allocation})`];
	return ["decision", `${text} (${allocation}, not the plan's: it was the newest before the request)`];
}

/** A request without an access-log entry: known from other records. */
const JUDGED: ReadonlySet<AccessRecordKind> = new Set(["denied", "allowed", "unjudged"]);

function outline(request: OutlineAccount, records: readonly ShownAccessRecord[]): readonly Line[] {
	const judged = records.find((one) => JUDGED.has(one.kind) && one.service === request.service);
	const { requestId, startMs, ended, durationMs, status, service, variant, experiment, arm, unit } = request;
	return [
		["request", `${requestId}  ${at(startMs)}`],
		[
			"note",
			ended
				? `its access-log entry is no longer at hand: ${judged === undefined ? "identity, path and verdict are gone, and the access record log has no record of it" : "the rest is of the access record log"}`
				: "it has not ended: the rest is known when it has",
		],
		...(judged === undefined ? [["rule", `Service ${service}`] as const] : recordLines(judged, service)),
		["unit", unit === null ? "none" : `${unit} (pseudonym)`],
		["experiment", experiment ?? "none"],
		["arm", `${arm ?? "none"} → Variant ${variant ?? "not known"}`],
		["answer", ended ? `${status === 0 ? "no status" : status} after ${durationMs} ms` : "none yet"],
	];
}

function recordLines(record: ShownAccessRecord, service: string): readonly Line[] {
	const { method, path, plan } = record;
	return [
		["asked", `${method ?? NO_METHOD} ${path ?? "(path unknown)"}`],
		["identity", identityText(record)],
		["rule", `Service ${service}${plan === null ? "" : `, plan ${plan}`}`],
		["access", accessText(record)],
	];
}

function answerText({ status, codeDetails, durationMs, flags }: WholeAccount): string {
	const details = codeDetails === "" ? "" : ` (${codeDetails})`;
	const set = flags.length === 0 ? "" : `, flags ${flags.join(",")}`;
	return `${status === 0 ? "no status" : status}${details} after ${durationMs} ms${set}`;
}

const at = (ms: number): string => new Date(ms).toISOString();

/** Hosts and paths come from outside: no terminal control sequences. */
const printable = (text: string): string => text.replace(/\p{Cc}/gu, "·");
